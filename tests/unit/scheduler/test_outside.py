"""The lane of an outside scheduler: age of its word, wishes somebody ended there, deadlines, orders, reservations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleetctl.config.schema import Pool, Site
from fleetctl.errors import ConflictError, TimedOutError, UnreachableError
from fleetctl.model.admin import DrainMode, Wish
from fleetctl.model.outside import OutsideOrder
from fleetctl.model.plan import StepState
from fleetctl.model.states import Admin
from fleetctl.operations import plan_drain, plan_quarantine, reserve, unreserve
from fleetctl.scheduler.backend import (
    BackendJob,
    BackendNode,
    BackendReservation,
    BackendView,
)
from fleetctl.scheduler.ordering import carry_out
from fleetctl.store.audit import list_audit
from fleetctl.store.findings import list_findings
from fleetctl.store.nodes import get_admin, list_outside
from fleetctl.store.outside import append_order, list_jobs, list_orders, list_outside_endpoints, list_windows
from fleetctl.store.plans import list_backend_steps
from fleetctl.store.reservations import list_reservations
from fleetctl.views import jobs as jobs_view
from fleetctl.views import nodes as nodes_view
from fleetctl.views.queue import load_line
from tests.fakes.cluster import NAME, Cluster, lane_of, make_lane
from tests.fakes.fleet import ALICE, CONFIG, SchedulerFleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SchedulerFleet]:
    """As everywhere, but without limits on how much may be out."""
    loose = replace(
        CONFIG,
        sites=(Site("s1", max_drain_pct=100.0), Site("s2", max_drain_pct=100.0)),
        pools=(Pool("train", "n[01-16]", max_drain_pct=100.0),),
    )
    made = SchedulerFleet.make(tmp_path / "fleet.db", loose)
    with made.db:
        yield made


def drain(fleet: SchedulerFleet, nodes: str, mode: DrainMode = DrainMode.WAIT) -> None:
    fleet.apply(plan_drain(fleet.db, fleet.inventory, nodes, "hw: fan", who=ALICE, now=1000, mode=mode))


def row(fleet: SchedulerFleet, host: str, now: float) -> nodes_view.NodeRow:
    with fleet.db.read() as conn:
        return nodes_view.load(conn, fleet.inventory, now, config=fleet.config, host=host)[0]


async def test_silence_keeps_the_last_word_and_its_age(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    cluster.jobs["5"] = BackendJob("5", "train", "ann", "running", hosts=(hosts[0],), cards=4, nodes=1)
    cluster.jobs["6"] = BackendJob(
        "6", "next", "bob", "pending", cards=16, nodes=2, submitted_at=900, reason="Priority"
    )
    await lane.round()
    cluster.error = TimedOutError("slurmctld hangs", hint="look there")
    await clock.advance(600)
    assert not await lane.round()
    assert lane.silent
    with fleet.db.read() as conn:
        (endpoint,) = list_outside_endpoints(conn)
        (finding,) = list_findings(conn)
        assert len(list_outside(conn)) == len(hosts)
        assert len(list_jobs(conn)) == 2
        (waiting,) = load_line(conn, fleet.config, clock.now())
    assert (endpoint.ok_at, endpoint.trouble_since) == (1000, 1600)
    assert finding.text == "slurmctld hangs; its last answer is 10 min old"
    assert row(fleet, hosts[0], 1600.0).outside == f"{NAME}: idle (10m ago)"
    assert row(fleet, hosts[0], 1600.0).jobs == ("5 ann",)
    assert (waiting.request.id, waiting.request.shape.cards, waiting.request.note) == (f"{NAME}/6", 8, "Priority")
    cluster.error = None
    await lane.round()
    with fleet.db.read() as conn:
        assert list_findings(conn) == []
        assert jobs_view.load(conn, fleet.inventory, clock.now())[0].seen_at == 1600


async def test_many_nodes_cost_one_query_before_and_one_after(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, hosts = lane_of(fleet)
    await lane.round()
    cluster.asked.clear()
    drain(fleet, ",".join(hosts))
    await lane.act()
    assert cluster.asked == ["read", *["drain"] * 6, "read"]
    assert {row(fleet, h, 1000.0).admin for h in hosts} == {Admin.DRAINED}


async def test_a_drain_is_not_over_before_its_scheduler_knows(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    await lane.round()
    drain(fleet, hosts[0])
    cluster.error = UnreachableError("gone")
    await lane.act()
    await lane.act()
    assert cluster.asked.count("read_node") == 1, "it is not hammered"
    assert fleet.state(hosts[0]) is Admin.DRAINING
    cluster.error = None
    await clock.advance(60)
    await lane.act()
    assert fleet.state(hosts[0]) is Admin.DRAINED


async def test_a_node_it_does_not_know_any_more_fails_the_step(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, hosts = lane_of(fleet)
    await lane.round()
    drain(fleet, ",".join(hosts))
    del cluster.nodes[hosts[0]]
    await lane.act()
    with fleet.db.read() as conn:
        assert list_backend_steps(conn) == []
        assert "backend_failed" in {e.verb for e in list_audit(conn, subject=hosts[0])}


async def test_what_somebody_resumes_there_ends_our_drain_but_not_a_quarantine(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, hosts = lane_of(fleet)
    await lane.round()
    drain(fleet, hosts[0])
    fleet.apply(plan_quarantine(fleet.db, fleet.inventory, hosts[1], "hw: ecc", who=ALICE, now=1000))
    await lane.act()
    for host in hosts[:2]:
        await cluster.resume(host)
    cluster.asked.clear()
    await lane.round()
    with fleet.db.read() as conn:
        assert get_admin(conn, hosts[0]).wish is Wish.SERVE
        assert get_admin(conn, hosts[0]).released == f"resumed in {NAME} by somebody else"
        assert get_admin(conn, hosts[1]).wish is Wish.QUARANTINE
    assert "drain" not in cluster.asked, "two that know better do not fight"


async def test_a_deadline_ends_jobs_only_where_the_drain_was_told(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    for number, host in enumerate(hosts[:2]):
        cluster.jobs[str(number)] = BackendJob(str(number), "train", "ann", "running", hosts=(host,), cards=8, nodes=1)
        cluster.nodes[host] = cluster.node(host, busy=True, cards_used=8)
    await lane.round()
    drain(fleet, hosts[0], DrainMode.NOW)
    drain(fleet, hosts[1])
    await lane.round()
    assert "cancel" not in cluster.asked
    await clock.advance(60)
    await lane.round()
    await clock.advance(60)
    await lane.round()
    assert list(cluster.jobs) == ["1"], "the other drain waits"
    assert cluster.asked.count("cancel") == 1
    assert row(fleet, hosts[0], clock.now()).admin is Admin.DRAINED
    assert row(fleet, hosts[1], clock.now()).admin is Admin.DRAINING


async def test_a_submit_that_may_have_happened_is_not_repeated(fleet: SchedulerFleet) -> None:
    _lane, cluster, _clock, _hosts = lane_of(fleet)
    order = OutsideOrder("o-1", NAME, "submit", ALICE, 1000, {"script": "#!/bin/sh\n", "name": "a", "partition": "",
                         "nodes": 1, "cards": 0, "duration_s": 60})  # fmt: skip
    with fleet.db.write() as conn:
        assert append_order(conn, order)
        conn.execute("UPDATE outside_order SET state = 'doing', attempts = 1, ended_at = 1000")
        (begun,) = list_orders(conn)
    assert await carry_out(fleet.db, cluster, begun, 1001) is StepState.DOING  # type: ignore[arg-type]
    assert cluster.asked == [], "it may still come to effect"
    cluster.error, cluster.lose = UnreachableError("gone"), True
    with fleet.db.write() as conn:
        append_order(conn, OutsideOrder("o-2", NAME, "submit", ALICE, 1000, order.body))
        append_order(conn, OutsideOrder("o-3", NAME, "cancel", ALICE, 1000, {"job": "5"}))

    async def again(now: int) -> dict[str, tuple[StepState, str]]:
        with fleet.db.read() as conn:
            orders = list_orders(conn)
        for one in orders:
            await carry_out(fleet.db, cluster, one, now)  # type: ignore[arg-type]
        with fleet.db.read() as conn:
            return {o.id: (o.state, o.answer) for o in list_orders(conn, only_open=False)}

    states = await again(1002)
    assert {o: s for o, (s, _a) in states.items()} == {
        "o-1": StepState.DOING,
        "o-2": StepState.DOING,
        "o-3": StepState.PENDING,
    }
    cluster.error, cluster.lose = None, False
    states = await again(1100)
    assert states["o-2"] == (StepState.DONE, "7"), "found by its mark"
    assert states["o-1"] == (StepState.DONE, "8"), "was not there: submitted now"
    assert [j.mark for j in cluster.jobs.values()] == ["o-2", "o-1"]


async def test_reservations_follow_ours_and_nobody_elses(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, hosts = lane_of(fleet)
    cluster.windows["theirs"] = BackendReservation("theirs", (hosts[1],), 900, 9000)
    cluster.windows["fleetctl_other"] = BackendReservation("fleetctl_other", (hosts[2],), 900, 9000, ours=True)
    held = reserve(
        fleet.db, fleet.inventory, hosts[0], "lab", who=ALICE, now=1000, start_at=1000, end_at=5000, reason="x"
    )
    await lane.round()
    assert set(cluster.windows) == {"theirs", "fleetctl_other", f"fleetctl_{held.id}"}
    await lane.round()
    assert cluster.asked.count("reserve") == 1
    unreserve(fleet.db, held.id, ALICE, now=1001)
    await lane.round()
    assert set(cluster.windows) == {"theirs", "fleetctl_other"}
    cluster.error = None
    with fleet.db.read() as conn:
        assert {w.name for w in list_windows(conn)} <= {"theirs", "fleetctl_other", f"fleetctl_{held.id}"}


async def test_a_reservation_somebody_removed_there_is_not_made_again(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    words = {"who": ALICE, "now": 1000, "start_at": 1000, "reason": "x"}
    held = reserve(fleet.db, fleet.inventory, hosts[0], "lab", end_at=5000, **words)  # type: ignore[arg-type]
    ends = reserve(fleet.db, fleet.inventory, hosts[1], "lab", end_at=1030, **words)  # type: ignore[arg-type]
    await lane.round()
    lane = make_lane(fleet, cluster)  # an engine that begins anew still knows that it was there
    await lane.round()
    cluster.windows.clear()
    await clock.advance(10)
    await lane.round()
    assert not cluster.windows, "its owner has the last word"
    with fleet.db.read() as conn:
        states = {r.id: r.state for r in list_reservations(conn, only_planned=False)}
        said = [e for e in list_audit(conn) if e.verb == "unreserve"]
    assert states == {held.id: "cancelled", ends.id: "planned"}, "what ends now was not removed"
    assert [(e.subject, e.body["why"]) for e in said] == [(held.id, f"removed in {NAME} by somebody else")]


async def test_a_reservation_that_was_never_seen_there_is_made_after_a_crash(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    reserve(fleet.db, fleet.inventory, hosts[0], "lab", who=ALICE, now=1000, start_at=1000, end_at=5000, reason="x")
    cluster.error = UnreachableError("the way was lost")
    cluster.read = _answers(cluster)  # type: ignore[method-assign]
    await lane.round()
    assert not cluster.windows
    cluster.error = None
    await lane.round()
    assert cluster.asked.count("reserve") == 1, "not hammered"
    await clock.advance(61)
    await lane.round()
    assert len(cluster.windows) == 1
    await make_lane(fleet, cluster).round()
    assert cluster.asked.count("reserve") == 2, "and nothing is doubled"


def _answers(cluster: Cluster) -> Callable[[], Awaitable[BackendView]]:
    """Reading works, whatever becomes of the rest."""
    read = cluster.read

    async def only_read() -> BackendView:
        error, cluster.error = cluster.error, None
        try:
            return await read()
        finally:
            cluster.error = error

    return only_read


async def test_a_refused_reservation_is_said_once(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, hosts = lane_of(fleet)

    async def refuse(*words: object, **more: object) -> str:
        raise ConflictError("Requested nodes are busy")

    cluster.reserve = refuse  # type: ignore[method-assign, assignment]
    held = reserve(
        fleet.db, fleet.inventory, hosts[0], "lab", who=ALICE, now=1000, start_at=1000, end_at=5000, reason="x"
    )
    await lane.round()
    await lane.round()
    with fleet.db.read() as conn:
        assert [e.verb for e in list_audit(conn, subject=held.id)].count("backend_failed") == 1


async def test_a_node_it_calls_down_is_a_finding_and_strangers_are_counted(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, hosts = lane_of(fleet)
    cluster.nodes[hosts[0]] = BackendNode(
        hosts[0], Admin.IN_SERVICE, "down+not_responding", "Not responding", held=False, responding=False, busy=False
    )
    cluster.nodes["stranger"] = cluster.node("stranger", Admin.DRAINED, "x")
    await lane.round()
    with fleet.db.read() as conn:
        (finding,) = list_findings(conn)
        (endpoint,) = list_outside_endpoints(conn)
        assert "stranger" not in list_outside(conn)
    assert (finding.host, finding.text) == (hosts[0], f"{NAME} says down+not_responding: Not responding")
    assert (endpoint.nodes, endpoint.strangers) == (7, 1)
    cluster.nodes[hosts[0]] = cluster.node(hosts[0])
    await lane.round()
    with fleet.db.read() as conn:
        assert list_findings(conn) == []
