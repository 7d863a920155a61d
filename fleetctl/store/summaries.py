"""Cards and hosts in sum, per host, summed by SQLite: 100,000 cards become 12,500 rows before Python sees them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fleetctl.store.catalogue import sample_columns
from fleetctl.store.samples import WITHIN_S, latest_slot, slots_between
from fleetctl.store.temperature import CORE, HOT_SPOT, first_of, sources

# What is summed over the cards of a host. A partition's share is part of its parent's value, and what belongs to a
# whole board stands once: both are left out of sums.
_CARD_SUMS = {
    "util_pct": "avg(s.util_pct)",
    "temp_c": "max(s.temp_c)",
    "power_w": "sum(CASE WHEN d.parent IS NULL AND instr(d.shares, 'power_w') = 0 THEN s.power_w END)",
    "mem_used_bytes": "sum(CASE WHEN d.parent IS NULL THEN s.mem_used_bytes END)",
    "mem_total_bytes": "sum(CASE WHEN d.parent IS NULL THEN s.mem_total_bytes END)",
}
_HOST_VALUES = (
    "cpu_pct", "load1", "mem_used_bytes", "mem_total_bytes", "disk_used_pct", "power_w", "inlet_temp_c", "uptime_s"
)  # fmt: skip
Values = dict[str, float | int | None]


class HostAnswer(NamedTuple):
    """What the last rounds of one host left. Moments are epoch seconds; answer_at None: it never answered.

    reach: fleetctl.model.states.Reach as a word; error: why it did not answer, "" while it does.
    """

    name: str
    reach: str
    reach_since: int
    report_at: int
    answer_at: int | None
    error: str


@dataclass(frozen=True, slots=True)
class CardSummary:
    """The cards a host names now; partitions are not counted. values: by metric, None when no card told within the last
    quarter of an hour (util_pct: mean; temp_c: hottest; power_w, mem_used_bytes, mem_total_bytes: sums)."""

    cards: int
    chip: str | None
    vendor: str | None
    values: Values


def host_answers(conn: sqlite3.Connection, host: str | None = None) -> dict[str, HostAnswer]:
    """Host -> its last answer; a lean list_host_states for tables of the whole fleet."""
    rows = conn.execute(
        """
        SELECT name, reach, reach_since, report_at, answer_at,
               CASE WHEN error IS NULL THEN '' WHEN error_text = '' THEN error ELSE error || ': ' || error_text END
          FROM hosts
         WHERE name = ifnull(?, name)
        """,
        (host,),
    )
    return {row[0]: HostAnswer._make(row) for row in rows}


def sum_cards(conn: sqlite3.Connection, host: str | None = None) -> dict[str, CardSummary]:
    """Host -> its cards in sum. Hosts that name no card are missing."""
    counted = conn.execute(
        """
        SELECT d.host, h.name, sum(d.parent IS NULL), min(ifnull(d.chip, d.model)), min(d.vendor)
          FROM devices d
          JOIN hosts h ON h.id = d.host
         WHERE d.kind = 'card' AND d.gone_at IS NULL AND h.name = ifnull(?, h.name)
         GROUP BY d.host
        """,
        (host,),
    ).fetchall()
    sums = _newest(conn, "card", _CARD_SUMS, [row[0] for row in counted])
    return {
        name: CardSummary(cards, chip, vendor, sums.get(number, {})) for number, name, cards, chip, vendor in counted
    }


def count_cards(conn: sqlite3.Connection) -> dict[str, CardSummary]:
    """As sum_cards, but counted only: no values, no chip."""
    rows = conn.execute(
        """
        SELECT h.name, sum(d.parent IS NULL)
          FROM devices d
          JOIN hosts h ON h.id = d.host
         WHERE d.kind = 'card' AND d.gone_at IS NULL
         GROUP BY d.host
        """
    )
    # Most hosts hold the same number of cards: one summary per number, not one per host.
    known: dict[int, CardSummary] = {}
    return {name: known.get(n) or known.setdefault(n, CardSummary(n, None, None, {})) for name, n in rows}


def fleet_figures(conn: sqlite3.Connection, metrics: Sequence[str]) -> dict[str, tuple[int, float, float]]:
    """Metric of cards -> (cards that told, sum, highest) in the newest complete round, without reading a card (only for
    the hottest, where some cards tell their hot spot alone, one round is read).

    Complete: at least nine tenths of what the round before it brought; the newest round is still being written.
    """
    found = {}
    for metric in metrics:
        rows = conn.execute(
            "SELECT n, sum, max, slot FROM fleet_slots WHERE kind = 'card' AND metric = ? ORDER BY slot DESC LIMIT 2",
            (metric,),
        ).fetchall()
        if rows:
            n, total, most, slot = rows[0] if len(rows) < 2 or rows[0][0] >= 0.9 * rows[1][0] else rows[1]
            found[metric] = n, total, max(most, _hottest_spot(conn, slot) or most) if metric == CORE else most
        elif metric == CORE and (spots := fleet_figures(conn, [HOT_SPOT])):
            found[metric] = spots[HOT_SPOT]
    return found


def _hottest_spot(conn: sqlite3.Connection, slot: int) -> float | None:
    """Of the cards that told no core temperature in that round; None where all did or nobody has a hot spot."""
    told = "SELECT 1 FROM fleet_slots WHERE kind = 'card' AND metric = ? AND slot = ?"
    if conn.execute(told, (HOT_SPOT, slot)).fetchone() is None:
        return None
    row = conn.execute(
        f"SELECT max({HOT_SPOT}) FROM card_samples WHERE slot = ? AND {CORE} IS NULL", (slot,)
    ).fetchone()
    return None if row[0] is None else float(row[0])


def host_values(conn: sqlite3.Connection, host: str | None = None) -> dict[str, Values]:
    """Host -> its own newest values (processors, memory, disk, power), of the last quarter of an hour."""
    named = dict(conn.execute("SELECT id, name FROM hosts WHERE name = ifnull(?, name)", (host,)))
    found = _newest(conn, "host", {name: f"max(s.{name})" for name in _HOST_VALUES}, list(named))
    return {named[number]: values for number, values in found.items()}


def wall_power(conn: sqlite3.Connection, since: float, host: str | None = None) -> dict[str, float]:
    """What BMCs said of whole servers since a moment: host -> W."""
    return dict(
        conn.execute(
            "SELECT host, total_power_w FROM facility_endpoint"
            " WHERE host IS NOT NULL AND total_power_w IS NOT NULL AND total_at >= ?1 AND (?2 IS NULL OR host = ?2)",
            (int(since), host),
        )
    )


def _newest(conn: sqlite3.Connection, kind: str, sums: dict[str, str], hosts: Sequence[int]) -> dict[int, Values]:
    """Host id -> sums over its devices of the newest round in which it said anything.

    The newest round is being written while we read, so what is missing there comes from the rounds before it; a metric
    that is asked less often than every round comes from the newest round that brought it.
    """
    there = set(sample_columns(conn, kind))
    newest = latest_slot(conn, kind)
    if newest is None or not hosts:
        return {}
    if hot := sources(kind, CORE, there):
        sums = {**sums, CORE: f"max({first_of(hot, 's')})"} if CORE in sums else sums
    names = [name for name in sums if name in there or (name == CORE and hot)]
    wanted = ", ".join(sums[name] for name in names)
    slots = sorted(slots_between(conn, kind, newest - WITHIN_S, newest + 1), reverse=True)
    found: dict[int, Values] = {}
    missing: Sequence[int] = hosts
    for slot in slots:
        for number, *values in _sums(conn, kind, wanted, slot, missing, len(hosts)):
            found[number] = dict(zip(names, values, strict=True))
        missing = [number for number in hosts if number not in found]
        if not missing:
            break
    for name, slot in _slow(conn, kind, names, slots):
        for number, value in _sums(conn, kind, sums[name], slot, hosts, len(hosts)):
            found[number][name] = value
    return found


def _sums(
    conn: sqlite3.Connection, kind: str, sums: str, slot: int, hosts: Sequence[int], of: int
) -> Iterable[tuple[int, ...]]:
    """Sums of one round, by host. For most of the fleet reading the round from end to end is twice as fast as looking
    up each host's devices; for a few hosts it is the other way round."""
    if len(hosts) > 100 and len(hosts) * 4 > of:
        few, ids = "", "[]"
        tables = f"{kind}_samples s CROSS JOIN devices d ON d.id = s.device AND d.gone_at IS NULL"
    else:
        few, ids = "json_each(?2) j CROSS JOIN ", json.dumps(list(hosts))
        tables = (
            f"devices d ON d.host = j.value AND d.kind = '{kind}' AND d.gone_at IS NULL"
            f" CROSS JOIN {kind}_samples s ON s.device = d.id"
        )
    wanted = set(hosts)
    rows = conn.execute(
        f"SELECT d.host, {sums} FROM {few}{tables} WHERE s.slot = ?1 AND ?2 <> '' GROUP BY d.host", (slot, ids)
    )
    return (row for row in rows if row[0] in wanted)


