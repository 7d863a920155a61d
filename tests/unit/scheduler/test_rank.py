"""Which of the nodes that fit comes first, and that what was asked for lately decides it."""

from __future__ import annotations

from fleetctl.model.lease import Request, Shape
from fleetctl.scheduler.live import asked_lately, load_snapshot
from fleetctl.scheduler.packing.task import TaskClass
from fleetctl.scheduler.placement import CardView, NodeView, Placement, Snapshot
from fleetctl.store.requests import insert_request
from tests.fakes.choosing import choose
from tests.fakes.fleet import SchedulerFleet

HALF = Request("r-1", "a", Shape(cards=1, milli=500), 0)


def node(name: str, *free: int) -> NodeView:
    return NodeView(name, "s", chip="H100", cards=tuple(CardView(f"{name}-{i}", str(i), f) for i, f in enumerate(free)))


def snapshot(*nodes: NodeView, mix: tuple[tuple[TaskClass, float], ...] = ()) -> Snapshot:
    return Snapshot(0, {n.host: n for n in nodes}, mix=mix)


def first(request: Request, at: Snapshot) -> str:
    answer = choose(request, at)
    assert isinstance(answer, Placement)
    return answer.hosts[0]


def test_without_history_the_tightest_node() -> None:
    assert first(HALF, snapshot(node("a", 1000, 1000), node("b", 1000, 0), node("c", 1000, 900))) == "b"


def test_with_history_the_node_that_stays_useful() -> None:
    # b is the tightest, but its one whole card is what everybody asks for; a's started card is of use to halves alone
    nodes = (node("a", 500, 500, 500), node("b", 1000))
    assert first(HALF, snapshot(*nodes)) == "b"
    assert first(HALF, snapshot(*nodes, mix=((TaskClass(cards=1), 9.0), (TaskClass(cards=1, milli=500), 1.0)))) == "a"


def test_a_node_of_eight_is_kept_for_those_who_want_eight() -> None:
    one = Request("r-1", "a", Shape(cards=1), 0)
    nodes = (node("whole", *[1000] * 8), node("started", *[1000] * 7, 0), node("wide", *[1000] * 7))
    mix = ((TaskClass(cards=8), 5.0), (TaskClass(cards=1), 1.0))
    assert first(one, snapshot(*nodes, mix=mix)) in ("started", "wide")


def test_the_live_snapshot_knows_what_was_asked_for(fleet: SchedulerFleet) -> None:
    shapes = (Shape(nodes=3, cards=2), Shape(cards=1, milli=250), Shape(cards=0), Shape(cards=2))
    with fleet.db.write() as conn:
        for number, shape in enumerate(shapes):
            insert_request(conn, Request(f"r-{number}", "a", shape, number))
    with fleet.db.read() as conn:
        assert asked_lately(conn, 8) == (
            (TaskClass(cards=2), 4.0),
            (TaskClass(cards=1, milli=250), 1.0),
            (TaskClass(cards=8), 1.0),
        )
        assert load_snapshot(conn, fleet.inventory, fleet.config, 0).mix
