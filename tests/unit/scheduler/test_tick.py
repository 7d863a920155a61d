"""What the scheduler does by itself, and what it does not: ends, clocks, hosts that change under a lease, quotas."""

from __future__ import annotations

import pytest

from fleetctl.config.schema import Scheduling, Tenant
from fleetctl.errors import ConflictError
from fleetctl.model.lease import RequestState, Shape
from fleetctl.model.states import Admin
from fleetctl.operations import allocate, make_request, plan_drain, plan_resume, quote
from fleetctl.scheduler.tick import tick
from fleetctl.store.audit import list_audit
from fleetctl.store.findings import list_findings
from fleetctl.store.leases import list_leases
from fleetctl.store.requests import get_request
from tests.fakes.fleet import ALICE, BOB, SchedulerFleet


def _ask(fleet: SchedulerFleet, shape: Shape, *, tenant: str = "lab", now: int = 1000, cls: str = "normal") -> str:
    request = make_request(fleet.config, tenant, shape, who=ALICE, now=now, cls=cls, duration_s=3600)
    allocate(fleet.db, fleet.inventory, request, ALICE, now=now, config=fleet.config)
    return request.id


def _state(fleet: SchedulerFleet, request: str) -> RequestState:
    with fleet.db.read() as conn:
        found = get_request(conn, request)
    assert found is not None
    return found.state


def test_a_queued_request_starts_when_a_lease_ends(fleet: SchedulerFleet) -> None:
    first = _ask(fleet, Shape(nodes=16, cards=8, chip="h100"))
    second = _ask(fleet, Shape(cards=8, chip="h100"))
    assert (_state(fleet, first), _state(fleet, second)) == (RequestState.GRANTED, RequestState.QUEUED)
    fleet.tick(4600)
    assert _state(fleet, second) is RequestState.GRANTED


def test_the_clock_jumps_ahead_and_back(fleet: SchedulerFleet) -> None:
    lease = fleet.lease("n01", cards=1, end_at=5000)
    fleet.tick(1000)
    far = 1000 + 30 * 86400
    result = tick(fleet.db, fleet.inventory, far, config=fleet.config)
    assert "clock went ahead" in result.clock
    assert fleet.lease_state(lease) == "active"
    fleet.tick(1060)  # the clock was put right: as if nothing had been
    assert fleet.lease_state(lease) == "active"
    tick(fleet.db, fleet.inventory, far, config=fleet.config)
    fleet.tick(far + 1)  # a second tick agrees: the time really passed (the laptop slept)
    assert fleet.lease_state(lease) == "ended"
    fleet.tick(500)
    assert fleet.lease_state(lease) == "ended"


def test_a_lease_outlives_its_host_and_ends_all_the_same(fleet: SchedulerFleet) -> None:
    lease = fleet.lease("n01", cards=2, end_at=2000)
    fleet.see({"n01": 0}, reach="unreachable")
    fleet.tick(1500)
    assert fleet.lease_state(lease) == "active"
    fleet.tick(2000)
    assert fleet.lease_state(lease) == "ended"


def test_a_host_back_with_fewer_cards_gives_out_only_what_is_there(fleet: SchedulerFleet) -> None:
    fleet.lease("n01", cards=1, first=7, end_at=None)
    fleet.see({"n01": 4})
    request = make_request(fleet.config, "lab", Shape(cards=5, hosts=("n01",)), who=ALICE, now=1000)
    answer = quote(fleet.db, fleet.inventory, request, now=1000, config=fleet.config)
    assert answer.placement is None
    assert answer.refusals["n01"] == "4 of 4 cards free, 5 asked for; it names 4 of its 8"
    plan = plan_drain(fleet.db, fleet.inventory, "n01", "hw: cards", who=ALICE, now=1000)
    assert plan.nodes[0].warnings == ("4 cards it had before are gone",)
    assert plan.nodes[0].leases
    fleet.tick(1000)
    with fleet.db.read() as conn:
        (finding,) = list_findings(conn, host="n01")
    assert "holds card n01-7" in finding.text
    fleet.see({"n01": 8})
    fleet.tick(1001)
    with fleet.db.read() as conn:
        assert list_findings(conn, host="n01") == []


