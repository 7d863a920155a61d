"""The four axes of a node, derived from what the store knows."""

from __future__ import annotations

import pytest

from fleetctl.model.host import Host
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.store.summaries import CardSummary, HostAnswer
from fleetctl.views.nodes import (
    Held,
    Keeping,
    Known,
    Worst,
    build_nodes,
    derive_health,
    derive_load,
    derive_reach,
)

NOW = 10_000.0


@pytest.mark.parametrize(
    ("answer", "reach"),
    [
        (None, Reach.UNKNOWN),
        (HostAnswer("x", "fresh", 0, NOW - 10, NOW - 10, ""), Reach.FRESH),
        (HostAnswer("x", "hung", 0, NOW - 10, NOW - 10, ""), Reach.HUNG),
        (HostAnswer("x", "unreachable", 0, NOW - 10, NOW - 500, ""), Reach.UNREACHABLE),
        (HostAnswer("x", "unreachable", 0, NOW - 10, None, ""), Reach.UNREACHABLE),
        (HostAnswer("x", "fresh", 0, NOW - 151, NOW - 151, ""), Reach.STALE),
        (HostAnswer("x", "unreachable", 0, NOW - 151, None, ""), Reach.UNKNOWN),  # nobody asks any more: we do not know
        (HostAnswer("x", "fresh", 0, NOW - 10, NOW - 151, ""), Reach.STALE),
    ],
)
def test_reach(answer: HostAnswer | None, reach: Reach) -> None:
    assert derive_reach(answer, NOW, 150.0) is reach


@pytest.mark.parametrize("reach", [r for r in Reach if r is not Reach.FRESH])
def test_blind_is_never_green(reach: Reach) -> None:
    assert derive_health(None, reach) is Health.UNKNOWN
    assert derive_health(Worst(Health.CRIT, "x"), reach) is Health.CRIT


def test_health_of_a_fresh_node() -> None:
    assert derive_health(None, Reach.FRESH) is Health.OK
    assert derive_health(Worst(Health.WARN, "x"), Reach.FRESH) is Health.WARN
    assert derive_health(Worst(Health.UNKNOWN, "x"), Reach.FRESH) is Health.UNKNOWN


@pytest.mark.parametrize(
    ("held", "cards", "load"),
    [
        (None, 8, Load.IDLE),
        (None, None, Load.UNKNOWN),
        (None, 0, Load.IDLE),
        (Held((), 0), 8, Load.IDLE),
        (Held(("l1",), 3), 8, Load.MIXED),
        (Held(("l1", "l2"), 8, 8), 8, Load.ALLOCATED),
        (Held(("l1", "l2"), 8, 7), 8, Load.MIXED),
        (Held(("l1",), 0, whole=True), 0, Load.ALLOCATED),
        (Held(("l1",), 1), None, Load.MIXED),
    ],
)
def test_load(held: Held | None, cards: int | None, load: Load) -> None:
    assert derive_load(held, cards) is load


def test_a_row_takes_everything_from_its_place() -> None:
    host = Host("gpu001", "lingang", rack="r1", pools=("train",), chip="H100", cards=8)
    rows = build_nodes(
        [host, Host("gpu002", "lingang")],
        Known(
            answers={"gpu001": HostAnswer("gpu001", "fresh", 0, NOW, NOW, "")},
            cards={
                "gpu001": CardSummary(
                    7,
                    "H100 SXM5",
                    "nvidia",
                    {
                        "util_pct": 50.0,
                        "temp_c": 81.0,
                        "power_w": 4000.0,
                        "mem_used_bytes": 40.0,
                        "mem_total_bytes": 80.0,
                    },
                )
            },
            values={"gpu001": {"power_w": 5600.0, "load1": 3.5}},
            keeping={"gpu001": Keeping(Admin.DRAINING, "hw: fan", "li", NOW - 60, NOW + 60)},
            held={"gpu001": Held(("l1",), 4, 4)},
            worst={"gpu001": Worst(Health.WARN, "a card is missing", 2)},
        ),
        now=NOW,
    )
    first, second = rows
    assert (first.cards, first.cards_found, first.chip) == (8, 7, "H100 SXM5")
    assert (first.reach, first.health, first.admin, first.load) == ("fresh", "warn", "draining", "mixed")
    assert first.power_w == 5600.0  # the meter of the server wins over the sum of its cards
    assert first.mem_pct == 50.0
    assert (second.reach, second.health, second.admin, second.load) == ("unknown", "unknown", "in_service", "unknown")
    assert second.power_w is None
    assert second.cards is None
