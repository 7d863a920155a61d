"""The figures of a replay: allocation, waiting, slowdown, utilisation, fragments, power, speed. Plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from fleetctl.scheduler.packing.drain import DrainResult
from fleetctl.scheduler.packing.fill import FillResult
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.queueing import QueueResult
from fleetctl.scheduler.packing.task import WHOLE, Task

SHORTEST_S = 10.0  # shorter runs count as this long, or the slowdown of jobs that fail at once would be all there is


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


def queue_figures(packer: Packer, tasks: Sequence[Task], result: QueueResult) -> dict[str, Any]:
    """Waiting, slowdown (waited and ran, against ran, at least 10 s) and completion over the jobs that started."""
    waits: list[tuple[int, float]] = []
    slowdowns, completions = [], []
    for task, started, ended in zip(tasks, result.started_s, result.ended_s, strict=True):
        if started is None:
            continue
        wait = started - task.submit_s
        waits.append((task.kind.cards, wait))
        if ended is not None and task.duration_s is not None:
            ran = max(task.duration_s, SHORTEST_S)
            slowdowns.append(max(1.0, (wait + task.duration_s) / ran))
            completions.append(ended - task.submit_s)
    by_size: dict[str, list[float]] = {}
    for cards, wait in sorted(waits):
        by_size.setdefault(size_name(cards), []).append(wait)
    span = result.last_s - result.first_s
    until = result.last_submit_s - result.first_s
    fragments = result.fragments_milli
    figures: dict[str, Any] = {
        "jobs": len(tasks),
        "started": len(waits),
        "impossible": len(result.impossible),
        "never_started": len(tasks) - len(waits) - len(result.impossible),
        "allocation": {
            "mean_pct": percent(result.used_until_last_submit, packer.total_milli * until),
            "peak_pct": percent(result.peak_milli, packer.total_milli),
        },
        "waiting": {
            **_spread([w for _, w in waits]),
            "by_size": {name: _spread(values) for name, values in by_size.items()},
        },
        "slowdown": {name.removesuffix("_s"): v for name, v in _spread(slowdowns).items() if name != "jobs"},
        "completion": _spread(completions),
        "makespan_s": round(span, 3),
        "utilisation_pct": percent(result.used_milli_s, packer.total_milli * span),
        "utilisation_until_last_arrival_pct": percent(result.used_until_last_submit, packer.total_milli * until),
        "fragments": {
            "expected_cards": round(sum(fragments) / len(fragments) / WHOLE, 3) if fragments else None,
            "samples": len(fragments),
        },
        "power": {
            "mean_kw": round(result.energy_j / span / 1000, 1) if span > 0 else None,
            "peak_kw": round(result.peak_w / 1000, 1),
            "energy_kwh": round(result.energy_j / 3.6e6, 1),
            "unknown_cards": _unknown_cards(packer),
        },
        "speed": speed_figures(result.took_s),
    }
    if result.drains:
        figures["drains"] = [drain_figures(d) for d in result.drains]
    return figures


def size_name(cards: int) -> str:
    """0, 1, 2, 3-4, 5-8, 9-16 ..."""
    if cards <= 2:
        return str(cards)
    top = 1 << (cards - 1).bit_length()
    return f"{top // 2 + 1}-{top}"


def _spread(values: Sequence[float]) -> dict[str, float | int | None]:
    ordered = sorted(values)
    found = {
        "mean_s": sum(ordered) / len(ordered) if ordered else None,
        "median_s": median(ordered) if ordered else None,
        "p95_s": quantile(ordered, 0.95),
        "max_s": ordered[-1] if ordered else None,
    }
    return {"jobs": len(ordered), **{name: None if v is None else round(v, 3) for name, v in found.items()}}


def _unknown_cards(packer: Packer) -> int:
    return sum(n.cards for n in packer.nodes if not packer.power.knows(n.model))


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
            "unknown_cards": _unknown_cards(packer),
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
