"""The line: its order, what may overtake, what is promised, and that no promise is ever broken."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.config.schema import Config, Scheduling, Tenant
from fleetctl.model.lease import Hold, Lease, LeaseState, Request, Shape
from fleetctl.scheduler.fleet_core import FleetCore
from fleetctl.scheduler.packing.limits import Limit
from fleetctl.scheduler.packing.task import TaskClass
from fleetctl.scheduler.placement import CardView, ChipFacts, NodeView, Snapshot, Window
from fleetctl.scheduler.queue import Decisions, Turns, in_order, look_at, policy_of, with_dues

CONFIG = Config(tenants=(Tenant("a", share=1.0), Tenant("b", share=2.0)))


def snapshot(nodes: int = 2, cards: int = 4, now: int = 0) -> Snapshot:
    return Snapshot(
        now,
        {
            f"n{i}": NodeView(
                f"n{i}", "s", chip="H100", cards=tuple(CardView(f"n{i}-{c}", str(c)) for c in range(cards))
            )
            for i in range(nodes)
        },
    )


def request(
    name: str, *, cards: int = 1, nodes: int = 1, duration: int | None = 100, at: int = 0, **more: object
) -> Request:
    shape = more.pop("shape", None) or Shape(nodes=nodes, cards=cards)
    return Request(f"r-{name}", str(more.pop("tenant", "a")), shape, at, duration_s=duration, **more)  # type: ignore[arg-type]


def lease(name: str, host: str, cards: int, end_at: int | None, *, cls: str = "normal", first: int = 0) -> Lease:
    holds = tuple(Hold(host, f"{host}-{c}", 1000) for c in range(first, first + cards))
    return Lease(f"l-{name}", f"q-{name}", "a", "", LeaseState.ACTIVE, 0, end_at, holds, cls=cls)


def held(base: Snapshot, *leases: Lease) -> Snapshot:
    """The snapshot with these leases on it."""
    nodes = dict(base.nodes)
    for one in leases:
        for hold in one.holds:
            node = nodes[hold.host]
            cards = tuple(
                replace(c, free_milli=c.free_milli - hold.milli) if c.key == hold.card else c for c in node.cards
            )
            held_by = tuple(dict.fromkeys((*node.held_by, one.id)))
            nodes[hold.host] = replace(node, cards=cards, held_by=held_by, exclusive=node.exclusive or one.exclusive)
    return replace(base, nodes=nodes)


def decide(
    line: list[Request], base: Snapshot, leases: list[Lease], config: Config, over: dict[str, str] | None = None
) -> Decisions:
    """One look at the line over a fleet read anew. over: request -> why its quota holds it back."""
    return look_at(line, FleetCore(base, leases, policy_of(config)[0]), leases, config, over)


def test_order_is_class_then_fair_share_then_age() -> None:
    line = [
        request("spot", cls="spot", at=0),
        request("late", at=9),
        request("early", at=1),
        request("owed", at=20, tenant="b"),
        request("urgent", cls="urgent", at=30),
    ]
    names = [r.id for r in in_order(line, {"a": 100.0, "b": 150.0}, CONFIG)]
    assert names == ["r-urgent", "r-owed", "r-early", "r-late", "r-spot"]


def test_backfill_starts_what_ends_before_the_promise_and_nothing_else() -> None:
    running = lease("x", "n0", 4, 100)
    base = held(snapshot(), running)
    head = request("head", nodes=2, cards=4)
    short, long = request("short", duration=100), request("long", duration=101)
    decisions = decide([head, long, short], base, [running], CONFIG)
    assert [p.at for p in decisions.promises] == [100]
    assert [r.id for r, _ in decisions.starts] == ["r-short"]
    assert "would delay r-head" in decisions.notes["r-long"]
    assert "can start at 100" in decisions.notes["r-head"]


def test_without_backfill_nobody_overtakes() -> None:
    running = lease("x", "n0", 4, 100)
    config = replace(CONFIG, scheduling=Scheduling(backfill="none"))
    line = [request("head", nodes=2, cards=4), request("short", duration=1)]
    decisions = decide(line, held(snapshot(), running), [running], config)
    assert decisions.starts == []
    assert decisions.notes["r-short"] == "waits behind r-head"


def test_a_lease_without_an_end_makes_no_promise_but_keeps_open_ended_ones_away() -> None:
    running = lease("x", "n0", 4, None)
    head = request("head", nodes=2, cards=4)
    decisions = decide(
        [head, request("open", duration=None), request("short", duration=5)],
        held(snapshot(), running),
        [running],
        CONFIG,
    )
    assert decisions.promises[0].at is None
    assert [r.id for r, _ in decisions.starts] == ["r-short"]
    assert "without an end" in decisions.notes["r-head"]


def test_what_can_never_fit_does_not_block_the_line() -> None:
    decisions = decide([request("huge", cards=9), request("small")], snapshot(), [], CONFIG)
    assert "can never fit" in decisions.impossible["r-huge"]
    assert "--nodes 3 --cards 4" in decisions.impossible["r-huge"]
    assert [r.id for r, _ in decisions.starts] == ["r-small"]


def test_a_request_that_waits_for_its_time_or_quota_does_not_block_the_line() -> None:
    line = [request("later", start_at=50), request("over"), request("lapsed", latest_start_at=-1), request("fine")]
    decisions = decide(line, snapshot(), [], CONFIG, {"r-over": "quota of a: full"})
    assert [r.id for r, _ in decisions.starts] == ["r-fine"]
    assert decisions.lapsed == ["r-lapsed"]
    assert decisions.notes == {"r-later": "waits for its start time", "r-over": "quota of a: full"}


def test_maintenance_windows_keep_long_requests_away() -> None:
    base = snapshot(1)
    base = replace(base, nodes={"n0": replace(base.nodes["n0"], windows=(Window(50, 80, id="w-1"),))})
    decisions = decide([request("long", duration=60), request("short", duration=50)], base, [], CONFIG)
    assert [r.id for r, _ in decisions.starts] == ["r-short"]


def test_only_spot_is_preempted_and_only_by_urgent_where_it_is_allowed() -> None:
    spot, normal = lease("s", "n0", 4, None, cls="spot"), lease("n", "n1", 4, None)
    base = held(snapshot(), spot, normal)
    urgent = request("u", cards=4, cls="urgent")
    assert decide([urgent], base, [spot, normal], CONFIG).preempt == []
    allowed = replace(CONFIG, scheduling=Scheduling(preempt=True))
    assert decide([urgent], base, [spot, normal], allowed).preempt == [(urgent, ("l-s",))]
    assert decide([request("n2", cards=4)], base, [spot, normal], allowed).preempt == []
    assert decide([request("u", nodes=2, cards=4, cls="urgent")], base, [spot, normal], allowed).preempt == []


SHAPES = st.one_of(
    st.builds(lambda n, c: Shape(nodes=n, cards=c), st.integers(1, 2), st.integers(1, 4)),
    st.builds(lambda m: Shape(milli=m), st.sampled_from([250, 400, 700])),
    st.just(Shape(cards=2, exclusive=True)),
)
JOBS = st.lists(st.tuples(SHAPES, st.integers(1, 60), st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=14)
CHIP = {"H100": ChipFacts("H100", tdp_w=100.0)}
# A card draws 100 W: either pair of nodes bears 5 of its 8 cards, all four 9 of 16.
LIMITS = (
    Limit("rack a", 500.0, {"n0": 1.0, "n1": 1.0}),
    Limit("rack b", 500.0, {"n2": 1.0, "n3": 1.0}),
    Limit("feed", 900.0, dict.fromkeys(("n0", "n1", "n2", "n3"), 1.0)),
)


@settings(max_examples=100, deadline=None)
@given(JOBS, st.sampled_from(["easy", "conservative"]), st.booleans())
def test_the_first_in_line_is_never_later_than_promised(
    jobs: list[tuple[Shape, int, int, int]], mode: str, powered: bool
) -> None:
    """Time runs; jobs may end earlier than they said. Whoever is first keeps, or improves, what was promised."""
    config = replace(CONFIG, scheduling=Scheduling(backfill=mode))
    waiting = [
        (at, request(str(i), shape=shape, duration=d, at=at), min(d, real))
        for i, (shape, d, at, real) in enumerate(jobs)
    ]
    running: list[tuple[Lease, int]] = []  # lease, when it really ends
    promised: dict[str, int] = {}
    now = -1
    while waiting:
        now = min(t for t in (*(at for at, *_ in waiting), *(real for _, real in running)) if t > now)
        running = [(x, real) for x, real in running if real > now]
        line = in_order([r for at, r, _ in waiting if at <= now], {}, config, Turns(promised))
        leases = [x for x, _ in running]
        base = held(snapshot(4 if powered else 2, now=now), *leases)
        base = replace(base, chips=CHIP, limits=LIMITS) if powered else base
        decisions = decide(line, base, leases, config)
        for who, placement in decisions.starts:
            if who.id in promised:
                assert now <= promised[who.id], f"{who.id} was promised {promised[who.id]} and starts at {now}"
            real = next(r for _, w, r in waiting if w.id == who.id)
            waiting = [w for w in waiting if w[1].id != who.id]
            assert who.duration_s is not None
            taken = Lease(
                *(f"l{who.id}", who.id, "a", "", LeaseState.ACTIVE, now, now + who.duration_s, placement.holds),
                exclusive=who.shape.exclusive,
            )
            running.append((taken, now + real))
        for promise in decisions.promises[:1]:
            assert promise.at is not None
            promised.setdefault(promise.request.id, promise.at)
            assert promise.at <= promised[promise.request.id]


def test_a_head_that_only_power_holds_back_is_promised_when_enough_of_it_ends() -> None:
    """Rack b is full, rack a has room for one card more: 400 W come free at 50 and 100 W at 80."""
    leases = [lease("w", "n0", 4, 50), lease("x", "n2", 4, 80), lease("y", "n3", 1, 900)]
    base = replace(held(snapshot(4), *leases), chips=CHIP, limits=LIMITS)
    head, long = request("head", cards=4, shape=Shape(cards=4, hosts=("n1", "n3"))), request("long", duration=500)
    short = request("short", duration=50)
    decisions = decide([head, long, short], base, leases, CONFIG)
    (promise,) = decisions.promises
    assert (promise.at, promise.hosts) == (50, ("n1",))
    assert [r.id for r, _ in decisions.starts] == []  # feed: 900 W, all drawn
    assert "rack a has 100 W left, this would add 400 W; can start at 50" in decisions.notes["r-head"]


def test_watts_that_are_promised_are_kept_from_other_nodes_of_the_rack() -> None:
    leases = [lease("w", "n0", 2, 50)]
    base = replace(held(snapshot(4), *leases), chips=CHIP, limits=LIMITS[:1])
    head = request("head", shape=Shape(cards=4, hosts=("n1",)))
    on_n0 = Shape(cards=1, hosts=("n0",))
    line = [head, request("long", shape=on_n0, duration=500), request("more", shape=on_n0, duration=500)]
    decisions = decide(line, base, leases, CONFIG)
    assert [(p.at, p.hosts) for p in decisions.promises] == [(50, ("n1",))]
    assert [r.id for r, _ in decisions.starts] == ["r-long"]  # 500 W: four cards of the head and one more
    assert "would delay r-head" in decisions.notes["r-more"]


def test_a_promise_of_cards_leaves_the_others_of_its_node_to_longer_requests() -> None:
    running = lease("x", "n0", 3, 100)
    head = request("head", cards=2)
    line = [head, *(request(f"long{n}", duration=500) for n in range(3))]
    decisions = decide(line, held(snapshot(1), running), [running], CONFIG)
    assert [(p.at, p.hosts) for p in decisions.promises] == [(100, ("n0",))]
    assert [r.id for r, _ in decisions.starts] == ["r-long0"]  # at 100 four are free less this one: three, two are kept
    part = request("part", shape=Shape(milli=400))
    full = lease("f", "n0", 4, 100)
    (promise,) = decide([part], held(snapshot(1), full), [full], CONFIG).promises
    one, whole = TaskClass(cards=1, milli=600), TaskClass(cards=4)
    assert not promise.core.barred(one).any()
    assert promise.core.barred(whole).all()


def test_the_earliest_time_is_found_among_many_ends() -> None:
    leases = [lease(str(i), f"n{i}", 4, 10 * (i + 1)) for i in range(20)]
    (promise,) = decide([request("q", nodes=7, cards=4)], held(snapshot(20), *leases), leases, CONFIG).promises
    assert (promise.at, promise.hosts) == (70, tuple(f"n{i}" for i in range(7)))


def test_who_has_waited_beyond_patience_is_passed_by_nobody() -> None:
    """Longer work stands behind shorter, until its due has come."""
    running = lease("x", "n0", 4, 100)
    long, short = request("long", cards=4, duration=1000), request("short", cards=4, duration=10, at=40)
    turns = with_dues(Turns(), [long], [running], CONFIG, 8, 0)
    assert turns.due == {"r-long": 4 * (100 * 4) / 8}
    assert with_dues(turns, [long], [], CONFIG, 8, 30) == turns
    assert [r.id for r in in_order([long, short], {}, CONFIG, turns, 199)] == ["r-short", "r-long"]
    assert [r.id for r in in_order([long, short], {"a": 9.0}, CONFIG, turns, 200)] == ["r-long", "r-short"]
