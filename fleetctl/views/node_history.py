"""How one node was lately: mean utilisation, hottest card, power and memory over time."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fleetctl.store.catalogue import sample_columns
from fleetctl.store.devices import list_devices
from fleetctl.store.facility import list_endpoints
from fleetctl.store.facility_history import MINUTE_S, power_sums
from fleetctl.store.series import read_metrics
from fleetctl.store.temperature import CORE, HOT_SPOT

# (title, unit, metric of cards, how cards become one figure, bottom, top of the scale)
CURVES: tuple[tuple[str, str, str, Callable[[Sequence[float]], float], float | None, float | None], ...] = (
    ("utilisation", "%", "util_pct", lambda v: sum(v) / len(v), 0.0, 100.0),
    ("hottest card", "C", "temp_c", max, None, None),
    ("power", "W", "power_w", sum, None, None),
    ("card memory", "GiB", "mem_used_bytes", lambda v: sum(v) / 2**30, 0.0, None),
)
BESIDE_TITLES = ("wall power", "power of cards", "at the wall")
MOST_POINTS = 360  # a plot has fewer dots; more would only be thrown away


@dataclass(frozen=True, slots=True)
class Curve:
    """points: (epoch seconds, value), rising; a round without values has no point, None is a gap. bottom, top: None fits
    the data. limit: a value that is drawn across; beside: a second line in the same unit, named by beside_title."""

    title: str
    unit: str
    points: Sequence[tuple[float, float | None]]
    bottom: float | None = None
    top: float | None = None
    limit: float | None = None
    beside: Sequence[tuple[float, float | None]] = ()
    beside_title: str = ""


def step_for(seconds: float, interval_s: float) -> int | None:
    """The step that keeps a span below MOST_POINTS, whole minutes, whole hours beyond one; None: every round."""
    step = seconds / MOST_POINTS
    if step <= interval_s:
        return None
    return int(-(-step // 3600) * 3600) if step > 1800 else int(-(-step // 60) * 60)


def load(conn: sqlite3.Connection, host: str, since: float, until: float, *, interval_s: float) -> list[Curve]:
    """The curves of one node. Partitions are left out: their share is part of their card's."""
    cards = [d for d in list_devices(conn, host, kind="card", gone=False) if d.device.parent is None]
    there = set(sample_columns(conn, "card"))
    metrics = [m for m in (*(curve[2] for curve in CURVES), HOT_SPOT) if m in there]
    values: dict[str, dict[int, list[float]]] = {metric: defaultdict(list) for metric in (*metrics, CORE)}
    step_s = step_for(until - since, interval_s)
    for card in cards:
        told = read_metrics(conn, card.id, metrics, since, until, step_s)
        spots = told.pop(HOT_SPOT, [])
        told[CORE] = told.get(CORE) or spots  # one temperature per card, as everywhere
        for metric, points in told.items():
            for point in points:
                values[metric][point.at].append(point.value)
    curves = [
        Curve(title, unit, [(float(at), join(found)) for at, found in sorted(values[metric].items())], low, top)
        for title, unit, metric, join, low, top in CURVES
        if metric in values
    ]
    wall = wall_points(conn, host, since, until)
    return _with_wall(curves, wall) if wall else curves


def _with_wall(curves: list[Curve], wall: Sequence[tuple[float, float | None]]) -> list[Curve]:
    """The power of cards with that of the whole server beside it; the server alone where no card tells its own."""
    server, cards, beside = BESIDE_TITLES
    if not any(curve.title == "power" for curve in curves):
        curves = [*curves, Curve("power", "W", ())]
    return [
        curve
        if curve.title != "power"
        else replace(curve, title=cards, beside=wall, beside_title=beside)
        if curve.points
        else replace(curve, title=server, points=wall)
        for curve in curves
    ]


def wall_points(conn: sqlite3.Connection, host: str, since: float, until: float) -> list[tuple[float, float | None]]:
    """What the BMC of a host said it draws, over time."""
    names = {state.name: 1.0 for state in list_endpoints(conn, host)}
    return [(at, watts) for at, watts, _count in power_sums(conn, names, since, until, MINUTE_S)] if names else []