def test_a_quota_lowered_below_use_ends_nothing_and_grants_nothing(fleet: SchedulerFleet) -> None:
    fleet.config = fleet.with_config(tenants=(Tenant("lab", max_cards=16),)).config
    held = _ask(fleet, Shape(cards=8))
    fleet.config = fleet.with_config(tenants=(Tenant("lab", max_cards=4),)).config
    waiting = _ask(fleet, Shape(cards=1))
    fleet.tick(1060)
    assert (_state(fleet, held), _state(fleet, waiting)) == (RequestState.GRANTED, RequestState.QUEUED)
    with pytest.raises(ConflictError, match="the quota of lab is 4"):
        _ask(fleet, Shape(cards=8))


def test_what_can_never_fit_is_said_at_once_even_over_quota(fleet: SchedulerFleet) -> None:
    """It would wait for its quota, or its time, and be refused then."""
    fleet.config = fleet.with_config(tenants=(Tenant("lab", max_cards=16),)).config
    _ask(fleet, Shape(cards=8))
    with pytest.raises(ConflictError, match="can never fit"):
        _ask(fleet, Shape(cards=9))


def test_nothing_is_placed_on_nodes_that_are_silent_or_leaving(fleet: SchedulerFleet) -> None:
    fleet.see({"m01": 8}, reach="unreachable")
    fleet.see({"m02": 8}, reach="stale")
    fleet.outside("m03", Admin.DRAINED, owner="root", reason="xid")
    fleet.apply(plan_drain(fleet.db, fleet.inventory, "m04", "hw: fan", who=BOB, now=1000), BOB)
    request = make_request(fleet.config, "lab", Shape(cards=1, site="s2"), who=ALICE, now=1000)
    refusals = quote(fleet.db, fleet.inventory, request, now=1000, config=fleet.config).refusals
    assert refusals["m01"] == "does not answer"
    assert refusals["m02"] == "its last answer is old"
    assert refusals["m03"] == "is drained (xid) by outside:slurm:root"
    assert refusals["m04"] == "is drained (hw: fan) by person:bob"
    assert refusals["n01"] == "is in site s1, not s2"


def test_preemption_ends_spot_for_urgent(fleet: SchedulerFleet) -> None:
    tenants = (Tenant("lab"), Tenant("ops", classes=("urgent", "normal")))
    fleet = fleet.with_config(tenants=tenants, scheduling=Scheduling(preempt=True))
    spot = _ask(fleet, Shape(nodes=4, cards=8, site="s2"), cls="spot")
    urgent = _ask(fleet, Shape(cards=8, site="s2"), tenant="ops", cls="urgent")
    fleet.tick(1060)
    assert _state(fleet, urgent) is RequestState.GRANTED
    with fleet.db.read() as conn:
        leases = list_leases(conn, live=False)
        ended = next(x for x in leases if x.request == spot)
    assert "preempted by" in ended.ended_why


def test_a_tick_with_nothing_to_do_writes_nothing(fleet: SchedulerFleet) -> None:
    fleet.tick(1000)
    before = fleet.db.data_version()
    fleet.tick(1001)
    assert fleet.db.data_version() == before


def test_every_end_is_in_the_record_once(fleet: SchedulerFleet) -> None:
    lease = fleet.lease("n01", cards=1, end_at=1500)
    for now in (1500, 1501, 1502):
        fleet.tick(now)
    with fleet.db.read() as conn:
        assert [e.verb for e in list_audit(conn, subject=lease)] == ["grant", "end_lease"]


def test_a_node_that_is_overdue_is_a_finding_until_it_is_back(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n01", "hw: fan", who=ALICE, now=1000, expected_return_at=2000)
    fleet.apply(plan)
    fleet.tick(1999)
    with fleet.db.read() as conn:
        assert list_findings(conn, host="n01") == []
    fleet.tick(2000)
    with fleet.db.read() as conn:
        (finding,) = list_findings(conn, host="n01")
    assert finding.text == "expected back since 1970-01-01 00:33 UTC: hw: fan"
    fleet.apply(plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=2001))
    fleet.tick(2002)
    with fleet.db.read() as conn:
        assert list_findings(conn, host="n01") == []