def _slow(conn: sqlite3.Connection, kind: str, names: Sequence[str], slots: Sequence[int]) -> list[tuple[str, int]]:
    """Metrics that neither of the newest two rounds brought, with the newest round that did."""
    if len(slots) < 3:
        return []
    marks = ", ".join("?" * len(names))
    rows = conn.execute(
        f"SELECT metric, max(slot) FROM fleet_slots WHERE kind = ? AND slot >= ? AND metric IN ({marks}) GROUP BY metric",
        (kind, slots[-1], *names),
    )
    return [(metric, slot) for metric, slot in rows if slot < slots[1]]


class LeaseSpan(NamedTuple):
    """A lease that held something on one host. ended_at None: it still does."""

    id: str
    tenant: str
    cards: int
    start_at: int
    ended_at: int | None
    ended_why: str


def lease_spans(conn: sqlite3.Connection, host: str, since: float) -> list[LeaseSpan]:
    """Leases on a host that began or ended after `since`, or still hold, oldest first."""
    rows = conn.execute(
        """
        SELECT l.id, l.tenant, sum(c.card <> ''), l.start_at, l.ended_at, l.ended_why
          FROM lease_card c
          JOIN lease l ON l.id = c.lease
         WHERE c.host = ? AND (l.ended_at IS NULL OR l.ended_at >= ?)
         GROUP BY l.id
         ORDER BY l.start_at, l.id
        """,
        (host, int(since)),
    )
    return [LeaseSpan._make(row) for row in rows]


class DeviceName(NamedTuple):
    """What people call a device: its host and the number its tool prints."""

    host: str
    number: str | None
    key: str
    chip: str | None


def name_devices(conn: sqlite3.Connection, ids: Iterable[int]) -> dict[int, DeviceName]:
    """Row id -> host, number, key and chip."""
    rows = conn.execute(
        """
        SELECT d.id, h.name, d.number, d.key, ifnull(d.chip, d.model)
          FROM json_each(?) j
          JOIN devices d ON d.id = j.value
          JOIN hosts h   ON h.id = d.host
        """,
        (json.dumps(list(ids)),),
    )
    return {row[0]: DeviceName._make(row[1:]) for row in rows}
