"""Power and cooling over time: totals, counters, heat and flow by the minute for a day, by the quarter, then by the hour.

Quarters and hours are what energies are made of. Minutes stand beside them for eyes, in rows keyed (minute, series), so
that a minute of 6,500 endpoints is appended at one place and taken away at another.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

MINUTE_S = 60
SLOT_S = 900  # one value per series and quarter of an hour
FINE_DAYS = 14  # after that, one per hour
TOTAL = "total_power_w"
LEAST_SHARE = 0.9  # of the endpoints that told in a quarter: sums by the minute of fewer are of slow ones in turns
MOST_SERIES = 500  # by the minute, of one endpoint; a PDU with a counter per outlet has 50
MOST_SEEN = 200_000
PRUNED_AT_ONCE_S = 600  # of minutes: 65,000 rows of 6,500 endpoints, 40 ms of the write lock

Seen = dict[tuple[int, str], int]  # (endpoint id, series) -> minute
Points = list[tuple[float, float | None]]
Sums = list[tuple[float, float, int]]


def save_history(
    conn: sqlite3.Connection, values: Iterable[tuple[int, str, int, float]], *, minutes: bool, seen: Seen
) -> None:
    """(endpoint id, series, moment, value). The first of a slot stays: it is the one nearest to the slot's moment.

    seen: the minute of each series that was written last; of six values in a minute five are not looked at.
    """
    if len(seen) > MOST_SEEN:
        seen.clear()
    quarters, minute_rows = [], []
    for endpoint, series, at, value in values:
        minute = at // MINUTE_S * MINUTE_S
        if seen.get((endpoint, series)) != minute:
            seen[endpoint, series] = minute
            quarters.append((endpoint, series, at // SLOT_S * SLOT_S, value))
            minute_rows.append((endpoint, series, minute, value))
    conn.executemany("INSERT OR IGNORE INTO facility_history VALUES (?, ?, ?, ?)", quarters)
    if not minutes:
        return
    conn.executemany(
        "INSERT INTO facility_series (endpoint, series) SELECT ?1, ?2"
        " WHERE NOT EXISTS (SELECT 1 FROM facility_series WHERE endpoint = ?1 AND series = ?2)"
        "   AND (SELECT count(*) FROM facility_series WHERE endpoint = ?1) < ?3",
        [(endpoint, series, MOST_SERIES) for endpoint, series, _slot, _value in quarters],
    )
    conn.executemany(
        "INSERT OR IGNORE INTO facility_minute SELECT ?3, id, ?4 FROM facility_series"
        " WHERE endpoint = ?1 AND series = ?2",
        minute_rows,
    )


def save_facility_history(
    conn: sqlite3.Connection, endpoint: str, series: str, values: Iterable[tuple[float, float]]
) -> None:
    """(moment, value) of one series from before fleetctl watched, for imports; what is there stays."""
    conn.executemany(
        "INSERT OR IGNORE INTO facility_history SELECT id, ?2, ?3, ?4 FROM facility_endpoint WHERE name = ?1",
        ((endpoint, series, int(at) // SLOT_S * SLOT_S, value) for at, value in values),
    )


def facility_series(
    conn: sqlite3.Connection, endpoint: str, series: str, since: float, until: float, *, minutes: bool = False
) -> Points:
    """(slot, value) of one series of one endpoint, oldest first. series: TOTAL or the source of a counter.

    minutes: by the minute where that is kept; energies are made without.
    """
    kept: Points = [
        (float(slot), value)
        for slot, value in conn.execute(
            "SELECT h.slot, h.value FROM facility_history h JOIN facility_endpoint e ON e.id = h.endpoint"
            " WHERE e.name = ? AND h.series = ? AND h.slot >= ? AND h.slot < ? ORDER BY h.slot",
            (endpoint, series, int(since), int(until)),
        )
    ]
    if not minutes:
        return kept
    found = conn.execute(
        _MOMENTS + "SELECT m.slot, m.value FROM moment CROSS JOIN facility_minute m"
        "  ON m.slot = moment.slot AND m.series ="
        "     (SELECT s.id FROM facility_series s JOIN facility_endpoint e ON e.id = s.endpoint"
        "       WHERE e.name = ?3 AND s.series = ?4)"
        " ORDER BY m.slot",
        (*_minutes(conn, since, until), endpoint, series),
    ).fetchall()
    told = {_quarter(slot) for slot, _value in found}
    return sorted([p for p in kept if p[0] not in told] + [(float(slot), value) for slot, value in found])


# The minutes from ?1 until before ?2: each is looked up by key, where a range would be scanned with all its series.
_MOMENTS = (
    "WITH RECURSIVE moment(slot) AS (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT slot + 60 FROM moment"
    " WHERE slot + 60 < ?2) "
)


def _minutes(conn: sqlite3.Connection, since: float, until: float) -> tuple[int, int]:
    """The span within which there are minutes at all; (0, 0) where there are none."""
    first, last = conn.execute(
        "SELECT (SELECT min(slot) FROM facility_minute), (SELECT max(slot) FROM facility_minute)"
    ).fetchone()
    if first is None:
        return 0, 0
    return max(first, -int(-since // MINUTE_S) * MINUTE_S), int(min(last + 1, until))


def _quarter(at: float) -> float:
    return at // SLOT_S * SLOT_S


def power_sums(
    conn: sqlite3.Connection, weights: Mapping[str, float], since: float, until: float, step_s: int = SLOT_S
) -> Sums:
    """(slot, W, endpoints that told) of the totals of several endpoints added up, oldest first; the newest total is last.

    weights: endpoint -> the share of it that counts. step_s: a multiple of SLOT_S; or of MINUTE_S, below it: then by
    that where minutes are kept and the endpoints tell as often.
    """
    wanted = json.dumps(dict(weights))
    rows: Sums = conn.execute(
        "SELECT h.slot, sum(h.value * w.value), count(*) FROM json_each(?1) w"
        "  JOIN facility_endpoint e ON e.name = w.key"
        "  JOIN facility_history h ON h.endpoint = e.id AND h.series = ?2 AND h.slot >= ?3 AND h.slot < ?4"
        " WHERE h.slot % ?5 = 0 GROUP BY h.slot ORDER BY h.slot",
        (wanted, TOTAL, int(since), int(until), max(step_s, SLOT_S)),
    ).fetchall()
    if step_s < SLOT_S:
        rows = _by_the_minute(rows, _minute_sums(conn, wanted, since, until, step_s))
    newest = conn.execute(
        "SELECT max(e.total_at), sum(e.total_power_w * w.value), count(*) FROM json_each(?1) w"
        "  JOIN facility_endpoint e ON e.name = w.key WHERE e.total_at >= ?2",
        (wanted, int(until) - SLOT_S),
    ).fetchone()
    if newest[2] and (not rows or newest[0] > rows[-1][0]):
        rows.append(newest)
    return [(float(at), float(value), count) for at, value, count in rows]


def _minute_sums(conn: sqlite3.Connection, wanted: str, since: float, until: float, step_s: int) -> Sums:
    """The first minute of each endpoint in each step, added up."""
    return conn.execute(
        _MOMENTS + ", part(series, share) AS MATERIALIZED (SELECT s.id, w.value FROM json_each(?3) w"
        "  JOIN facility_endpoint e ON e.name = w.key JOIN facility_series s ON s.endpoint = e.id AND s.series = ?4),"
        " told AS (SELECT m.slot / ?5 * ?5 AS step, min(m.slot), m.value * part.share AS watts"
        "  FROM moment CROSS JOIN part CROSS JOIN facility_minute m ON m.slot = moment.slot AND m.series = part.series"
        "  GROUP BY step, part.series)"
        " SELECT step, sum(watts), count(*) FROM told GROUP BY step ORDER BY step",
        (*_minutes(conn, since, until), wanted, TOTAL, step_s),
    ).fetchall()


def _by_the_minute(quarters: Sums, minutes: Sums) -> Sums:
    """Minutes in place of every quarter in which they tell of as many endpoints."""
    by_quarter: dict[float, Sums] = {}
    for row in minutes:
        by_quarter.setdefault(_quarter(row[0]), []).append(row)
    told = {row[0]: row[2] for row in quarters}
    good = {q: rows for q, rows in by_quarter.items() if max(r[2] for r in rows) >= told.get(q, 0) * LEAST_SHARE}
    return sorted([row for row in quarters if row[0] not in good] + [row for rows in good.values() for row in rows])


def list_series(conn: sqlite3.Connection, endpoint: str, quantity: str) -> list[tuple[str, str, str]]:
    """(series, place, unit) of what is kept over time of an endpoint; "power" is its total."""
    if quantity in ("power", TOTAL):
        return [(TOTAL, "", "W")]
    return [
        (series, place, unit)
        for series, place, unit in conn.execute(
            "SELECT r.source, r.place, r.unit FROM facility_reading r JOIN facility_endpoint e ON e.id = r.endpoint"
            " WHERE e.name = ?1 AND r.quantity = ?2 AND EXISTS"
            "  (SELECT 1 FROM facility_history h WHERE h.endpoint = e.id AND h.series = r.source)"
            " ORDER BY r.place, r.source",
            (endpoint, quantity),
        )
    ]


def newest_values(conn: sqlite3.Connection, endpoint: str, quantity: str) -> dict[str, tuple[float, float]]:
    """series -> (moment, value) of the newest readings of one quantity; "power" is the endpoint's total."""
    if quantity in ("power", TOTAL):
        sql = "SELECT ?2, total_at, total_power_w FROM facility_endpoint WHERE name = ?1 AND total_at IS NOT NULL"
        return {series: (float(at), float(value)) for series, at, value in conn.execute(sql, (endpoint, TOTAL))}
    rows = conn.execute(
        "SELECT r.source, r.at, r.value FROM facility_reading r JOIN facility_endpoint e ON e.id = r.endpoint"
        " WHERE e.name = ? AND r.quantity = ?",
        (endpoint, quantity),
    )
    return {series: (float(at), float(value)) for series, at, value in rows}


def prune_facility(conn: sqlite3.Connection, now: float, keep_days: float) -> int:
    """Thin history to hours after a fortnight and drop what is too old; returns rows removed."""
    fine, oldest = int(now) - FINE_DAYS * 86_400, int(now - keep_days * 86_400)
    removed = conn.execute("DELETE FROM facility_history WHERE slot < ? AND slot % 3600 <> 0", (fine,)).rowcount
    return removed + conn.execute("DELETE FROM facility_history WHERE slot < ?", (oldest,)).rowcount


def prune_minutes(conn: sqlite3.Connection, now: float, keep_hours: float) -> int:
    """Drop minutes that are too old, ten at most of them at a time; returns rows removed. Called every minute."""
    first = conn.execute("SELECT min(slot) FROM facility_minute").fetchone()[0]
    if first is None:
        return 0
    oldest = min(int(now - keep_hours * 3600), first + PRUNED_AT_ONCE_S)
    return conn.execute("DELETE FROM facility_minute WHERE slot < ?", (oldest,)).rowcount
