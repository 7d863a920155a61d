"""The hour that is being written, kept in memory in few bytes, so that sealing it need not read its rows again.

Only a short cut: an hour that began before this process, that was interrupted by an error or that grew too large is
sealed from its rows instead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fleetctl.store.matrix import Bool, Int64
from fleetctl.store.rounding import Rounded

LIMIT_BYTES = 256 * 1024 * 1024
HOUR_S = 3600
Columns = dict[str, tuple[np.ndarray, Bool | None]]  # whole numbers of any width


@dataclass(slots=True)
class Batch:
    """Values of some devices in one round: ids ascending, whole steps per metric and masks of what is known."""

    ids: Int64
    columns: Columns


@dataclass(slots=True)
class _Hour:
    slots: dict[int, list[Batch]] = field(default_factory=dict)
    bytes: int = 0
    whole: bool = True


class Recent:
    """Rounds by kind and hour."""

    def __init__(self) -> None:
        self._hours: dict[tuple[str, int], _Hour] = {}

    def begin(self, conn: sqlite3.Connection, kind: str, slot: int) -> None:
        """Call before the rows of a batch go in: an hour that has rows already is not all in memory."""
        hour = slot - slot % HOUR_S
        if (kind, hour) not in self._hours:
            older = conn.execute(
                f"SELECT 1 FROM {kind}_samples WHERE slot >= ? AND slot < ? LIMIT 1", (hour, hour + HOUR_S)
            ).fetchone()
            self._hours[kind, hour] = _Hour(whole=older is None)

    def add(self, kind: str, slot: int, ids: Int64, columns: Mapping[str, Rounded]) -> None:
        """Remember a batch whose rows have just been written."""
        held = self._hours.get((kind, slot - slot % HOUR_S))
        if held is None or not held.whole:
            return
        order = None if len(ids) < 2 or bool((np.diff(ids) > 0).all()) else np.argsort(ids, kind="stable")
        kept: Columns = {}
        for name, one in columns.items():
            steps, known = one.steps, one.known
            if order is not None:
                steps, known = steps[order], None if known is None else known[order]
            kept[name] = (_narrow(steps), known)
            held.bytes += kept[name][0].nbytes + (0 if known is None else known.nbytes)
        held.slots.setdefault(slot, []).append(Batch(ids if order is None else ids[order], kept))
        held.bytes += ids.nbytes
        if sum(hour.bytes for hour in self._hours.values()) > LIMIT_BYTES:
            held.slots.clear()
            held.bytes, held.whole = 0, False

    def rounds(self, kind: str, hour: int) -> dict[int, list[Batch]] | None:
        """Slot -> batches of an hour, joined; None when its rows have to be read."""
        held = self._hours.get((kind, hour))
        if held is None or not held.whole:
            return None
        for slot, batches in held.slots.items():
            if len(batches) > 4:
                held.slots[slot] = _join(batches)
        return held.slots

    def drop(self, kind: str, hour: int) -> None:
        """The hour is sealed."""
        self._hours.pop((kind, hour), None)

    def forget(self) -> None:
        """After a roll-back: batches may be here that were not written."""
        for held in self._hours.values():
            held.slots.clear()
            held.bytes, held.whole = 0, False


def _narrow(steps: Int64) -> np.ndarray:
    if not len(steps):
        return steps
    low, high = int(steps.min()), int(steps.max())
    for width in (np.int8, np.int16, np.int32):
        limits = np.iinfo(width)
        if limits.min <= low and high <= limits.max:
            return steps.astype(width)
    return steps.copy()


def _join(batches: list[Batch]) -> list[Batch]:
    """One batch per set of metrics; where a device was told twice the later batch stays the later one."""
    by_names: dict[tuple[str, ...], list[Batch]] = {}
    for batch in batches:
        by_names.setdefault(tuple(batch.columns), []).append(batch)
    if sum(len(np.unique(np.concatenate([b.ids for b in some]))) for some in by_names.values()) < sum(
        len(b.ids) for b in batches
    ):
        return batches  # repeats: keep the order in which they came
    joined = []
    for names, some in by_names.items():
        ids = np.concatenate([batch.ids for batch in some])
        order = np.argsort(ids, kind="stable")
        columns: Columns = {}
        for name in names:
            steps = np.concatenate([batch.columns[name][0] for batch in some])[order]
            masks = [batch.columns[name][1] for batch in some]
            known = None
            if any(mask is not None for mask in masks):
                full = [
                    np.ones(len(batch.ids), np.bool_) if mask is None else mask
                    for batch, mask in zip(some, masks, strict=True)
                ]
                known = np.concatenate(full)[order]
            columns[name] = (steps, known)
        joined.append(Batch(ids[order], columns))
    return joined
