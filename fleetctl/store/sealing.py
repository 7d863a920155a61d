"""Closing an hour: its plain rows become chunks (every value) and rollups (four numbers), a few devices at a time.

Rows stay until retention takes them, so nothing is lost whenever this stops; where it stopped stands in `seals`. A
report that comes after its hour was sealed marks the hour dirty, and it is sealed again over what the chunk holds.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetctl.errors import StoreCorruptError
from fleetctl.model.metric import Metric
from fleetctl.store.catalogue import KINDS, Steps, list_metrics
from fleetctl.store.chunk import Chunk, decode_chunk, encode_chunk
from fleetctl.store.database import Database
from fleetctl.store.identity import GROUP, ROLLUP_GROUP
from fleetctl.store.matrix import Bool, Int64
from fleetctl.store.recent import Batch
from fleetctl.store.rollup import encode_rollup, roll
from fleetctl.store.rounding import round_column
from fleetctl.store.rounds import recorder_of
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
    recent = recorder_of(db).recent.rounds(hour.kind, hour.hour)
    with db.read() as conn:
        top = conn.execute("SELECT ifnull(max(id), 0) FROM devices WHERE kind = ?", (hour.kind,)).fetchone()[0]
        cubes = _read_cubes(conn, hour, first, recent)
    chunks = [(hour.hour, grp, encode_chunk(chunk)) for grp, chunk in cubes.chunks()]
    rollups = [(hour.hour, grp, data) for grp, data in cubes.rollups()]
    with db.write() as conn:
        conn.executemany(f"INSERT OR REPLACE INTO {hour.kind}_chunks (hour, grp, data) VALUES (?, ?, ?)", chunks)
        conn.executemany(f"INSERT OR REPLACE INTO {hour.kind}_rollups (hour, grp, data) VALUES (?, ?, ?)", rollups)
        done = first + DEVICES_PER_STEP > top
        conn.execute(
            "UPDATE seals SET next_device = ?, sealed_at = ? WHERE kind = ? AND hour = ?",
            (first + DEVICES_PER_STEP, int(now) if done else None, hour.kind, hour.hour),
        )
    if done:
        recorder_of(db).recent.drop(hour.kind, hour.hour)
    return True


def _read_cubes(conn: sqlite3.Connection, hour: OpenHour, first: int, recent: dict[int, list[Batch]] | None) -> _Cubes:
    """All that is known of the devices of a step in that hour: older chunks, and over them what came since."""
    end = first + DEVICES_PER_STEP
    old = _old_chunks(conn, hour, first, end) if hour.again else []
    told = slots_between(conn, hour.kind, hour.hour, hour.hour + HOUR_S) if recent is None else list(recent)
    slots = sorted({*told, *(slot for chunk in old for slot in chunk.slots)})
    metrics = _metrics_in_use(conn, hour, {name for chunk in old for name in chunk.columns})
    cubes = _Cubes(first, DEVICES_PER_STEP, slots, metrics)
    for chunk in old:
        cubes.put_chunk(chunk)
    for slot in told:
        if recent is not None:
            for batch in recent[slot]:
                cubes.put_batch(slot, batch)
        elif metrics:
            rows = conn.execute(
                f"SELECT device, {', '.join(metrics)} FROM {hour.kind}_samples"
                " WHERE slot = ? AND device >= ? AND device < ?",
                (slot, first, end),
            ).fetchall()
            if rows:
                cubes.put_rows(slot, rows)
    return cubes


def _metrics_in_use(conn: sqlite3.Connection, hour: OpenHour, old: set[str]) -> dict[str, Metric]:
    """Metrics that any device brought in that hour; the other columns are empty and are not read."""
    return {
        metric.name: metric
        for metric in list_metrics(conn, hour.kind)
        if metric.name in old
        or conn.execute(
            "SELECT 1 FROM fleet_slots WHERE kind = ? AND metric = ? AND slot >= ? AND slot < ?",
            (hour.kind, metric.name, hour.hour, hour.hour + HOUR_S),
        ).fetchone()
    }


def _old_chunks(conn: sqlite3.Connection, hour: OpenHour, first: int, end: int) -> list[Chunk]:
    old = []
    for grp in range(first // GROUP, end // GROUP):
        row = conn.execute(
            f"SELECT data FROM {hour.kind}_chunks WHERE grp = ? AND hour = ?", (grp, hour.hour)
        ).fetchone()
        if row is not None:
            # Of a damaged one only the rows that are still there are left.
            with contextlib.suppress(StoreCorruptError):
                old.append(decode_chunk(row[0]))
    return old


class _Cubes:
    """Steps of some devices over one hour, metric by metric: (devices, slots) each. Later puts win."""

    def __init__(self, first: int, devices: int, slots: list[int], metrics: dict[str, Metric]) -> None:
        self._first = first
        self._slots = slots
        self._place = {slot: place for place, slot in enumerate(slots)}
        self._metrics = metrics
        self._steps = {name: Steps.of(metric.step) for name, metric in metrics.items()}
        self._cells = {name: np.zeros((devices, len(slots)), np.int64) for name in metrics}
        self._known = {name: np.zeros((devices, len(slots)), np.bool_) for name in metrics}
        self._end = first + devices

    def put_rows(self, slot: int, rows: list[tuple[Any, ...]]) -> None:
        """Rows (device, values ...) of one slot, values in the order of the metrics."""
        columns = list(zip(*rows, strict=True))
        where = np.array(columns[0], np.int64) - self._first
        for name, column in zip(self._steps, columns[1:], strict=True):
            rounded = round_column(column, self._steps[name])
            self._put(name, self._place[slot], where, rounded.steps, rounded.known)

    def put_batch(self, slot: int, batch: Batch) -> None:
        """What is remembered of one round."""
        low, high = np.searchsorted(batch.ids, (self._first, self._end))
        if low == high:
            return
        where = batch.ids[low:high] - self._first
        for name, (steps, known) in batch.columns.items():
            if name in self._cells:
                self._put(name, self._place[slot], where, steps[low:high], None if known is None else known[low:high])

    def put_chunk(self, chunk: Chunk) -> None:
        """What was sealed before."""
        where = np.array(chunk.devices, np.int64) - self._first
        for name, (cells, known) in chunk.columns.items():
            # After a change of the metric's step within the hour only the newer values stand.
            if name in self._cells and chunk.steps[name] == self._steps[name]:
                for n, slot in enumerate(chunk.slots):
                    self._put(name, self._place[slot], where, cells[:, n], None if known is None else known[:, n])

    def _put(self, name: str, place: int, where: Int64, steps: Any, known: Bool | None) -> None:
        if known is not None:
            where, steps = where[known], steps[known]
        self._cells[name][where, place] = steps
        self._known[name][where, place] = True

    def chunks(self) -> Iterator[tuple[int, Chunk]]:
        """Group and chunk of every group with any value."""
        there = self._there()
        full = {name: bool(mask[there].all()) for name, mask in self._known.items()}
        for low in range(0, len(there), GROUP):
            here = np.flatnonzero(there[low : low + GROUP]) + low
            if not len(here):
                continue
            columns: dict[str, tuple[Int64, Bool | None]] = {}
            for name, mask in self._known.items():
                kept = None if full[name] else mask[here]
                if kept is not None and kept.all():
                    kept = None
                columns[name] = (self._cells[name][here], kept)
            devices = tuple((here + self._first).tolist())
            yield (self._first + low) // GROUP, Chunk(devices, tuple(self._slots), columns, self._steps)

    def rollups(self) -> Iterator[tuple[int, bytes]]:
        """Group and rollup of every group of the rollups with any value."""
        there = self._there()
        if not there.any():
            return
        rolled = {}
        for name, metric in self._metrics.items():
            mask = self._known[name]
            rolled[name] = roll(self._cells[name], None if mask.all() else mask, metric.kind)
        for low in range(0, len(there), ROLLUP_GROUP):
            here = np.flatnonzero(there[low : low + ROLLUP_GROUP]) + low
            if len(here):
                told = {
                    name: (four[:, here], self._metrics[name].kind, self._steps[name]) for name, four in rolled.items()
                }
                yield (self._first + low) // ROLLUP_GROUP, encode_rollup(tuple((here + self._first).tolist()), told)

    def _there(self) -> Bool:
        if not self._known:
            return np.zeros(self._end - self._first, np.bool_)
        there: Bool = np.logical_or.reduce([mask.any(axis=1) for mask in self._known.values()])
        return there
