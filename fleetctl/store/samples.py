"""What devices measured last: the newest value of every metric, however often its probe runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleetctl.errors import NotFoundError
from fleetctl.store.catalogue import sample_columns
from fleetctl.store.temperature import first_of, sources

if TYPE_CHECKING:
    from fleetctl.model.reading import Value

WITHIN_S = 900  # values older than this are history, not "now"
LatestRow = tuple[int, int, tuple["Value", ...]]


@dataclass(frozen=True, slots=True)
class Ranked:
    """One place of a ranking."""

    device: int
    slot: int
    value: float


def latest_slot(conn: sqlite3.Connection, kind: str = "card") -> int | None:
    """The newest round with values of that kind."""
    sample_columns(conn, kind)
    found = conn.execute(f"SELECT max(slot) FROM {kind}_samples").fetchone()[0]
    return None if found is None else int(found)


def latest_samples(
    conn: sqlite3.Connection, kind: str, columns: Sequence[str] | None = None, *, within_s: int = WITHIN_S
) -> list[LatestRow]:
    """(device id, slot, values) of every device with values in the last within_s seconds, by device id.

    columns: metrics in the order wanted, None: all of `sample_columns`; values: as many, None where unknown. slot: the
    device's newest round. A metric that is asked more rarely than once a round stands with its last value.
    """
    names = _known(conn, kind, columns)
    newest = latest_slot(conn, kind)
    if newest is None:
        return []
    counts = _counts(conn, kind, newest - within_s)
    slots = sorted({slot for per_slot in counts.values() for slot in per_slot} | {newest}, reverse=True)
    select = f"SELECT device, slot{''.join(f', {name}' for name in names)} FROM {kind}_samples"
    rows: dict[int, tuple[Any, ...]] = {}
    there: set[int] | None = None
    for position, slot in enumerate(slots):
        if position == 0 or (position == 1 and len(rows) < _size(counts, slot)):
            for row in conn.execute(f"{select} WHERE slot = ?", (slot,)):
                rows.setdefault(row[0], row)
            continue
        if there is None:
            there = {d for (d,) in conn.execute("SELECT id FROM devices WHERE kind = ? AND gone_at IS NULL", (kind,))}
        missing = sorted(there - rows.keys())
        if not missing:
            break
        for row in conn.execute(
            f"{select} WHERE slot = ? AND device IN (SELECT value FROM json_each(?))", (slot, json.dumps(missing))
        ):
            rows[row[0]] = row
    _fill_slow(conn, kind, names, counts, newest, rows)
    return [(device, rows[device][1], rows[device][2:]) for device in sorted(rows)]


def latest_of(
    conn: sqlite3.Connection, kind: str, devices: Sequence[int], *, within_s: int = WITHIN_S
) -> dict[int, tuple[int, dict[str, Value]]]:
    """Device id -> (slot, known values by metric), for the few devices of one host."""
    names = _known(conn, kind, None)
    newest = latest_slot(conn, kind)
    found: dict[int, tuple[int, dict[str, Value]]] = {}
    if newest is None:
        return found
    slots = [s for s in slots_between(conn, kind, newest - within_s, newest + 1) if s is not None]
    for slot in sorted(slots, reverse=True):
        for device, *values in conn.execute(
            f"SELECT device, {', '.join(names)} FROM {kind}_samples"
            " WHERE slot = ? AND device IN (SELECT value FROM json_each(?))",
            (slot, json.dumps(list(devices))),
        ):
            known = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            if device in found:
                found[device] = (found[device][0], {**known, **found[device][1]})
            else:
                found[device] = (slot, known)
    return found


def top_now(conn: sqlite3.Connection, kind: str, metric: str, limit: int = 20, *, lowest: bool = False) -> list[Ranked]:
    """The devices with the highest (or lowest) value of a metric now, best first.

    A device counts with its value of the newest two rounds that brought that metric; a card that tells no core
    temperature with its hot spot.
    """
    names = sources(kind, metric, sample_columns(conn, kind)) or _known(conn, kind, [metric])
    newest, older = first_of(names, "s"), first_of(names, "n")
    asked = ", ".join("?" * len(names))
    order = "ASC" if lowest else "DESC"
    slots = [
        slot
        for (slot,) in conn.execute(
            f"SELECT DISTINCT slot FROM fleet_slots WHERE kind = ? AND metric IN ({asked}) ORDER BY slot DESC LIMIT 2",
            (kind, *names),
        )
    ]
    best: dict[int, Ranked] = {}
    for slot in slots:
        newer = slots[0] if slot != slots[0] else -1
        rows = conn.execute(
            f"""
            SELECT s.device, s.slot, {newest}
              FROM {kind}_samples s
             WHERE s.slot = ?1 AND {newest} IS NOT NULL
               AND (?2 < 0 OR NOT EXISTS (
                     SELECT 1 FROM {kind}_samples n WHERE n.slot = ?2 AND n.device = s.device AND {older} IS NOT NULL))
             ORDER BY {newest} {order}, s.device
             LIMIT ?3
            """,
            (slot, newer, limit),
        )
        best.update((row[0], Ranked(*row)) for row in rows)
        if slot == slots[0] and _is_complete(conn, kind, names, slots):
            break  # every device of the round before has spoken again
    sign = 1 if lowest else -1
    return sorted(best.values(), key=lambda one: (sign * one.value, one.device))[:limit]


def _is_complete(conn: sqlite3.Connection, kind: str, metrics: Sequence[str], slots: Sequence[int]) -> bool:
    asked = ", ".join("?" * len(metrics))
    counts = dict(
        conn.execute(
            f"SELECT slot, sum(n) FROM fleet_slots WHERE kind = ? AND metric IN ({asked}) AND slot >= ? GROUP BY slot",
            (kind, *metrics, slots[-1]),
        )
    )
    return int(counts[slots[0]]) >= int(counts[slots[-1]])


def _known(conn: sqlite3.Connection, kind: str, columns: Sequence[str] | None) -> list[str]:
    there = sample_columns(conn, kind)
    if columns is None:
        return there
    unknown = [name for name in columns if name not in there]
    if unknown:
        raise NotFoundError(
            f"no metric named {unknown[0]!r} for a {kind}", hint=f"metrics: {', '.join(sorted(there)) or 'none yet'}"
        )
    return list(columns)


def _counts(conn: sqlite3.Connection, kind: str, since: int) -> dict[str, dict[int, int]]:
    """Metric -> slot -> devices with a value, for the rounds since then."""
    counts: dict[str, dict[int, int]] = {}
    for (metric,) in conn.execute("SELECT name FROM metrics WHERE of = ?", (kind,)).fetchall():
        for slot, n in conn.execute(
            "SELECT slot, n FROM fleet_slots WHERE kind = ? AND metric = ? AND slot >= ?", (kind, metric, since)
        ):
            counts.setdefault(metric, {})[slot] = n
    return counts


def _size(counts: dict[str, dict[int, int]], slot: int) -> int:
    return max((per_slot.get(slot, 0) for per_slot in counts.values()), default=0)


def _fill_slow(
    conn: sqlite3.Connection,
    kind: str,
    names: Sequence[str],
    counts: dict[str, dict[int, int]],
    newest: int,
    rows: dict[int, tuple[Any, ...]],
) -> None:
    """Metrics that most rounds do not bring: take their last value from the round that did."""
    for place, name in enumerate(names, start=2):
        per_slot = counts.get(name, {})
        most = max(per_slot.values(), default=0)
        if per_slot.get(newest, 0) * 2 >= most:
            continue
        found = 0
        for slot in sorted(per_slot, reverse=True):
            for device, value in conn.execute(
                f"SELECT device, {name} FROM {kind}_samples WHERE slot = ? AND {name} IS NOT NULL", (slot,)
            ):
                row = rows.get(device)
                if row is not None and row[place] is None:
                    rows[device] = (*row[:place], value, *row[place + 1 :])
                    found += 1
            if found >= most:
                break


def slots_between(conn: sqlite3.Connection, kind: str, since: int, until: int) -> list[int]:
    """Rounds with rows in since <= slot < until, found by stepping over them."""
    slots: list[int] = []
    step = since - 1
    while True:
        found = conn.execute(
            f"SELECT min(slot) FROM {kind}_samples WHERE slot > ? AND slot < ?", (step, until)
        ).fetchone()[0]
        if found is None:
            return slots
        slots.append(step := int(found))
