"""The whole fleet as one row per metric and round: written with the round, so that a mean never reads every card."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fleetctl.store.rounding import Rounded

_KEPT_SLOTS = 4  # rounds that may still be under way at once


@dataclass(slots=True)
class _Total:
    n: int = 0
    low: float = 0
    high: float = 0
    sum: float = 0

    def add(self, n: int, low: float, high: float, total: float) -> None:
        self.low = min(self.low, low) if self.n else low
        self.high = max(self.high, high) if self.n else high
        self.n += n
        self.sum += total


@dataclass(slots=True)
class _Slot:
    seen: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    totals: dict[str, _Total] = field(default_factory=dict)


class FleetSlots:
    """Running totals of the newest rounds. A batch that repeats a device makes its round be counted afresh from rows."""

    def __init__(self) -> None:
        self._slots: dict[tuple[str, int], _Slot | None] = {}  # None: count this one from rows

    def begin(self, conn: sqlite3.Connection, kind: str, slot: int) -> None:
        """Call before the first rows of a batch go in."""
        if (kind, slot) not in self._slots:
            older = conn.execute(f"SELECT 1 FROM {kind}_samples WHERE slot = ? LIMIT 1", (slot,)).fetchone()
            self._slots[kind, slot] = _Slot() if older is None else None
            for key in sorted((k for k in self._slots if k[0] == kind), key=lambda k: k[1])[:-_KEPT_SLOTS]:
                if key != (kind, slot):
                    del self._slots[key]

    def add(
        self, conn: sqlite3.Connection, kind: str, slot: int, ids: npt.NDArray[np.int64], columns: dict[str, Rounded]
    ) -> None:
        """Count rows that have just been written and bring the stored totals up to date."""
        held = self._slots.get((kind, slot))
        if held is None or not _is_new(held, ids, columns):
            self._slots[kind, slot] = None
            recount(conn, kind, slot, list(columns))
            return
        rows = []
        for name, column in columns.items():
            steps = column.steps if column.known is None else column.steps[column.known]
            if not len(steps):
                continue
            total = held.totals.setdefault(name, _Total())
            factor = column.factor
            low, high = float(steps.min()) * factor, float(steps.max()) * factor
            total.add(len(steps), low, high, float(steps.sum(dtype=np.float64)) * factor)
            rows.append((kind, name, slot, total.n, total.low, total.high, total.sum))
        conn.executemany("INSERT OR REPLACE INTO fleet_slots VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def forget(self) -> None:
        """After a roll-back: the totals may hold what was not written."""
        self._slots.clear()


def _is_new(held: _Slot, ids: npt.NDArray[np.int64], columns: dict[str, Rounded]) -> bool:
    """Whether no value of these was counted before; marks them as counted."""
    top = int(ids.max()) + 1
    for name in columns:
        seen = held.seen.get(name)
        if seen is None or len(seen) < top:
            wider = np.zeros(top * 5 // 4, dtype=np.bool_)
            if seen is not None:
                wider[: len(seen)] = seen
            seen = held.seen[name] = wider
        before = int(np.count_nonzero(seen))
        seen[ids] = True
        if int(np.count_nonzero(seen)) - before != len(ids):
            return False
    return True


def recount(conn: sqlite3.Connection, kind: str, slot: int, names: list[str]) -> None:
    """Count one round from its rows."""
    for name in names:
        conn.execute(
            f"""
            INSERT OR REPLACE INTO fleet_slots
            SELECT ?, ?, ?, count({name}), min({name}), max({name}), total({name})
              FROM {kind}_samples
             WHERE slot = ?
            HAVING count({name}) > 0
            """,
            (kind, name, slot, slot),
        )
