"""Plans of the node verbs against a real store: what is skipped, what is saved, what undo puts back."""

from __future__ import annotations

import pytest

from fleetctl.errors import ConflictError, UsageError
from fleetctl.model.admin import DrainMode, Wish
from fleetctl.model.plan import PlanState, StepState
from fleetctl.model.states import Admin
from fleetctl.operations import (
    apply,
    cancel,
    plan_cordon,
    plan_drain,
    plan_maint,
    plan_quarantine,
    plan_resume,
    plan_undo,
)
from fleetctl.store.audit import iter_audit, verify_entries
from fleetctl.store.nodes import get_admin, list_card_admin
from fleetctl.store.plans import get_action, get_plan, list_plan_nodes, plan_json, plan_of
from tests.fakes.fleet import ALICE, BOB, RULE, SchedulerFleet


def test_a_reason_needs_a_class_and_a_text(fleet: SchedulerFleet) -> None:
    for reason in ("", "broken fan", "hardware: fan", "hw:", "hw:   "):
        with pytest.raises(UsageError) as error:
            plan_cordon(fleet.db, fleet.inventory, "n01", reason, who=ALICE, now=1000)
        assert "class" in str(error.value) or "text" in str(error.value)
        assert "hw" in error.value.hint


def test_drain_of_an_idle_node_saves_wish_and_audit_together_and_ends_drained(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n[01-02]", "hw: fan", who=ALICE, now=1000, ticket="T-1")
    assert [n.after for n in plan.nodes] == [Admin.DRAINED, Admin.DRAINED]
    action = fleet.apply(plan)
    assert (action.state, action.done, action.total) == (PlanState.DONE, 2, 2)
    with fleet.db.read() as conn:
        record = get_admin(conn, "n01")
        verbs = [e.verb for e in iter_audit(conn)]
        assert verify_entries(iter_audit(conn)).ok
    assert (record.wish, record.owner, str(record.reason), record.ticket) == (Wish.DRAIN, ALICE, "hw: fan", "T-1")
    assert verbs == ["plan", "drain", "drain"]
    fleet.tick(1001)
    assert fleet.observed("n01") is Admin.DRAINED


def test_sending_a_plan_twice_changes_nothing(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n01", "hw: fan", who=ALICE, now=1000)
    first, second = fleet.apply(plan), fleet.apply(plan)
    assert first == second
    with fleet.db.read() as conn:
        assert get_admin(conn, "n01").version == 1


def test_two_consoles_act_on_one_node(fleet: SchedulerFleet) -> None:
    one = plan_drain(fleet.db, fleet.inventory, "n01", "hw: fan", who=ALICE, now=1000)
    two = plan_quarantine(fleet.db, fleet.inventory, "n[01-02]", "hw: xid 79", who=BOB, now=1000)
    fleet.apply(one)
    action = fleet.apply(two, BOB)
    assert (action.done, action.superseded) == (1, 1)
    with fleet.db.read() as conn:
        assert get_admin(conn, "n01").wish is Wish.DRAIN
        assert "since the plan was made" in list_plan_nodes(conn, two.id)[0].note


def test_a_drain_waits_for_its_lease_and_the_plan_tells_so(fleet: SchedulerFleet) -> None:
    lease = fleet.lease("n01", cards=2, end_at=2000)
    plan = plan_drain(fleet.db, fleet.inventory, "n01", "hw: fan", who=ALICE, now=1000)
    assert plan.leases_hit == (lease,)
    assert plan.nodes[0].after is Admin.DRAINING
    assert fleet.apply(plan).state is PlanState.RUNNING
    fleet.tick(1500)
    assert fleet.observed("n01") is Admin.DRAINING
    fleet.tick(2000)
    fleet.tick(2001)
    assert fleet.observed("n01") is Admin.DRAINED
    with fleet.db.read() as conn:
        action = get_action(conn, plan.id)
    assert action is not None
    assert action.state is PlanState.DONE


def test_a_deadline_ends_what_still_runs_but_not_before(fleet: SchedulerFleet) -> None:
    lease = fleet.lease("n01", cards=2, end_at=None)
    plan = plan_drain(
        fleet.db,
        fleet.inventory,
        "n01",
        "hw: fan",
        who=ALICE,
        now=1000,
        mode=DrainMode.DEADLINE,
        deadline_at=1600,
    )
    fleet.apply(plan)
    fleet.tick(1599)
    assert fleet.lease_state(lease) == "active"
    fleet.tick(1600)
    assert fleet.lease_state(lease) == "ended"
    assert fleet.observed("n01") is Admin.DRAINED


def test_drain_now_ends_work_at_the_next_tick(fleet: SchedulerFleet) -> None:
    lease = fleet.lease("n01", cards=8, end_at=None)
    fleet.apply(plan_drain(fleet.db, fleet.inventory, "n01", "hw: fan", who=ALICE, now=1000, mode=DrainMode.NOW))
    assert fleet.lease_state(lease) == "active"
    fleet.tick(1000)
    assert fleet.lease_state(lease) == "ended"


def test_one_bad_card_of_eight_leaves_alone(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n01", "hw: ecc", who=ALICE, now=1000, cards=["3"])
    assert plan.nodes[0].cards == ("n01-3",)
    fleet.apply(plan)
    assert fleet.state("n01") is Admin.IN_SERVICE
    with fleet.db.read() as conn:
        assert list_card_admin(conn)["n01", "n01-3"].wish is Wish.DRAIN
    back = plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=1001, cards=["3"])
    fleet.apply(back)
    with fleet.db.read() as conn:
        assert list_card_admin(conn)["n01", "n01-3"].wish is Wish.SERVE


def test_a_card_that_is_not_there_is_named(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n01", "hw: ecc", who=ALICE, now=1000, cards=["9"])
    assert plan.nodes == ()
    assert "has no card 9" in plan.skipped[0].skip
    with pytest.raises(ConflictError, match="has no card 9"):
        fleet.apply(plan)


def test_guards_refuse_at_plan_time_and_again_before_the_step(fleet: SchedulerFleet) -> None:
    # 20 % of 16 nodes in the site: three may be out.
    over = plan_drain(fleet.db, fleet.inventory, "n[01-04]", "hw: fan", who=ALICE, now=1000)
    assert [g.scope for g in over.refusals] == ["site"]
    with pytest.raises(ConflictError, match="over the limit of 3"):
        fleet.apply(over)
    assert fleet.state("n01") is Admin.IN_SERVICE
    first = plan_drain(fleet.db, fleet.inventory, "n[01-02]", "hw: fan", who=ALICE, now=1000)
    second = plan_drain(fleet.db, fleet.inventory, "n[03-04]", "hw: fan", who=BOB, now=1000)
    assert not first.refusals
    assert not second.refusals
    fleet.apply(first)
    with pytest.raises(ConflictError, match="over the limit"):
        fleet.apply(second, BOB)
    with fleet.db.read() as conn:
        assert verify_entries(iter_audit(conn)).ok


def test_capacity_left_counts_cards_per_chip_and_site(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n[01-02]", "hw: fan", who=ALICE, now=1000)
    rows = {(c.by, c.name): c for c in plan.capacity}
    site = rows["site", "s1"]
    assert (site.nodes_before, site.nodes_after, site.cards_before, site.cards_after) == (16, 14, 128, 112)
    assert rows["chip", "H100 SXM5 80GB"].cards_after == 112


def test_typed_confirmation_above_the_share_of_a_site(fleet: SchedulerFleet) -> None:
    one = plan_drain(fleet.db, fleet.inventory, "n01", "hw: fan", who=ALICE, now=1000)
    two = plan_drain(fleet.db, fleet.inventory, "n[01-02]", "hw: fan", who=ALICE, now=1000)
    assert (one.confirm_count, two.confirm_count) == (None, 2)


def test_undo_puts_back_what_nobody_changed_since(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n[01-02]", "hw: fan", who=ALICE, now=1000)
    fleet.apply(plan)
    fleet.apply(plan_quarantine(fleet.db, fleet.inventory, "n02", "hw: xid 79", who=BOB, now=1001), BOB)
    undo = plan_undo(fleet.db, plan.id, who=ALICE, now=1002)
    assert undo.hosts == ("n01",)
    assert "changed since" in undo.skipped[0].skip
    fleet.apply(undo)
    assert fleet.state("n01") is Admin.IN_SERVICE
    assert fleet.state("n02") is Admin.QUARANTINED
    with fleet.db.read() as conn:
        assert [r.state for r in list_plan_nodes(conn, plan.id)] == [StepState.UNDONE, StepState.DONE]


def test_a_window_in_the_future_begins_by_itself_and_can_be_cancelled(fleet: SchedulerFleet) -> None:
    plan = plan_maint(
        fleet.db, fleet.inventory, "n01", "maint: firmware", who=ALICE, now=1000, start_at=5000, end_at=9000
    )
    assert fleet.apply(plan).state is PlanState.SCHEDULED
    fleet.tick(4999)
    assert fleet.state("n01") is Admin.IN_SERVICE
    # Out and back again meanwhile: the window still begins.
    fleet.apply(plan_drain(fleet.db, fleet.inventory, "n01", "hw: fan", who=BOB, now=4000), BOB)
    fleet.apply(plan_resume(fleet.db, fleet.inventory, "n01", who=BOB, now=4001), BOB)
    fleet.tick(5000)
    assert fleet.state("n01") is Admin.MAINTENANCE
    other = plan_maint(fleet.db, fleet.inventory, "n02", "maint: firmware", who=ALICE, now=1000, start_at=9000)
    fleet.apply(other)
    assert cancel(fleet.db, other.id, ALICE, now=1001).state is PlanState.CANCELLED
    fleet.tick(9000)
    assert fleet.state("n02") is Admin.IN_SERVICE


def test_a_window_that_a_guard_holds_back_is_tried_again(fleet: SchedulerFleet) -> None:
    plan = plan_maint(fleet.db, fleet.inventory, "n[01-02]", "maint: firmware", who=ALICE, now=1000, start_at=5000)
    fleet.apply(plan)
    blocking = plan_drain(fleet.db, fleet.inventory, "n[03-04]", "hw: fan", who=BOB, now=1000)
    fleet.apply(blocking, BOB)
    fleet.tick(5000)
    with fleet.db.read() as conn:
        action = get_action(conn, plan.id)
    assert action is not None
    assert action.state is PlanState.HELD
    assert "over the limit" in action.note
    fleet.apply(plan_resume(fleet.db, fleet.inventory, "n[03-04]", who=BOB, now=5001), BOB)
    fleet.tick(5060)
    assert fleet.state("n01") is Admin.MAINTENANCE


def test_an_outside_drain_is_shown_and_not_silently_undone(fleet: SchedulerFleet) -> None:
    fleet.outside("n01", Admin.DRAINED, owner="root", reason="xid 79")
    assert fleet.state("n01") is Admin.DRAINED
    plan = plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=1000)
    assert plan.nodes == ()
    assert "slurm:root" in plan.skipped[0].skip
    assert "xid 79" in plan.skipped[0].skip
    assert plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=1000, take_over=True).hosts == ("n01",)


def test_a_rule_never_undoes_a_person_and_the_breaker_stops_it(fleet: SchedulerFleet) -> None:
    fleet.apply(plan_drain(fleet.db, fleet.inventory, "n01", "hw: fan", who=ALICE, now=1000))
    plan = plan_resume(fleet.db, fleet.inventory, "n01", who=RULE, now=1001)
    assert "held by person:alice" in plan.skipped[0].skip
    for at in range(3):
        fleet.apply(
            plan_quarantine(fleet.db, fleet.inventory, f"n0{at + 2}", "hw: xid", who=RULE, now=1001 + at), RULE
        ) if (at < 2) else None
    with pytest.raises(ConflictError, match=r"automation is stopped|over the limit"):
        fleet.apply(plan_quarantine(fleet.db, fleet.inventory, "m01", "hw: xid", who=RULE, now=1010), RULE)


def test_a_plan_survives_its_json(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n[01-02]", "hw: 风扇", who=ALICE, now=1000, cards=["1"])
    assert plan_of(plan_json(plan)) == plan
    fleet.apply(plan)
    with fleet.db.read() as conn:
        assert get_plan(conn, plan.id) == plan


def test_nothing_is_applied_without_nodes(fleet: SchedulerFleet) -> None:
    plan = plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=1000)
    with pytest.raises(ConflictError, match="in service already"):
        apply(fleet.db, plan, ALICE, inventory=fleet.inventory, now=1000)
