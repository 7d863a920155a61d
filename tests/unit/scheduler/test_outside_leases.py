"""Leases another scheduler gives: routed, submitted once whatever crashes, granted, renewed, given back, over."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.config.schema import Hooks, Scheduler, SchedulerClass, Tenant
from fleetctl.errors import AuthError, ConflictError, FleetctlError, NotFoundError, UnreachableError
from fleetctl.model.lease import Latency, LeaseState, Request, RequestState, Shape
from fleetctl.model.outside import OutsideOrder
from fleetctl.operations.allocate import allocate, make_request, quote, release, renew
from fleetctl.operations.orders import submit_job
from fleetctl.scheduler.outside_leases import ATTEMPTS, LATE_S
from fleetctl.scheduler.tick import tick
from fleetctl.store.leases import get_lease, list_holds, list_leases
from fleetctl.store.outside_requests import list_outside_requests
from fleetctl.store.requests import get_request, list_queue
from fleetctl.views.leases import load_leases
from fleetctl.views.queue import load_line
from tests.fakes.cluster import NAME, Cluster, lane_of, make_lane
from tests.fakes.fleet import ALICE, CONFIG, SchedulerFleet

LATE = LATE_S + 25
OWNED = replace(CONFIG, schedulers=(Scheduler(site="s1", name=NAME),))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SchedulerFleet]:
    made = SchedulerFleet.make(tmp_path / "fleet.db", OWNED)
    with made.db:
        yield made


def ask(fleet: SchedulerFleet, now: float = 1000, via: str = "", **shape: object) -> Request:
    theirs = tuple(f"n{i:02}" for i in range(1, 7))
    asked = Shape(**{"nodes": 1, "cards": 2, "hosts": theirs, **shape})  # type: ignore[arg-type]
    request = make_request(fleet.config, "games", asked, who=ALICE, now=now, duration_s=3600)
    return allocate(fleet.db, fleet.inventory, request, ALICE, now=now, config=fleet.config, via=via)


def state_of(fleet: SchedulerFleet, request: Request) -> Request:
    with fleet.db.read() as conn:
        found = get_request(conn, request.id)
    assert found is not None
    return found


async def test_asked_granted_renewed_given_back(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    await lane.round()
    request = ask(fleet)
    assert (request.state, request.note) == (RequestState.QUEUED, f"asked of {NAME}, partition all: it says when")
    with fleet.db.read() as conn:
        assert list_queue(conn) == [], "our own queue leaves it alone"
        (line,) = load_line(conn, fleet.config, 1000)
    assert line.request.id == request.id
    await lane.act()
    (wanted,) = cluster.wanted
    assert (wanted.nodes, wanted.cards, wanted.partition, wanted.duration_s) == (1, 2, "all", 3600)
    await clock.advance(5)
    await lane.round()
    assert state_of(fleet, request).note == f"{NAME} job 7: pending"

    cluster.start("7", hosts[0], end_at=int(clock.now()) + 3600)
    await lane.round()
    with fleet.db.read() as conn:
        (lease,) = list_leases(conn)
        (row,) = load_leases(conn, clock.now())
    assert (lease.hosts, lease.start_at, lease.end_at, row.job) == ((hosts[0],), 1005, 4605, f"{NAME}/7")
    assert [h.index for h in lease.holds] == ["0", "1"]
    assert state_of(fleet, request).lease == lease.id

    renew(fleet.db, lease.id, ALICE, now=clock.now(), end_at=9000, config=fleet.config)
    await lane.round()  # the old end, read before ours was told, does not win
    await lane.act()
    assert cluster.jobs["7"].end_at == 9000
    cluster.jobs["7"] = replace(cluster.jobs["7"], end_at=9600)  # an administrator gives more
    await lane.round()
    with fleet.db.read() as conn:
        assert (list_leases(conn)[0].end_at, list_leases(conn)[0].state) == (9600, LeaseState.ACTIVE)

    release(fleet.db, lease.id, ALICE, now=clock.now(), config=fleet.config)
    await lane.act()
    assert not cluster.jobs
    await clock.advance(5)
    await lane.round()
    with fleet.db.read() as conn:
        assert not list_outside_requests(conn)
        assert not list_holds(conn)


async def test_a_job_that_ends_there_ends_the_lease_without_hooks_of_ours(fleet: SchedulerFleet) -> None:
    fleet = fleet.with_config(hooks=Hooks(prolog="true", epilog="true"))
    lane, cluster, clock, hosts = lane_of(fleet)
    await lane.round()
    request = ask(fleet)
    await lane.act()
    cluster.start("7", hosts[1])
    await lane.round()
    await clock.advance(5)
    del cluster.jobs["7"]
    cluster.over["7"] = "preempted"
    assert "fates" not in cluster.asked, "asked for only when there is something to ask"
    await lane.round()
    with fleet.db.read() as conn:
        lease = get_lease(conn, state_of(fleet, request).lease or "")
    assert lease is not None
    assert (lease.state, lease.ended_why) == (LeaseState.ENDED, f"job 7 is over in {NAME}: preempted")


async def test_withdrawn_lapsed_or_cancelled_there(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, _hosts = lane_of(fleet)
    await lane.round()
    early, told = ask(fleet), ask(fleet)
    release(fleet.db, early.id, ALICE, now=1000, config=fleet.config)
    await lane.act()
    assert list(cluster.jobs) == ["7"], "withdrawn before it was told: never told"
    await clock.advance(5)
    del cluster.jobs["7"]
    await lane.round()
    assert state_of(fleet, told).state is RequestState.CANCELLED
    assert "never ran" in state_of(fleet, told).note

    request = make_request(
        fleet.config,
        "games",
        Shape(cards=2, hosts=("n01",)),
        who=ALICE,
        now=clock.now(),
        latest_start_at=clock.now() + 60,
    )
    allocate(fleet.db, fleet.inventory, request, ALICE, now=clock.now(), config=fleet.config)
    await lane.act()
    await clock.advance(61)
    await lane.act()
    assert state_of(fleet, request).state is RequestState.LAPSED
    assert not cluster.jobs


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_lost_answer_is_looked_for_and_never_sent_twice(fleet: SchedulerFleet, carried_out: bool) -> None:
    lane, cluster, clock, _hosts = lane_of(fleet)
    await lane.round()
    ask(fleet)
    cluster.error, cluster.lose = UnreachableError("cut"), carried_out
    await lane.act()
    cluster.error = None
    await lane.act()
    assert cluster.asked.count("hold") == 1, "it may still come to effect"
    await clock.advance(LATE)
    await lane.act()
    await lane.act()
    assert len(cluster.jobs) == 1
    assert cluster.asked.count("hold") == (1 if carried_out else 2)


async def test_a_second_job_of_one_request_is_cancelled(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, _hosts = lane_of(fleet)
    await lane.round()
    ask(fleet)
    await lane.act()
    cluster.jobs["99"] = replace(cluster.jobs["7"], id="99")
    cluster.jobs["98"] = replace(cluster.jobs["7"], id="98", mark="r-nobody-knows")
    await lane.round()
    assert sorted(cluster.jobs) == ["7", "98"], "a mark that is not in our store is another fleetctl's"
    late = cluster.jobs["7"]
    await clock.advance(5)
    del cluster.jobs["7"]
    await lane.round()
    cluster.jobs["7"] = late  # came back from the dead
    await lane.round()
    assert sorted(cluster.jobs) == ["98"], "nothing is held for a request that is over"


async def test_leases_there_do_not_trouble_our_own_line(fleet: SchedulerFleet) -> None:
    """Also where Slurm tells no index: then its cards have names we never heard."""
    lane, cluster, clock, hosts = lane_of(fleet)
    await lane.round()
    first, second = ask(fleet), ask(fleet)
    await lane.act()
    cluster.start("7", hosts[0], places={})
    cluster.start("8", "nobody-knows", cards=1, places={})
    await lane.round()
    assert {state_of(fleet, r).state for r in (first, second)} == {RequestState.GRANTED}
    assert ask(fleet, hosts=("m01",), now=clock.now()).state is RequestState.GRANTED
    tick(fleet.db, fleet.inventory, clock.now() + 60, config=fleet.config)
    answer = quote(
        fleet.db,
        fleet.inventory,
        make_request(fleet.config, "games", Shape(hosts=("m01",), cards=2), who=ALICE, now=clock.now()),
        now=clock.now(),
        config=fleet.config,
    )
    assert answer.placement is not None
    assert answer.placement.hosts == ("m01",)


async def test_what_it_refuses_is_the_answer(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, _hosts = lane_of(fleet)
    await lane.round()
    request = ask(fleet)
    cluster.error = AuthError("invalid account")
    await lane.act()
    found = state_of(fleet, request)
    assert (found.state, found.note) == (RequestState.IMPOSSIBLE, "invalid account")
    with fleet.db.read() as conn:
        assert not list_outside_requests(conn)


async def test_a_card_we_gave_to_somebody_is_not_given_twice(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    fleet.see({hosts[0]: 8})
    fleet.lease(hosts[0], cards=2, end_at=None)
    await lane.round()
    request = ask(fleet)
    await lane.act()
    cluster.start("7", hosts[0], cards=4)
    await lane.round()
    with fleet.db.read() as conn:
        assert len(list_leases(conn)) == 1
    assert state_of(fleet, request).state is RequestState.CANCELLED
    await clock.advance(5)
    await lane.act()
    assert not cluster.jobs


async def test_a_quota_counts_what_waits_there(fleet: SchedulerFleet) -> None:
    fleet = fleet.with_config(tenants=(Tenant(name="games", max_cards=3),))
    lane, cluster, _clock, _hosts = lane_of(fleet)
    await lane.round()
    first, second = ask(fleet), ask(fleet)
    await lane.act()
    assert len(cluster.jobs) == 1
    notes = {state_of(fleet, r).note for r in (first, second)}
    assert any("quota of games" in note for note in notes)


async def test_where_a_request_goes(fleet: SchedulerFleet) -> None:
    lane, _cluster, _clock, hosts = lane_of(fleet)
    await lane.round()
    assert not ask(fleet, hosts=()).note.startswith("asked of"), "where both would do, ours goes first"
    there = ask(fleet, hosts=tuple(hosts[:2]))
    assert there.note.startswith(f"asked of {NAME}")
    assert ask(fleet, via=f"{NAME}/all", hosts=()).note.startswith(f"asked of {NAME}")
    with fleet.db.read() as conn:
        rows = {r.request: r for r in list_outside_requests(conn)}
    assert rows[there.id].body["hosts"] == "n[01-02]"
    answer = quote(
        fleet.db,
        fleet.inventory,
        make_request(fleet.config, "games", Shape(hosts=tuple(hosts[:1])), who=ALICE, now=1000),
        now=1000,
        config=fleet.config,
    )
    assert (answer.via, answer.at) == (NAME, None)
    for wrong, words in (({"milli": 500, "cards": 1}, "whole cards"), ({"nodes": 7}, "not in one partition")):
        with pytest.raises(ConflictError, match=words):
            ask(fleet, via=NAME, **wrong)
    with pytest.raises(NotFoundError):
        ask(fleet, via="nosuch")


class Killed(BaseException):
    """The process ends here."""


STEPS = st.lists(
    st.sampled_from(["round", "act", "late", "lose", "kill", "start", "end", "release", "renew", "down"]), max_size=25
)


@settings(max_examples=30, deadline=None)
@given(STEPS)
async def test_no_history_submits_twice_or_loses_a_wish(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fleet = SchedulerFleet.make(Path(folder) / "fleet.db", OWNED)
        with fleet.db:
            await _play(fleet, steps)


async def _play(fleet: SchedulerFleet, steps: list[str]) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    await lane.round()
    request = ask(fleet)
    for step in steps:
        await clock.advance(3)
        lane = await _one(fleet, cluster, lane, step, request, hosts)
        live = [j for j in cluster.jobs.values() if j.mark]
        assert len(live) <= 1, "never two jobs for one request"
    cluster.error, cluster.lose = None, False
    for _ in range(2 * ATTEMPTS):
        await clock.advance(LATE)
        lane = make_lane(fleet, cluster)
        await lane.round()
        await lane.act()
    now = state_of(fleet, request)
    with fleet.db.read() as conn:
        leases, rows = list_leases(conn), list_outside_requests(conn)
    if now.state is RequestState.QUEUED:
        assert len(cluster.jobs) == 1, "a wish that still stands has its job"
    elif leases:
        assert [j.hosts for j in cluster.jobs.values()] == [leases[0].hosts]
    else:
        assert not cluster.jobs, "nothing is held for what is over"
        assert not rows


async def _one(
    fleet: SchedulerFleet, cluster: Cluster, lane: object, step: str, request: Request, hosts: list[str]
) -> object:
    lane = make_lane(fleet, cluster) if step == "kill" else lane
    at = cluster.clock.now()
    if step in ("lose", "kill"):
        cluster.error, cluster.lose = (UnreachableError("cut") if step == "lose" else None), True
        if step == "kill":
            cluster.error = Killed()  # type: ignore[assignment]
        try:
            await lane.act()  # type: ignore[attr-defined]
        except Killed:
            lane = make_lane(fleet, cluster)
        cluster.error, cluster.lose = None, False
    elif step in ("round", "down"):
        cluster.error = UnreachableError("down") if step == "down" else None
        await lane.round()  # type: ignore[attr-defined]
        cluster.error = None
    elif step in ("act", "late"):
        await cluster.clock.advance(LATE if step == "late" else 0)
        await lane.act()  # type: ignore[attr-defined]
    elif step == "start":
        for job in [j for j in cluster.jobs.values() if not j.hosts]:
            cluster.start(job.id, hosts[0])
    elif step == "end":
        cluster.jobs.clear()
    elif step in ("release", "renew"):
        found = state_of(fleet, request)
        try:
            if step == "release":
                release(fleet.db, request.id, ALICE, now=at, config=fleet.config)
            elif found.lease:
                renew(fleet.db, found.lease, ALICE, now=at, end_at=at + 7200, config=fleet.config)
        except FleetctlError:
            pass  # it is over already
    tick(fleet.db, fleet.inventory, at, config=fleet.config)
    return lane


def with_classes(fleet: SchedulerFleet, *rows: SchedulerClass) -> SchedulerFleet:
    near = tuple(replace(site, latency_ms=5.0) for site in fleet.config.sites)
    return fleet.with_config(schedulers=(Scheduler(site="s1", name=NAME, classes=rows),), sites=near)


async def test_a_class_is_what_fleet_toml_says_it_is_there(fleet: SchedulerFleet) -> None:
    fleet = with_classes(
        fleet,
        SchedulerClass("urgent", qos="high"),
        SchedulerClass("interactive", qos="fast", nice=0, partition="all"),
        SchedulerClass("spot", nice=500),
    )
    lane, cluster, _clock, _hosts = lane_of(fleet)
    await lane.round()
    for cls, latency in (("urgent", "batch"), ("spot", "interactive"), ("normal", "interactive"), ("normal", "batch")):
        shape = Shape(cards=2, hosts=("n01", "n02"), latency=Latency(latency))
        request = make_request(fleet.config, "games", shape, who=ALICE, now=1000, duration_s=3600, cls=cls)
        allocate(fleet.db, fleet.inventory, request, ALICE, now=1000, config=fleet.config)
    await lane.act()
    told = sorted((w.qos, w.nice) for w in cluster.wanted if w.qos or w.nice is not None)
    assert told == [("fast", 0), ("fast", 500), ("high", None)]


async def test_a_class_it_does_not_have_is_refused_at_once(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, _hosts = lane_of(fleet)
    await lane.round()
    request = make_request(
        fleet.config, "games", Shape(cards=2, hosts=("n01",)), who=ALICE, now=1000, duration_s=60, cls="urgent"
    )
    with pytest.raises(ConflictError, match=f"{NAME} has no class urgent") as caught:
        allocate(fleet.db, fleet.inventory, request, ALICE, now=1000, config=fleet.config)
    assert "[[schedulers.classes]]" in caught.value.hint
    with pytest.raises(ConflictError, match="no class spot"):
        order(fleet, cls="spot")
    with fleet.db.read() as conn:
        assert not list_outside_requests(conn)
    assert "hold" not in cluster.asked


def order(fleet: SchedulerFleet, **more: object) -> OutsideOrder:
    words = {"name": "x", "partition": "", "nodes": 1, "cards": 1, "duration_s": 60, **more}
    return submit_job(fleet.db, fleet.config, NAME, "#!/bin/sh\n", ALICE, now=1000, **words)  # type: ignore[arg-type]


async def test_a_part_of_a_card_where_it_shares_them(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    await lane.round()
    with pytest.raises(ConflictError, match="whole cards only") as caught:
        ask(fleet, cards=1, milli=300)
    assert "gres.conf" in caught.value.hint
    with pytest.raises(ConflictError, match="whole cards only"):
        order(fleet, milli=300)
    for host in hosts[:2]:
        cluster.nodes[host] = replace(cluster.nodes[host], parts="shard:4")
    await lane.round()
    request = ask(fleet, cards=1, milli=300)
    assert request.note == f"asked of {NAME}, partition all, 0.5 of a card (shard): it says when"
    assert order(fleet, milli=300).body["parts"] == "shard:4"
    await lane.act()
    (wanted,) = cluster.wanted
    assert (wanted.milli, wanted.parts, wanted.not_on) == (300, "shard:4", tuple(hosts[2:]))
    job = next(j.id for j in cluster.jobs.values() if j.mark.startswith(request.id))
    cluster.start(job, hosts[0], cards=1)
    await clock.advance(5)
    await lane.round()
    with fleet.db.read() as conn:
        (lease,) = list_leases(conn)
    assert [(h.milli, h.index) for h in lease.holds] == [(500, "0")]


async def test_a_job_that_waits_again_is_no_lease_any_more(fleet: SchedulerFleet) -> None:
    lane, cluster, clock, hosts = lane_of(fleet)
    await lane.round()
    request = ask(fleet)
    await lane.act()
    cluster.start("7", hosts[1])
    await lane.round()
    await clock.advance(5)
    cluster.jobs["7"] = replace(cluster.jobs["7"], state="pending", hosts=(), places={}, reason="BeginTime")
    await lane.round()
    with fleet.db.read() as conn:
        lease = get_lease(conn, state_of(fleet, request).lease or "")
    assert lease is not None
    assert (lease.state, lease.ended_why) == (LeaseState.ENDED, f"job 7 was requeued in {NAME}: BeginTime")
    await lane.act()
    assert not cluster.jobs, "it must not come back on other nodes"


async def test_a_job_that_runs_without_its_class_is_no_lease(fleet: SchedulerFleet) -> None:
    fleet = with_classes(fleet, SchedulerClass("urgent", qos="high"))
    lane, cluster, clock, hosts = lane_of(fleet)
    await lane.round()
    words = {"who": ALICE, "now": 1000, "duration_s": 60, "cls": "urgent"}
    request = make_request(fleet.config, "games", Shape(cards=2, hosts=("n01",)), **words)  # type: ignore[arg-type]
    allocate(fleet.db, fleet.inventory, request, ALICE, now=1000, config=fleet.config)
    await lane.act()
    cluster.start("7", hosts[0])
    await clock.advance(5)
    await lane.round()
    assert state_of(fleet, request).state is RequestState.IMPOSSIBLE
    assert "without QOS high" in state_of(fleet, request).note
    await lane.round()
    assert not cluster.jobs
    with fleet.db.read() as conn:
        assert not list_leases(conn)
