"""One value over time, wherever it lies by now: plain rows, chunks or rollups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fleetctl.errors import NotFoundError, StoreCorruptError
from fleetctl.model.metric import Metric, MetricKind
from fleetctl.store.catalogue import list_metrics
from fleetctl.store.identity import GROUP, ROLLUP_GROUP

HOUR_S = 3600


class Point(NamedTuple):
    """at: epoch seconds of the round or of the start of the step; value: the value, the mean of a gauge over the step,
    the last value of a counter or state; low, high: extremes; n: values behind it."""

    at: int
    value: float
    low: float
    high: float
    n: int


def read_series(
    conn: sqlite3.Connection, device: int, metric: str, since: float, until: float, step_s: int | None = None
) -> list[Point]:
    """One metric of one device (row id) in since <= at < until, oldest first.

    step_s None: every value that is still there, and hours where only hours are left. Otherwise one point per step;
    steps of whole hours read rollups where they exist. A step without a value has no point.
    Raises NotFoundError for an unknown device or metric.
    """
    return read_metrics(conn, device, [metric], since, until, step_s)[metric]


def read_metrics(
    conn: sqlite3.Connection,
    device: int,
    metrics: Sequence[str],
    since: float,
    until: float,
    step_s: int | None = None,
) -> dict[str, list[Point]]:
    """`read_series` for several metrics of one device; a chunk is opened once for all of them."""
    row = conn.execute("SELECT kind FROM devices WHERE id = ?", (device,)).fetchone()
    if row is None:
        raise NotFoundError(f"no device with the id {device}")
    kind = row[0]
    known = {metric.name: metric for metric in list_metrics(conn, kind)}
    for name in metrics:
        if name not in known:
            raise NotFoundError(f"no metric named {name!r} for a {kind}", hint=f"metrics: {', '.join(known)}")
    start, end = max(0, int(since)), min(int(until), 2**40)
    coarse = step_s is not None and step_s >= HOUR_S and step_s % HOUR_S == 0
    hours = _hours(conn, kind, device, metrics, start, end, everything=coarse)
    raw_start = start
    if coarse and hours:
        raw_start = max(hours) + HOUR_S
    values = {name: dict[int, float]() for name in metrics}
    _add_chunks(conn, kind, device, values, raw_start, end)
    _add_rows(conn, kind, device, values, raw_start, end)
    found = {}
    for name in metrics:
        points = [Point(at, value, value, value, 1) for at, value in sorted(values[name].items())]
        covered = {point.at - point.at % HOUR_S for point in points}
        older = [point for hour, told in hours.items() if hour not in covered for point in told.get(name, ())]
        points = sorted([*older, *points])
        found[name] = points if step_s is None else in_steps(points, max(1, step_s), known[name])
    return found


def _add_rows(
    conn: sqlite3.Connection, kind: str, device: int, values: dict[str, dict[int, float]], start: int, end: int
) -> None:
    names = list(values)
    # The rounds are known from the fleet's rows, so that the rows of a device are found one by one, not by a scan.
    for slot, *cells in conn.execute(
        f"""
        SELECT s.slot, {", ".join(f"s.{name}" for name in names)}
          FROM (SELECT DISTINCT slot
                  FROM fleet_slots
                 WHERE kind = ? AND metric IN ({", ".join("?" * len(names))}) AND slot >= ? AND slot < ?) f
         CROSS JOIN {kind}_samples s ON s.slot = f.slot AND s.device = ?
        """,
        (kind, *names, max(start, _oldest_row(conn, kind)), end, device),
    ):
        for name, value in zip(names, cells, strict=True):
            if value is not None:
                values[name][slot] = value


def _oldest_row(conn: sqlite3.Connection, kind: str) -> int:
    return int(conn.execute(f"SELECT ifnull(min(slot), 0) FROM {kind}_samples").fetchone()[0])


def _add_chunks(
    conn: sqlite3.Connection, kind: str, device: int, values: dict[str, dict[int, float]], start: int, end: int
) -> None:
    from fleetctl.store.chunk import decode_chunk  # numpy: only where there is history

    rows = conn.execute(
        f"SELECT data FROM {kind}_chunks WHERE grp = ? AND hour > ? AND hour < ? ORDER BY hour",
        (device // GROUP, start - HOUR_S, end),
    )
    wanted = set(values)
    for (data,) in rows:
        try:
            chunk = decode_chunk(data, wanted)
        except StoreCorruptError:
            continue  # a gap; `fleetctl db check` tells of it
        for name in wanted:
            values[name].update((slot, value) for slot, value in chunk.values(device, name) if start <= slot < end)


def _hours(
    conn: sqlite3.Connection,
    kind: str,
    device: int,
    metrics: Sequence[str],
    start: int,
    end: int,
    *,
    everything: bool,
) -> dict[int, dict[str, list[Point]]]:
    """Rolled-up hours: all that are over and sealed without a gap, or only those whose chunks are gone."""
    from fleetctl.store.rollup import decode_rollup

    clean = conn.execute(
        "SELECT ifnull(max(hour), -1) FROM seals WHERE kind = ? AND sealed_at IS NOT NULL AND dirty = 0", (kind,)
    ).fetchone()[0]
    dirty = conn.execute(
        "SELECT min(hour) FROM seals WHERE kind = ? AND (sealed_at IS NULL OR dirty = 1)", (kind,)
    ).fetchone()[0]
    last = clean if dirty is None else min(clean, dirty - HOUR_S)
    if not everything:
        oldest = conn.execute(f"SELECT min(hour) FROM {kind}_chunks WHERE grp = ?", (device // GROUP,)).fetchone()[0]
        last = min(last, (oldest if oldest is not None else end) - HOUR_S)
    rows = conn.execute(
        f"SELECT hour, data FROM {kind}_rollups WHERE grp = ? AND hour >= ? AND hour < ? AND hour <= ? ORDER BY hour",
        (device // ROLLUP_GROUP, start - start % HOUR_S, end, last),
    )
    found: dict[int, dict[str, list[Point]]] = {}
    for hour, data in rows:
        try:
            told = decode_rollup(data, device, set(metrics))
        except StoreCorruptError:
            continue
        found[hour] = {name: [Point(hour, one.value, one.low, one.high, one.n)] for name, one in told.items()}
    return found


def in_steps(points: Iterable[Point], step_s: int, metric: Metric) -> list[Point]:
    """One point per step of step_s seconds, on the clock (a step of 3600 starts on the hour, UTC)."""
    steps: list[Point] = []
    total = 0.0
    for at, value, low, high, n in points:
        start = at - at % step_s
        if not steps or steps[-1].at != start:
            steps.append(Point(start, value, low, high, n))
            total = value * n
            continue
        last = steps[-1]
        total += value * n
        merged = total / (last.n + n) if metric.kind is MetricKind.GAUGE else value
        steps[-1] = Point(start, merged, min(low, last.low), max(high, last.high), last.n + n)
    return steps


def read_fleet(
    conn: sqlite3.Connection, kind: str, metric: str, since: float, until: float, step_s: int | None = None
) -> list[Point]:
    """A metric over all devices of a kind: mean, extremes and number of values per round or step, oldest first."""
    rows = conn.execute(
        """
        SELECT slot, n, min, max, sum
          FROM fleet_slots
         WHERE kind = ? AND metric = ? AND slot >= ? AND slot < ?
         ORDER BY slot
        """,
        (kind, metric, int(since), min(int(until), 2**40)),
    )
    points = [Point(slot, total / n, low, high, n) for slot, n, low, high, total in rows]
    if step_s is None:
        return points
    return in_steps(points, max(1, step_s), Metric(metric, kind, "", ""))
