"""Placement: for every node a place or a reason, and never a place that does not fit."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.model.lease import HOST_SLOT, Latency, Request, Shape
from fleetctl.scheduler.packing.limits import Limit
from fleetctl.scheduler.placement import CardView, ChipFacts, NodeView, Placement, Refusals, Snapshot, Window
from tests.fakes.choosing import choose

CHIPS = {
    "H100": ChipFacts("H100", ("ai", "hpc"), 989.0, 80 << 30, 700.0),
    "910B": ChipFacts("910B", ("ai",), 376.0, 64 << 30),
}


def node(name: str, *, chip: str = "H100", free: tuple[int, ...] = (1000,) * 4, **more: object) -> NodeView:
    cards = tuple(CardView(f"{name}-{i}", str(i), milli) for i, milli in enumerate(free))
    return NodeView(name, **{"site": "s1", "rack": "r1", "chip": chip, "cards": cards, **more})  # type: ignore[arg-type]


def ask(shape: Shape, **more: object) -> Request:
    return Request("r-1", "lab", shape, 0, duration_s=100, **more)  # type: ignore[arg-type]


def snap(*nodes: NodeView, **more: object) -> Snapshot:
    return Snapshot(0, {n.host: n for n in nodes}, CHIPS, **more)  # type: ignore[arg-type]


def why(shape: Shape, one: NodeView, **more: object) -> str:
    answer = choose(ask(shape), snap(one, **more))
    assert isinstance(answer, Refusals), answer
    return answer.nodes[one.host]


def test_every_refusal_has_its_reason() -> None:
    plain = node("n1")
    assert why(Shape(site="s2"), plain) == "is in site s1, not s2"
    assert why(Shape(pool="train"), plain) == "is not in pool train"
    assert why(Shape(chip="910"), plain) == "has H100, not 910"
    assert why(Shape(chip_class="general"), plain) == "class of H100 is ai, hpc, not general"
    assert why(Shape(min_fp16_tflops=1000), plain) == "H100 has 989 TFLOPS FP16, 1000 are asked for"
    assert why(Shape(min_fp16_tflops=1), node("n1", chip="X")) == "FP16 peak of X is not known"
    assert why(Shape(min_mem_bytes=96 << 30), plain) == "H100 has 80 GiB, 96 are asked for"
    assert why(Shape(cards=5), plain) == "has 4 cards, 5 are asked for"
    assert why(Shape(price_ceiling=1.0), plain) == "H100 has no price, a ceiling is set"
    assert why(Shape(price_ceiling=1.0), plain, prices={"H100": 2.0}) == "costs 2 per card-hour, above 1"
    assert "realtime needs at most 5 ms" in why(Shape(latency=Latency.REALTIME), plain)
    assert why(Shape(latency=Latency.REALTIME), plain, latency_ms={"s1": 9.0}).startswith("site s1 is 9 ms away")
    assert why(Shape(hosts=("n9",)), plain) == "not among the nodes asked for"
    assert why(Shape(not_hosts=("n1",)), plain) == "ruled out by the request"
    assert why(Shape(same="rack"), replace(plain, rack=None)) == "stands in no rack, the gang must share one"
    assert why(Shape(), replace(plain, why_not="is drained")) == "is drained"
    assert why(Shape(exclusive=True), replace(plain, held_by=("l-1",))) == "exclusive was asked for, l-1 runs there"
    assert why(Shape(), replace(plain, exclusive=True, held_by=("l-1",))) == "held exclusively by l-1"
    assert why(Shape(), replace(plain, windows=(Window(50, None, id="w-1"),))).startswith("a maintenance window (w-1)")
    assert why(Shape(cards=2), node("n1", free=(1000, 400, 0, 0))) == "1 of 4 cards free, 2 asked for"
    assert why(Shape(milli=500), node("n1", free=(300, 0))) == "0 of 2 cards with 500 milli free, 1 asked for"


def test_a_bad_card_is_named_and_not_given_out() -> None:
    cards = (CardView("a", "0", 1000, "is out of service (hw: ecc)"), CardView("b", "1"))
    one = replace(node("n1"), cards=cards)
    assert why(Shape(cards=2), one) == "1 of 2 cards free, 2 asked for; card 0 is out of service (hw: ecc)"
    answer = choose(ask(Shape(cards=1)), snap(one))
    assert isinstance(answer, Placement)
    assert [h.card for h in answer.holds] == ["b"]


def test_a_fraction_goes_to_the_fullest_card_that_has_room_and_a_node_without_cards_is_held_by_its_slot() -> None:
    answer = choose(ask(Shape(milli=300)), snap(node("n1", free=(1000, 400, 250))))
    assert isinstance(answer, Placement)
    assert [(h.card, h.milli) for h in answer.holds] == [("n1-1", 300)]
    bare = choose(ask(Shape(cards=0)), snap(node("n1", free=())))
    assert isinstance(bare, Placement)
    assert [(h.card, h.milli) for h in bare.holds] == [(HOST_SLOT, 1000)]


def test_the_tightest_node_is_taken_unless_green_power_is_preferred() -> None:
    tight, roomy = node("n1", free=(1000, 0, 0, 0)), node("n2", site="s2", rack="r2")
    green = {"s1": 10.0, "s2": 80.0}
    for shape, host in ((Shape(), "n1"), (Shape(green=True), "n2")):
        answer = choose(ask(shape), snap(tight, roomy, green_pct=green))
        assert isinstance(answer, Placement)
        assert answer.hosts == (host,)


def test_a_gang_shares_a_rack_and_the_racks_power() -> None:
    nodes = [node(f"n{i}", rack=f"r{i % 2}") for i in range(5)]
    answer = choose(ask(Shape(nodes=2, cards=4, same="rack")), snap(*nodes))
    assert isinstance(answer, Placement)
    assert answer.hosts == ("n1", "n3")  # the smaller rack that holds it
    tight = (Limit("rack r", 3000.0, {"n0": 1.0, "n1": 1.0}),)
    refused = choose(ask(Shape(nodes=2, cards=4)), snap(*nodes[:2], limits=tight))
    assert isinstance(refused, Refusals)
    assert "would not bear all of them together" in refused.why
    one = choose(
        ask(Shape(nodes=1, cards=4)), snap(*nodes[:2], limits=(Limit("feed a-B", 100.0, {"n0": 0.5, "n1": 1}),))
    )
    assert isinstance(one, Refusals)
    assert one.nodes["n0"] == "feed a-B has 100 W left, this would add 1400 W"
    assert "power or cooling is not: feed a-B" in one.why
    assert not refused.for_ever


def test_a_reservation_is_kept_for_its_tenant() -> None:
    one = node("n1", windows=(Window(0, 500, "lab", "w-1"),))
    assert why(Shape(), one) == "a reservation for lab (w-1) begins before this would end"
    assert isinstance(choose(ask(Shape(), reservation="w-1"), snap(one)), Placement)


def test_what_never_fits_says_what_would() -> None:
    nodes = [node(f"n{i}") for i in range(3)]
    for shape, nearest in (
        (Shape(nodes=4), "3 nodes of 1 cards"),
        (Shape(cards=8), "4 cards a node; use --nodes 2 --cards 4"),
        (Shape(chip="B200"), "one of the chips here: H100"),
    ):
        answer = choose(ask(shape), snap(*nodes))
        assert isinstance(answer, Refusals)
        assert answer.for_ever
        assert answer.nearest == nearest


def test_a_gang_shares_a_leaf() -> None:
    nodes = [replace(node(f"n{i}", rack=f"r{i}"), leaf=f"leaf{i % 2}") for i in range(4)]
    answer = choose(ask(Shape(nodes=2, cards=4, same="leaf")), snap(*nodes, node("n9")))
    assert isinstance(answer, Placement)
    assert answer.hosts in (("n0", "n2"), ("n1", "n3"))
    assert "no leaf switch" in answer.refused["n9"]


MILLI = st.sampled_from([0, 200, 500, 1000])
SHAPES = st.builds(
    Shape,
    nodes=st.integers(1, 3),
    cards=st.integers(0, 4),
    milli=st.just(1000),
    exclusive=st.booleans(),
    same=st.sampled_from(["", "rack", "leaf", "site"]),
) | st.builds(Shape, cards=st.just(1), milli=st.integers(1, 1000))


@settings(max_examples=150, deadline=None)
@given(SHAPES, st.lists(st.tuples(st.lists(MILLI, max_size=4), st.integers(0, 1), st.booleans()), max_size=6))
def test_a_placement_always_fits_and_every_other_node_has_a_reason(
    shape: Shape, fleet: list[tuple[list[int], int, bool]]
) -> None:
    nodes = [
        node(f"n{i}", free=tuple(free), rack=f"r{rack}", site=f"s{rack}", held_by=("l-1",) if held else ())
        for i, (free, rack, held) in enumerate(fleet)
    ]
    base = snap(*nodes)
    answer = choose(ask(shape), base)
    if isinstance(answer, Refusals):
        assert answer.why
        assert set(answer.nodes) | set(answer.fit) == set(base.nodes)
        return
    assert len(answer.hosts) == shape.nodes
    assert not set(answer.refused) & set(answer.hosts)
    if shape.same:
        assert len({base.nodes[h].rack for h in answer.hosts}) == 1
    for hold in answer.holds:
        one = base.nodes[hold.host]
        if shape.exclusive or shape.cards == 0:
            assert not one.held_by
        if hold.card != HOST_SLOT:
            assert hold.milli <= next(c.open_milli for c in one.cards if c.key == hold.card)
    for host in answer.hosts:
        mine = [h for h in answer.holds if h.host == host]
        assert len({h.card for h in mine}) == len(mine)
        if shape.cards and not shape.exclusive:
            assert len(mine) == shape.cards
