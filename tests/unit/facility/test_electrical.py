"""What racks and feeds have left, and what one feed's failure does."""

from __future__ import annotations

from fleetctl.facility.electrical import (
    FeedLoad,
    RackLoad,
    Watts,
    add_up,
    over_budget,
    rack_draw,
    stranded_w,
    what_if_feed_fails,
)


def watts(value: float | None) -> Watts:
    return Watts(value, "test", 100.0, 0 if value is None else 1, 1)


def rack(name: str, value: float | None, budget: float | None, **feeds: float | None) -> RackLoad:
    return RackLoad(name, "s", "h", watts(value), budget, feeds)


def test_the_rack_is_measured_at_one_level() -> None:
    assert rack_draw([watts(5000), watts(5200)], [watts(600)] * 16).value == 10200
    assert rack_draw([watts(5000), watts(None)], [watts(600)] * 16).source == "servers"
    assert rack_draw([], [watts(600), watts(None)]).value == 600


def test_a_silent_part_leaves_a_lower_bound() -> None:
    found = add_up([watts(600), watts(None)], "servers")
    assert (found.value, found.known, found.parts, found.is_complete) == (600, 1, 2, False)
    assert add_up([], "servers").value is None


def test_left_is_unknown_where_either_is_unknown() -> None:
    assert rack("r1", 9000, 10000).left_w == 1000
    assert rack("r1", None, 10000).left_w is None
    assert rack("r1", 9000, None).left_w is None


def test_one_feed_fails() -> None:
    feeds = {
        "A": FeedLoad("A", "s", "A", watts(8000), 20000, ("r1", "r2")),
        "B": FeedLoad("B", "s", "B", watts(9000), 20000, ("r1",)),
    }
    racks = [rack("r1", 12000, None, A=6000, B=6000), rack("r2", 2000, None, A=2000)]
    effects = {e.hits: e for e in what_if_feed_fails("A", feeds, racks)}
    assert effects["r2"].kind == "dark"
    assert (effects["B"].kind, effects["B"].after_w) == ("holds", 15000)


def test_a_feed_goes_over_its_usable_share_and_over_its_limit() -> None:
    for before, kind in ((11000, "over usable"), (15000, "over limit")):
        feeds = {"A": FeedLoad("A", "s", "A", watts(6000), 20000), "B": FeedLoad("B", "s", "B", watts(before), 20000)}
        (effect,) = what_if_feed_fails("A", feeds, [rack("r1", None, None, A=6000, B=6000)])
        assert effect.kind == kind


def test_what_is_not_measured_is_unknown_and_never_holds() -> None:
    feeds = {"A": FeedLoad("A", "s", "A", watts(6000), 20000), "B": FeedLoad("B", "s", "B", watts(None), 20000)}
    (effect,) = what_if_feed_fails("A", feeds, [rack("r1", 12000, None, A=None, B=None)])
    assert effect.kind == "unknown"


def test_a_lower_bound_over_the_limit_is_over_it() -> None:
    told = add_up([watts(15000), watts(None)], "pdu")
    feeds = {"A": FeedLoad("A", "s", "A", watts(6000), 20000), "B": FeedLoad("B", "s", "B", told, 20000)}
    (effect,) = what_if_feed_fails("A", feeds, [rack("r1", None, None, A=6000, B=6000)])
    assert (effect.kind, effect.after_w) == ("over limit", 21000)


def test_over_budget_and_stranded() -> None:
    racks = [rack("a", 11000, 10000), rack("b", 9000, 10000), rack("c", 5000, 10000), rack("d", None, 10000)]
    assert [r.name for r in over_budget(racks)] == ["a"]
    assert stranded_w(racks, 4000) == 1000
