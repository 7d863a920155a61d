"""Closing an hour: its plain rows become chunks (every value) and rollups (four numbers), a few devices at a time.

Rows stay until retention takes them, so nothing is lost whenever this stops; where it stopped stands in `seals`. A
report that comes after its hour was sealed marks the hour dirty, and it is sealed again over what the chunk holds.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetctl.errors import StoreCorruptError
from fleetctl.model.metric import Metric
from fleetctl.store.catalogue import KINDS, Steps, list_metrics
from fleetctl.store.chunk import Chunk, decode_chunk, encode_chunk
from fleetctl.store.database import Database
from fleetctl.store.identity import GROUP
from fleetctl.store.matrix import Bool, Int64
from fleetctl.store.rollup import encode_rollup, roll
from fleetctl.store.rounding import round_column
from fleetctl.store.samples import slots_between

HOUR_S = 3600
GRACE_S = 300  # a round may end this long after its hour and still be in time
DEVICES_PER_STEP = 64 * GROUP  # about 60,000 rows: a tenth of a second of work, far less under the lock


@dataclass(frozen=True, slots=True)
class OpenHour:
    """An hour that can be sealed. next_device: where to go on; again: chunks of it may exist already."""

    kind: str
    hour: int
    next_device: int
    again: bool


def next_hour(conn: sqlite3.Connection, now: float) -> OpenHour | None:
    """The oldest hour that is over and not sealed, or dirty; None when all is sealed."""
    for kind in KINDS:
        hour = -HOUR_S
        while True:
            slot = conn.execute(f"SELECT min(slot) FROM {kind}_samples WHERE slot >= ?", (hour + HOUR_S,)).fetchone()[0]
            if slot is None or slot + HOUR_S - slot % HOUR_S + GRACE_S > now:
                break
            hour = slot - slot % HOUR_S
            seal = conn.execute(
                "SELECT next_device, sealed_at, dirty FROM seals WHERE kind = ? AND hour = ?", (kind, hour)
            ).fetchone()
            if seal is None:
                return OpenHour(kind, hour, 0, again=False)
            next_device, sealed_at, dirty = seal
            if sealed_at is None:
                return OpenHour(kind, hour, next_device, again=True)
            if dirty:
                return OpenHour(kind, hour, 0, again=True)
    return None


def seal_step(db: Database, now: float) -> bool:
    """Seal the next few devices of the oldest open hour; False when there was nothing to do."""
    with db.read() as conn:
        hour = next_hour(conn, now)
    if hour is None:
        return False
    first = hour.next_device
    if first == 0:  # noted before anything is read: whatever comes in from here on makes the hour dirty
        with db.write() as conn:
            conn.execute("INSERT OR REPLACE INTO seals (kind, hour) VALUES (?, ?)", (hour.kind, hour.hour))
    with db.read() as conn:
        top = conn.execute("SELECT ifnull(max(id), 0) FROM devices WHERE kind = ?", (hour.kind,)).fetchone()[0]
        blocks = _read_blocks(conn, hour, first, first + DEVICES_PER_STEP)
    packed = [(hour.hour, grp, encode_chunk(chunk), _rollup(chunk, kinds)) for grp, chunk, kinds in blocks]
    with db.write() as conn:
        conn.executemany(
            f"INSERT OR REPLACE INTO {hour.kind}_chunks (hour, grp, data) VALUES (?, ?, ?)",
            [(at, grp, chunk) for at, grp, chunk, _ in packed],
        )
        conn.executemany(
            f"INSERT OR REPLACE INTO {hour.kind}_rollups (hour, grp, data) VALUES (?, ?, ?)",
            [(at, grp, rollup) for at, grp, _, rollup in packed],
        )
        done = first + DEVICES_PER_STEP > top
        conn.execute(
            "UPDATE seals SET next_device = ?, sealed_at = ? WHERE kind = ? AND hour = ?",
            (first + DEVICES_PER_STEP, int(now) if done else None, hour.kind, hour.hour),
        )
    return True


def _read_blocks(
    conn: sqlite3.Connection, hour: OpenHour, first: int, end: int
) -> list[tuple[int, Chunk, dict[str, Metric]]]:
    """What the chunks of these devices are made of: rows of the hour over what older chunks of it hold."""
    slots = slots_between(conn, hour.kind, hour.hour, hour.hour + HOUR_S)
    metrics = _metrics_in_use(conn, hour)
    cubes = _Cubes(first, end - first, slots, metrics)
    names = list(metrics)
    if not names:
        return []
    for place, slot in enumerate(slots):
        rows = conn.execute(
            f"SELECT device, {', '.join(names)} FROM {hour.kind}_samples WHERE slot = ? AND device >= ? AND device < ?",
            (slot, first, end),
        ).fetchall()
        if rows:
            cubes.put(place, rows)
    old = _old_chunks(conn, hour, first, end) if hour.again else {}
    found = []
    for grp in range(first // GROUP, end // GROUP):
        chunk = cubes.chunk(grp)
        if grp in old:
            chunk = old[grp] if chunk is None else _over(chunk, old[grp])
        if chunk is not None:
            found.append((grp, chunk, metrics))
    return found


def _metrics_in_use(conn: sqlite3.Connection, hour: OpenHour) -> dict[str, Metric]:
    """Metrics that any device brought in that hour; the other columns are empty and are not read."""
    return {
        metric.name: metric
        for metric in list_metrics(conn, hour.kind)
        if conn.execute(
            "SELECT 1 FROM fleet_slots WHERE kind = ? AND metric = ? AND slot >= ? AND slot < ?",
            (hour.kind, metric.name, hour.hour, hour.hour + HOUR_S),
        ).fetchone()
    }


def _old_chunks(conn: sqlite3.Connection, hour: OpenHour, first: int, end: int) -> dict[int, Chunk]:
    old = {}
    for grp in range(first // GROUP, end // GROUP):
        row = conn.execute(
            f"SELECT data FROM {hour.kind}_chunks WHERE grp = ? AND hour = ?", (grp, hour.hour)
        ).fetchone()
        if row is not None:
            try:
                old[grp] = decode_chunk(row[0])
            except StoreCorruptError:
                continue  # the rows that are still there are all that is left of it
    return old


class _Cubes:
    """Steps of some devices over one hour, metric by metric: (devices, slots) each."""

    def __init__(self, first: int, devices: int, slots: list[int], metrics: dict[str, Metric]) -> None:
        self._first = first
        self._slots = slots
        self._steps = {name: Steps.of(metric.step) for name, metric in metrics.items()}
        self._cells = {name: np.zeros((devices, len(slots)), np.int64) for name in metrics}
        self._known = {name: np.zeros((devices, len(slots)), np.bool_) for name in metrics}

    def put(self, place: int, rows: list[tuple[Any, ...]]) -> None:
        """Rows (device, values ...) of one slot, values in the order of the metrics."""
        columns = list(zip(*rows, strict=True))
        where = np.array(columns[0], np.int64) - self._first
        for name, column in zip(self._steps, columns[1:], strict=True):
            rounded = round_column(column, self._steps[name])
            self._cells[name][where, place] = rounded.steps
            self._known[name][where, place] = True if rounded.known is None else rounded.known

    def chunk(self, grp: int) -> Chunk | None:
        """The cells of one group; None when it has none."""
        low = grp * GROUP - self._first
        part = slice(low, low + GROUP)
        known = {name: mask[part] for name, mask in self._known.items()}
        there = np.logical_or.reduce([mask.any(axis=1) for mask in known.values()])
        if not there.any():
            return None
        columns: dict[str, tuple[Int64, Bool | None]] = {}
        for name, mask in known.items():
            kept = mask[there]
            if kept.all():
                columns[name] = (self._cells[name][part][there], None)
            elif kept.any():
                columns[name] = (self._cells[name][part][there], kept)
        devices = tuple((np.flatnonzero(there) + grp * GROUP).tolist())
        return Chunk(devices, tuple(self._slots), columns, self._steps)


def _over(new: Chunk, old: Chunk) -> Chunk:
    """Both, the newer winning where both know a cell."""
    devices = tuple(sorted({*new.devices, *old.devices}))
    slots = tuple(sorted({*new.slots, *old.slots}))
    columns: dict[str, tuple[Int64, Bool | None]] = {}
    for name in dict.fromkeys((*old.columns, *new.columns)):
        cells = np.zeros((len(devices), len(slots)), np.int64)
        known = np.zeros((len(devices), len(slots)), np.bool_)
        for one in (old, new):
            if name not in one.columns or one.steps[name] != new.steps.get(name, one.steps[name]):
                continue  # the step of the metric was changed within this hour: the newer one stands
            part, mask = one.columns[name]
            where = np.ix_(np.searchsorted(devices, one.devices), np.searchsorted(slots, one.slots))
            if mask is None:
                cells[where], known[where] = part, True
            else:
                cells[where] = np.where(mask, part, cells[where])
                known[where] |= mask
        columns[name] = (cells, None if known.all() else known)
    return Chunk(devices, slots, columns, {**old.steps, **new.steps})


def _rollup(chunk: Chunk, metrics: dict[str, Metric]) -> bytes:
    rolled = {
        name: (roll(cells, known, metrics[name].kind), metrics[name].kind, chunk.steps[name])
        for name, (cells, known) in chunk.columns.items()
        if name in metrics
    }
    return encode_rollup(chunk.devices, rolled)
