"""Return-to-service checks, guards and the breaker: what passes, what does not, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace

from fleetctl.config.schema import Config, Guards, HostGroup, Pool, Rack, Site
from fleetctl.inventory.inventory import build_inventory
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.operations import plan_quarantine
from fleetctl.operations.recheck import recheck, return_to_service
from fleetctl.scheduler.automation import act_by_rule
from fleetctl.scheduler.breaker import breaker_state, pass_breaker, reset_breaker
from fleetctl.scheduler.checks import Baseline, NodeEvidence, baseline_of, check_return, passed
from fleetctl.scheduler.guards import check_guards, confirm_count
from fleetctl.scheduler.states import parse_reason
from fleetctl.store.scheduler_facts import list_verifications
from fleetctl.views import verifications
from tests.fakes.fleet import ALICE, RULE, SchedulerFleet

GOOD = {"mem_total_bytes": 80e9, "temp_c": 45.0, "ecc_uncorrected_total": 0.0, "links_up": 18.0}
BASE = Baseline("H100", 3, 80e9, 18.0, None)
NODE = NodeEvidence("n1", "fresh", 1000, 8, {f"c{i}": GOOD for i in range(8)})


def verdicts(node: NodeEvidence, base: Baseline = BASE) -> dict[str, bool | None]:
    return {c.name: c.ok for c in check_return(node, base, 1010, warm_c=85, fresh_s=150)}


def test_a_good_node_passes() -> None:
    assert passed(check_return(NODE, BASE, 1010, warm_c=85, fresh_s=150))


def test_each_thing_that_keeps_a_node_out() -> None:
    cards = dict(NODE.cards)
    assert verdicts(replace(NODE, reach="stale"))["answers"] is False
    assert verdicts(replace(NODE, answer_at=500))["answers"] is False
    assert verdicts(replace(NODE, expected_cards=9))["cards"] is False
    assert verdicts(replace(NODE, gone=("c9",)))["cards"] is False
    assert verdicts(replace(NODE, critical=("xid 79",)))["findings"] is False
    for metric, value, check in (
        ("mem_total_bytes", 70e9, "memory"),
        ("temp_c", 90.0, "temperature"),
        ("ecc_uncorrected_total", 1.0, "ecc"),
        ("links_up", 17.0, "links"),
        ("throttled", 1.0, "throttling"),
    ):
        bad = replace(NODE, cards={**cards, "c3": {**GOOD, metric: value}})
        assert verdicts(bad)[check] is False, check
        assert not passed(check_return(bad, BASE, 1010, warm_c=85, fresh_s=150))


def test_what_cannot_be_told_does_not_pass_where_it_is_needed() -> None:
    cold = {k: v for k, v in GOOD.items() if k != "temp_c"}
    blind = replace(NODE, cards={**NODE.cards, "c3": cold})
    assert verdicts(blind)["temperature"] is None
    assert not passed(check_return(blind, BASE, 1010, warm_c=85, fresh_s=150))
    alone = check_return(NODE, Baseline("H100"), 1010, warm_c=85, fresh_s=150)
    assert {c.name: c.ok for c in alone}["memory"] is None
    assert passed(alone)  # no peer to compare with is no fault of the node


def test_the_baseline_is_the_middle_of_the_peers() -> None:
    peers = [{"a": {"mem_total_bytes": m}} for m in (79.0, 80.0, 12.0)]
    assert baseline_of("H100", peers).mem_total_bytes == 79.0
    assert baseline_of("H100", []).links_total is None


def test_recheck_is_kept_and_brings_a_quarantined_node_back(fleet: SchedulerFleet) -> None:
    with fleet.db.write() as conn:
        columns = {r[1] for r in conn.execute("PRAGMA table_info(card_samples)")}
        for name in ("mem_total_bytes", "temp_c"):
            if name not in columns:
                conn.execute(f"ALTER TABLE card_samples ADD COLUMN {name} REAL")
        conn.execute(
            "INSERT INTO card_samples (slot, device, mem_total_bytes, temp_c) SELECT 900, id, 8e10, 40 FROM devices"
        )
    fleet.apply(plan_quarantine(fleet.db, fleet.inventory, "n01", "hw: xid 79", who=ALICE, now=950))
    result = recheck(fleet.db, fleet.inventory, "n01", who=ALICE, now=960, config=fleet.config)
    assert result.ok, result.lines()
    words = return_to_service(fleet.db, fleet.inventory, result, who=ALICE, now=961, config=fleet.config)
    assert words == f"in service again: check {result.id} passed"
    assert fleet.state("n01") == "in_service"
    with fleet.db.read() as conn:
        (kept,) = list_verifications(conn, "n01")
        (released,) = conn.execute("SELECT released FROM node_admin WHERE host = 'n01'").fetchone()
        shown = verifications.load(conn, "n01")
        assert verifications.load(conn, "n02") == []
    assert (kept.id, kept.ok) == (result.id, True)
    assert [(row.check, row.ok) for row in shown] == [(c.name, c.ok) for c in result.checks]
    assert {(row.at, row.who) for row in shown} == {(960, str(ALICE))}
    assert f"check {result.id} passed" in released


def test_guards_count_pools_racks_sites_and_power_domains() -> None:
    config = Config(
        sites=(Site("s", max_drain_pct=50.0, max_drain_nodes=6),),
        racks=(
            Rack("r1", "s", nodes="n[01-10]", power_domain="ups-a"),
            Rack("r2", "s", nodes="n[11-20]", power_domain="ups-a"),
        ),
        pools=(Pool("p", "n[01-05]", max_drain_pct=10.0),),
        hosts=(HostGroup("n[01-20]", "s"),),
        guards=Guards(max_nodes=8, max_rack_pct=50.0, max_power_nodes=5, confirm_above_pct=10.0),
    )
    inventory = build_inventory(config)

    def refused(out: list[str], leaving: list[str]) -> set[tuple[str, str]]:
        return {(g.scope, g.name) for g in check_guards(inventory, config, out, leaving) if not g.ok}

    names = [f"n{i:02}" for i in range(1, 21)]
    assert refused([], names[:1]) == set()  # 10 % of five rounds to one
    assert refused([], names[:2]) == {("pool", "p")}
    assert refused(["n01"], names[1:2]) == {("pool", "p")}
    assert refused(["n01"], ["n01"]) == set()  # out already: nothing more leaves
    assert refused([], names[5:10]) == set()
    assert refused([], names[5:11]) == {("power", "ups-a")}
    assert refused(["n20"], names[5:10]) == {("power", "ups-a")}
    assert refused([], names[5:14]) == {("plan", "nodes"), ("power", "ups-a"), ("site", "s")}
    assert confirm_count(inventory, config, names[:2]) is None
    assert confirm_count(inventory, config, names[:3]) == 3


def test_the_breaker_stops_rules_and_only_a_person_resets_it(fleet: SchedulerFleet) -> None:
    reason = parse_reason("hw: xid 79")
    for host in ("m01", "m02"):
        assert act_by_rule(fleet.db, fleet.inventory, fleet.config, "quarantine", host, RULE, reason, 1000) == ""
    held = act_by_rule(fleet.db, fleet.inventory, fleet.config, "quarantine", "m03", RULE, reason, 1001)
    assert "held back" in held
    assert fleet.state("m03") == "in_service"
    with fleet.db.read() as conn:
        assert breaker_state(conn, fleet.config, 1002).tripped_at == 1001
    with fleet.db.write() as conn:
        assert pass_breaker(conn, fleet.config, 1002, ALICE, "drain", ["n01"]) == ""
        assert reset_breaker(conn, fleet.config, 1003, ALICE)
        assert not reset_breaker(conn, fleet.config, 1003, ALICE)
    fleet.tick(1004)  # what was held is tried again
    assert fleet.state("m03") == "quarantined"


def test_a_rule_is_told_what_it_may_not(fleet: SchedulerFleet) -> None:
    stranger = Actor(ActorKind.RULE, "other")
    reason = parse_reason("hw: xid 79")
    assert act_by_rule(fleet.db, fleet.inventory, fleet.config, "drain", "n01", RULE, reason, 1000) == ""
    assert "held by rule:lemon" in act_by_rule(
        fleet.db, fleet.inventory, fleet.config, "resume", "n01", stranger, reason, 1001
    )
    assert act_by_rule(fleet.db, fleet.inventory, fleet.config, "resume", "n01", RULE, reason, 1002) == ""
    assert (
        act_by_rule(fleet.db, fleet.inventory, fleet.config, "drain", "zz", RULE, reason, 1002)
        == "is not in this fleet"
    )
