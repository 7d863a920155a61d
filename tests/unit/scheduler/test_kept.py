"""The fleet kept between looks is what reading it anew would give, and its masks say what the reasons say."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.config.schema import Config, HostGroup, Rack, Scheduling, Site
from fleetctl.errors import FleetctlError
from fleetctl.model.lease import Request, Shape
from fleetctl.model.states import Admin
from fleetctl.operations import allocate, make_request, plan_drain, plan_resume, release, reserve
from fleetctl.scheduler.fleet_core import FleetCore
from fleetctl.scheduler.kept import KeptFleet, kept_fleet
from fleetctl.scheduler.leasing import grant, grant_many
from fleetctl.scheduler.live import load_snapshot
from fleetctl.scheduler.packing.orders import ORDERS
from fleetctl.scheduler.packing.policies import POLICIES
from fleetctl.scheduler.placement import CardView, NodeView, Placement, Snapshot, Window
from fleetctl.scheduler.queue import policy_of
from fleetctl.scheduler.tick import QUEUE, tick
from fleetctl.store.audit import iter_audit, verify_entries
from fleetctl.store.leases import list_leases
from fleetctl.store.requests import insert_request
from tests.fakes.fleet import ALICE, SchedulerFleet

SMALL = Config(
    sites=(Site("s1", max_drain_pct=100.0),),
    racks=(Rack("r1", "s1", nodes="n[1-2]"), Rack("r2", "s1", nodes="n[3-4]")),
    hosts=(HostGroup("n[1-4]", "s1", chip="H100", cards=4),),
)
SHAPES = (
    Shape(cards=1),
    Shape(milli=300),
    Shape(cards=4),
    Shape(cards=0),
    Shape(cards=2, exclusive=True),
    Shape(nodes=2, cards=3, same="rack"),
    Shape(nodes=3, cards=1, hosts=("n1", "n3", "n4")),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, len(SHAPES) - 1)),
        st.tuples(st.just("release"), st.integers(0, 5)),
        st.tuples(st.just("drain"), st.integers(1, 4)),
        st.tuples(st.just("resume"), st.integers(1, 4)),
        st.tuples(st.just("lose"), st.integers(1, 4)),
        st.tuples(st.just("silent"), st.integers(1, 4)),
        st.tuples(st.just("slurm"), st.integers(1, 4)),
        st.tuples(st.just("hold"), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.integers(1, 400)),
    ),
    max_size=14,
)


def _do(fleet: SchedulerFleet, what: str, number: int, now: int) -> None:
    host = f"n{number}"
    if what == "ask":
        request = make_request(fleet.config, "lab", SHAPES[number], who=ALICE, now=now, duration_s=500)
        allocate(fleet.db, fleet.inventory, request, ALICE, now=now, config=fleet.config)
    elif what == "release":
        with fleet.db.read() as conn:
            leases = sorted(x.id for x in list_leases(conn))
        if number < len(leases):
            release(fleet.db, leases[number], ALICE, now=now, config=fleet.config)
    elif what == "drain":
        fleet.apply(plan_drain(fleet.db, fleet.inventory, host, "hw: fan", who=ALICE, now=now, config=fleet.config))
    elif what == "resume":
        fleet.apply(plan_resume(fleet.db, fleet.inventory, host, who=ALICE, now=now, config=fleet.config))
    elif what == "lose":
        fleet.see({host: 3}, at=now)
    elif what == "silent":
        fleet.see({host: 4}, reach="stale", at=now)
    elif what == "slurm":
        fleet.outside(host, Admin.IN_SERVICE)
    elif what == "hold":
        reserve(
            fleet.db, fleet.inventory, host, "lab", who=ALICE, now=now, start_at=now + 50, end_at=now + 200, reason=""
        )


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_what_is_kept_is_what_reading_anew_gives(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        fleet = SchedulerFleet.make(Path(folder) / "fleet.db", SMALL)
        now = 1000
        with fleet.db:
            for what, number in steps:
                now += number if what == "wait" else 1
                try:
                    _do(fleet, what, number, now)
                except FleetctlError:
                    pass  # refused: nothing changed
                fleet.tick(now)
            now += 40  # cards are asked for again
            with fleet.db.read() as conn, kept_fleet(fleet.db, conn, fleet.inventory, fleet.config, now) as kept:
                # What is usual is asked anew every quarter of an hour only; between equal scores it decides.
                with patch("fleetctl.scheduler.live.asked_lately", return_value=kept.core.snapshot.mix):
                    fresh = KeptFleet(conn, fleet.inventory, fleet.config, None, now)
                fresh.refresh(conn, now)
                assert list(kept.core.views()) == list(fresh.core.views())
                stored = load_snapshot(conn, fleet.inventory, fleet.config, now).nodes.values()
                for one, other in zip(kept.core.views(), stored, strict=True):
                    assert one.cards == other.cards
                    assert (one.why_not, one.exclusive, bool(one.held_by)) == (
                        other.why_not,
                        other.exclusive,
                        bool(other.held_by),
                    )
                for shape in SHAPES:
                    request = Request("r-x", "lab", shape, now, duration_s=100)
                    assert kept.core.choose(request) == fresh.core.choose(request)


NODES = st.lists(
    st.builds(
        lambda free, held, alone, shut, bad, window: (free, held, alone, shut, bad, window),
        st.lists(st.sampled_from([0, 250, 500, 1000]), max_size=4),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(NODES, st.sampled_from([replace(s, nodes=1, hosts=()) for s in SHAPES]))
def test_a_node_would_take_it_just_where_no_reason_speaks_against(
    fleet: list[tuple[list[int], bool, bool, bool, bool, bool]], shape: Shape
) -> None:
    nodes = {}
    for number, (free, held, alone, shut, bad, window) in enumerate(fleet):
        cards = tuple(
            CardView(f"c{i}", str(i), milli, "is out of service" if bad and i == 0 else "")
            for i, milli in enumerate(free)
        )
        nodes[f"n{number}"] = NodeView(
            f"n{number}",
            "s",
            rack="r",
            cards=cards,
            held_by=("l-1",) if held or alone or any(m < 1000 for m in free) else (),
            exclusive=alone,
            why_not="is drained" if shut else "",
            windows=(Window(50, 80, id="w-1"),) if window else (),
        )
    core = FleetCore(Snapshot(0, nodes), ())
    request = Request("r-1", "lab", shape, 0, duration_s=60)
    fits = core.packer.fitting(core.kind(shape), core.allowed(request))
    reasons = core.reasons(request)
    assert core.hosts(fits) == tuple(host for host in nodes if host not in reasons)


def test_grants_of_one_transaction_stand_alone(fleet: SchedulerFleet) -> None:
    """One that lost the race takes nothing with it, and leaves nothing behind."""
    requests = [Request(f"r-{n:08}", "lab", Shape(cards=8), 1000, "alice", duration_s=100) for n in range(3)]
    with fleet.db.read() as conn, kept_fleet(fleet.db, conn, fleet.inventory, fleet.config, 1000) as kept:
        starts: list[tuple[Request, Placement]] = []
        for request in requests:
            shares = kept.core.choose(request)
            kept.core.begin(request.id, shares, 1100.0)
            starts.append((request, kept.core.placement(shares)))
    rival = Request("r-rival", "lab", Shape(cards=8), 1000, "bob", duration_s=100)
    with fleet.db.write() as conn:
        for request in (*requests, rival):
            insert_request(conn, request)
        grant(conn, fleet.config, rival, starts[1][1], 1000, ALICE)
    with fleet.db.write() as conn:
        leases, failed = grant_many(conn, fleet.config, starts, 1000, QUEUE)
    assert [lease.request for lease in leases] == [requests[0].id, requests[2].id]
    assert "somebody" not in failed[requests[1].id]
    assert "card is held already" in failed[requests[1].id]
    with fleet.db.read() as conn:
        assert len(list_leases(conn)) == 3
        assert verify_entries(iter_audit(conn)).ok


def test_a_failure_throws_away_what_was_kept(fleet: SchedulerFleet) -> None:
    with fleet.db.read() as conn:
        with kept_fleet(fleet.db, conn, fleet.inventory, fleet.config, 1000) as first:
            pass
        with (
            suppress(RuntimeError),
            kept_fleet(fleet.db, conn, fleet.inventory, fleet.config, 1000) as again,
        ):
            assert again is first
            raise RuntimeError
        with kept_fleet(fleet.db, conn, fleet.inventory, fleet.config, 1000) as anew:
            assert anew is not first


def test_the_settings_are_the_words_of_simulate() -> None:
    fields = Scheduling.__dataclass_fields__
    assert set(fields["policy"].metadata["choices"]) == set(POLICIES)
    assert set(fields["order"].metadata["choices"]) == set(ORDERS)
    where, order = policy_of(Config(scheduling=Scheduling(policy="power", order="easy", backfill="conservative")))
    assert (where.name, order.name, order.backfill, order.promises_all, order.keeps_turn) == (
        "power",
        "easy",
        True,
        True,
        True,
    )
    assert not policy_of(Config(scheduling=Scheduling(backfill="none", keep_promises=False)))[1].backfill


def test_who_was_promised_a_time_is_not_passed_by_shorter_requests(fleet: SchedulerFleet) -> None:
    """Least work first would put the short one before; it was told a time, so it keeps its turn, also after a restart."""
    site = {"site": "s2"}
    fleet.lease("m01", cards=8, end_at=5000)
    for host in ("m02", "m03", "m04"):
        fleet.lease(host, cards=4, end_at=9000)
    big = make_request(fleet.config, "lab", Shape(cards=8, **site), who=ALICE, now=1000, duration_s=50_000)  # type: ignore[arg-type]
    assert "can start at 5000" in allocate(fleet.db, fleet.inventory, big, ALICE, now=1000, config=fleet.config).note
    for _ in range(3):
        filler = make_request(fleet.config, "lab", Shape(cards=4, **site), who=ALICE, now=1001, duration_s=7000)  # type: ignore[arg-type]
        allocate(fleet.db, fleet.inventory, filler, ALICE, now=1001, config=fleet.config)
    short = make_request(fleet.config, "lab", Shape(cards=8, **site), who=ALICE, now=1002, duration_s=3000)  # type: ignore[arg-type]
    allocate(fleet.db, fleet.inventory, short, ALICE, now=1002, config=fleet.config)
    tick(fleet.db, fleet.inventory, 5000, config=replace(fleet.config))
    with fleet.db.read() as conn:
        assert [x.start_at for x in list_leases(conn) if x.request == big.id] == [5000]
