"""The figures of a replay: allocation, waiting, slowdown, utilisation, fragments, power, speed. Plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleetctl.scheduler.packing.drain import DrainResult
from fleetctl.scheduler.packing.fill import FillResult
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.task import WHOLE


def fill_figures(packer: Packer, result: FillResult) -> dict[str, Any]:
    """allocation_at: per cent of the cards taken, and kW drawn, when so many per cent had been asked for."""
    total = packer.total_milli
    figures: dict[str, Any] = {
        "jobs": len(result.took_s),
        "placed": len(result.took_s) - result.lost,
        "lost": result.lost,
        "cards_asked": result.asked_milli / WHOLE,
        "cards_allocated": packer.used_milli / WHOLE,
        "asked_pct": percent(result.asked_milli, total),
        "allocation_pct": percent(packer.used_milli, total),
        "allocation_at": {str(m.asked_pct): round(m.allocated_pct, 3) for m in result.marks},
        **fleet_figures(packer),
        "power_at_kw": {str(m.asked_pct): round(m.power_w / 1000, 1) for m in result.marks},
        "speed": speed_figures(result.took_s),
    }
    if result.drains:
        figures["drains"] = [drain_figures(d) for d in result.drains]
    return figures


def fleet_figures(packer: Packer) -> dict[str, Any]:
    """The fleet as the replay left it."""
    free = packer.total_milli - packer.used_milli
    lost = packer.fragments_milli()
    return {
        "fragments": {
            "expected_cards": round(lost / WHOLE, 3),
            "free_cards": round(free / WHOLE, 3),
            "share_of_free_pct": percent(lost, free),
        },
        "power": {
            "estimated_kw": round(packer.power_w / 1000, 1),
            "unknown_cards": sum(n.cards for n in packer.nodes if not packer.power.knows(n.model)),
        },
    }


def drain_figures(result: DrainResult) -> dict[str, Any]:
    return {
        "at": result.at,
        "nodes": result.nodes,
        "jobs": result.tasks,
        "cards_displaced": result.displaced_milli / WHOLE,
        "placed_again_pct": percent(result.placed_again_milli, result.displaced_milli),
    }


def speed_figures(took_s: Sequence[float]) -> dict[str, float | None]:
    """Decisions per second of deciding, and how long single ones took, on the clock."""
    spent = sum(took_s)
    ordered = sorted(took_s)
    return {
        "decisions_per_s": round(len(ordered) / spent, 1) if spent > 0 else None,
        "p50_ms": _ms(quantile(ordered, 0.5)),
        "p99_ms": _ms(quantile(ordered, 0.99)),
        "max_ms": _ms(ordered[-1] if ordered else None),
    }


def percent(part: float, whole: float) -> float | None:
    """None where there is no whole."""
    return round(100.0 * part / whole, 3) if whole else None


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Of ascending values: the smallest that at least `share` of them do not exceed; None of none."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
