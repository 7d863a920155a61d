"""What askers are told: cards that are not free without a lease, hosts nobody has heard, nodes that never come back."""

from __future__ import annotations

from fleetctl.config.schema import HostGroup, Price, Scheduling
from fleetctl.model.lease import Latency, RequestState, Shape
from fleetctl.operations import allocate, make_request, plan_life, plan_quarantine, quote, release
from fleetctl.scheduler.kept import kept_fleet
from fleetctl.scheduler.quote import Quote
from fleetctl.scheduler.tick import tick
from fleetctl.store.requests import get_request
from tests.fakes.fleet import ALICE, SchedulerFleet


def work(
    fleet: SchedulerFleet, host: str, card: int, pid: int, user: str | None = "carol", name: str = "python"
) -> None:
    with fleet.db.write() as conn:
        conn.execute(
            "INSERT INTO processes (host, pid, device, name, user, at) SELECT id, ?, ?, ?, ?, 950 FROM hosts WHERE name = ?",
            (pid, f"{host}-{card}", name, user, host),
        )


def ask(fleet: SchedulerFleet, shape: Shape, now: int = 1000) -> Quote:
    request = make_request(fleet.config, "lab", shape, who=ALICE, now=now, duration_s=600)
    return quote(fleet.db, fleet.inventory, request, now=now, config=fleet.config)


def test_a_card_on_which_a_process_runs_without_a_lease_is_not_given_out(fleet: SchedulerFleet) -> None:
    on = ("n01", "n02")
    work(fleet, "n01", 3, 4711)
    work(fleet, "n01", 3, 4712)
    work(fleet, "n02", 0, 9, name="/usr/bin/nv-hostengine")
    stray = "process 4711 of carol runs there without a lease"
    whole = ask(fleet, Shape(cards=0, hosts=on))
    assert whole.placement is not None
    assert whole.placement.hosts == ("n02",)
    assert whole.refusals["n01"] == f"the whole node was asked for, {stray}"
    assert ask(fleet, Shape(cards=8, hosts=on)).refusals["n01"] == f"7 of 8 cards free, 8 asked for; card 3: {stray}"
    seven = ask(fleet, Shape(cards=7, hosts=("n01",))).placement
    assert seven is not None
    assert "3" not in [hold.index for hold in seven.holds]
    alone = ask(fleet, Shape(cards=0, hosts=("n01",)))
    assert alone.at is None  # nobody knows when it ends
    open_to_all = fleet.with_config(scheduling=Scheduling(stray_processes="ignore"))
    assert ask(open_to_all, Shape(cards=0, hosts=("n01",))).placement is not None


def test_work_under_a_lease_is_no_stray_until_the_lease_ends(fleet: SchedulerFleet) -> None:
    lease = fleet.lease("n01", cards=1, first=3, end_at=None)
    work(fleet, "n01", 3, 4711, None)
    with fleet.db.read() as conn, kept_fleet(fleet.db, conn, fleet.inventory, fleet.config, 1000) as kept:
        assert kept.core.strays() == {}
    release(fleet.db, lease, ALICE, now=1001, config=fleet.config)
    assert "process 4711 runs there without a lease" in ask(fleet, Shape(cards=8, hosts=("n01",)), 1001).refusals["n01"]
    with fleet.db.write() as conn:
        conn.execute("DELETE FROM processes")
    assert ask(fleet, Shape(cards=8, hosts=("n01",)), 1002).placement is not None


def test_a_stale_host_is_refused_for_its_age_and_not_for_what_it_said_then(fleet: SchedulerFleet) -> None:
    work(fleet, "n01", 3, 4711)
    fleet.see({"n01": 8}, reach="stale")
    assert ask(fleet, Shape(cards=8, hosts=("n01",))).refusals["n01"] == "its last answer is old"


def test_before_a_host_was_heard_nothing_is_said_to_be_impossible(fleet: SchedulerFleet) -> None:
    """The request waits, holds nobody up, and starts once the hosts have spoken."""
    blank = HostGroup("x[1-3]", "s2")
    blind = fleet.with_config(hosts=(*fleet.config.hosts, blank))
    wish = make_request(blind.config, "lab", Shape(nodes=2, chip="B200", site="s2"), who=ALICE, now=1000)
    answer = quote(blind.db, blind.inventory, wish, now=1000, config=blind.config)
    assert (answer.at, answer.why) == (
        None,
        "not known yet: 2 nodes are asked for, 0 of those heard could take it; 3 never heard (x[1-3]): `fleetctl poll` asks"
        " them, `fleetctl doctor` says why",
    )
    assert answer.refusals["x1"] == "was never heard: what it has is not known yet"
    queued = allocate(blind.db, blind.inventory, wish, ALICE, now=1000, config=blind.config)
    assert queued.state is RequestState.QUEUED
    assert queued.note == answer.why
    other = make_request(blind.config, "lab", Shape(cards=8), who=ALICE, now=1001)
    assert allocate(blind.db, blind.inventory, other, ALICE, now=1001, config=blind.config).lease
    with blind.db.write() as conn:
        for number in (1, 2):
            conn.execute(
                "INSERT INTO hosts (name, reach, reach_since, report_at, answer_at, slot) VALUES (?,'fresh',1,1,1,1)",
                (f"x{number}",),
            )
            conn.execute(
                "INSERT INTO devices (host, kind, key, number, chip, first_at)"
                " SELECT id, 'card', 'k', '0', 'B200', 1 FROM hosts WHERE name = ?",
                (f"x{number}",),
            )
    tick(blind.db, blind.inventory, 1060, config=blind.config)
    with blind.db.read() as conn:
        granted = get_request(conn, wish.id)
    assert granted is not None
    assert granted.state is RequestState.GRANTED


def test_retired_nodes_and_those_away_for_repair_are_not_counted(fleet: SchedulerFleet) -> None:
    for host in ("m01", "m02"):
        fleet.apply(
            plan_quarantine(fleet.db, fleet.inventory, host, "hw: dead", who=ALICE, now=1000, config=fleet.config)
        )
    fleet.apply(
        plan_life(fleet.db, fleet.inventory, "retire", "m01", "hw: dead", who=ALICE, now=1001, config=fleet.config)
    )
    answer = ask(fleet, Shape(nodes=4, cards=8, site="s2"))
    assert answer.why == "can never fit: 4 nodes are asked for, 3 could ever take it"
    assert answer.nearest == "3 nodes of 8 cards"
    fleet.apply(
        plan_life(fleet.db, fleet.inventory, "rma", "m02", "hw: dead", who=ALICE, now=1002, config=fleet.config)
    )
    assert ask(fleet, Shape(nodes=4, cards=8, site="s2")).why.endswith("4 nodes are asked for, 2 could ever take it")
    assert ask(fleet, Shape(nodes=3, cards=8, site="s2")).why == (
        "not known yet: 3 nodes are asked for, 2 of those heard could take it;"
        " 1 away for repair (m02): `fleetctl resume` or `recheck` brings them back"
    )


def test_the_nearest_that_could_names_what_stands_in_the_way(fleet: SchedulerFleet) -> None:
    priced = fleet.with_config(prices=(Price("H100 SXM5 80GB", 12.5), Price("Ascend 910B", 8.0)))
    assert ask(priced, Shape(cards=8, price_ceiling=5.0)).nearest == "--max-price 8"
    assert ask(priced, Shape(nodes=9, cards=8, same="rack")).nearest == "8 nodes of 8 cards"
    assert ask(priced, Shape(cards=8, latency=Latency.REALTIME)).nearest == "the same without --latency"
