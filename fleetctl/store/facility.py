"""Power and cooling in the store: the newest reading of every point with its age, and totals and counters over time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetctl.model.facility import EndpointResult, Measurement, PointState
from fleetctl.model.states import Health
from fleetctl.store.findings import list_findings, open_finding, resolve_finding
from fleetctl.store.words import clean

SLOT_S = 900  # history: one value per series and quarter of an hour
FINE_DAYS = 14  # after that, one per hour
MAX_POINTS = 4_000  # of one endpoint; a DGX has 1,100
TOTAL = "total_power_w"
COOLERS = ("cdu", "crac", "chiller")
COOLING_HISTORY = ("temperature", "flow", "cooling_power")  # kept over time of coolers; there are few
RULE_PREFIX = "facility."


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One endpoint as it is known now. Moments are epoch seconds; trouble: why the last try failed, None when not."""

    id: int
    name: str
    kind: str
    url: str
    host: str | None
    site: str
    device: Mapping[str, str]
    tried_at: int | None
    ok_at: int | None
    trouble: str | None
    trouble_text: str
    trouble_since: int | None
    total_power_w: float | None
    total_source: str
    total_at: int | None


@dataclass(frozen=True, slots=True)
class FacilityCondition:
    """Something wrong with power or cooling. subject: endpoint, rack, feed or zone."""

    rule: str  # with RULE_PREFIX
    subject: str
    text: str
    severity: Health
    value: float | None = None
    host: str | None = None


@dataclass(slots=True)
class _Batch:
    readings: list[tuple[object, ...]] = field(default_factory=list)
    states: list[tuple[object, ...]] = field(default_factory=list)
    history: list[tuple[object, ...]] = field(default_factory=list)


def save_endpoint_results(conn: sqlite3.Connection, results: Iterable[EndpointResult]) -> None:
    """Keep what endpoints said. A failed try changes no value: the last one stays, with its age."""
    batch = _Batch()
    for result in results:
        endpoint = _endpoint(conn, result)
        if result.report is None:
            continue
        report, slot = result.report, int(result.at) // SLOT_S * SLOT_S
        if report.total_power_w is not None:
            batch.history.append((endpoint, TOTAL, slot, report.total_power_w))
        for r in report.readings[:MAX_POINTS]:
            source = clean(r.source, 300)
            batch.readings.append(
                (endpoint, source, r.quantity, clean(r.where, 200), r.value, r.unit, clean(r.raw, 80), int(r.as_of))
            )
            if (result.kind != "bmc" and r.quantity == "energy") or (
                result.kind in COOLERS and r.quantity in COOLING_HISTORY
            ):
                batch.history.append((endpoint, source, slot, r.value))
        for s in report.states[:MAX_POINTS]:
            bad = None if s.bad is None else int(s.bad)
            batch.states.append(
                (endpoint, s.what, clean(s.where, 200), clean(s.word, 200), bad, clean(s.source, 300), int(s.as_of))
            )
        if report.complete:  # what a complete reading no longer names is gone
            for table in ("facility_reading", "facility_state"):
                conn.execute(f"DELETE FROM {table} WHERE endpoint = ? AND at < ?", (endpoint, int(report.at) - 1))
    conn.executemany(
        "INSERT INTO facility_reading VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (endpoint, source) DO UPDATE SET quantity = excluded.quantity, place = excluded.place,"
        "  value = excluded.value, unit = excluded.unit, raw = excluded.raw, at = excluded.at"
        "  WHERE excluded.at >= facility_reading.at",
        batch.readings,
    )
    conn.executemany("INSERT OR REPLACE INTO facility_state VALUES (?, ?, ?, ?, ?, ?, ?)", batch.states)
    # The first value of a slot stays: it is the one nearest to the slot's moment.
    conn.executemany("INSERT OR IGNORE INTO facility_history VALUES (?, ?, ?, ?)", batch.history)


_SPOKE = """
INSERT INTO facility_endpoint
       (name, kind, url, host, site, tried_at, ok_at, device, total_power_w, total_source, total_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (name) DO UPDATE SET
       kind = ?2, url = ?3, host = ?4, site = ?5, tried_at = ?6, ok_at = ?6,
       trouble = NULL, trouble_text = '', trouble_since = NULL,
       device        = CASE WHEN ?7 = '{}' THEN device ELSE ?7 END,
       total_power_w = CASE WHEN ?8 IS NULL THEN total_power_w ELSE ?8 END,
       total_source  = CASE WHEN ?8 IS NULL THEN total_source ELSE ?9 END,
       total_at      = CASE WHEN ?8 IS NULL THEN total_at ELSE ?10 END
RETURNING id
"""
_FAILED = """
INSERT INTO facility_endpoint (name, kind, url, host, site, tried_at, trouble, trouble_text, trouble_since)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?6)
    ON CONFLICT (name) DO UPDATE SET
       kind = ?2, url = ?3, host = ?4, site = ?5, tried_at = ?6, trouble = ?7, trouble_text = ?8,
       trouble_since = CASE WHEN trouble IS ?7 THEN ifnull(trouble_since, ?6) ELSE ?6 END
RETURNING id
"""


def _endpoint(conn: sqlite3.Connection, result: EndpointResult) -> int:
    """Keep what became of one question; returns the endpoint's id."""
    who = (result.name, result.kind, result.url, result.host, result.site, int(result.at))
    report = result.report
    if report is None:
        trouble = result.trouble.value if result.trouble else "unreachable"
        rows = conn.execute(_FAILED, (*who, trouble, clean(result.text, 300))).fetchall()
    else:
        device = "{}"
        if report.device:
            device = json.dumps({k: clean(v, 200) for k, v in report.device.items()}, ensure_ascii=False)
        total, source = report.total_power_w, clean(report.total_power_source, 300)
        at = None if total is None else int(report.at)
        rows = conn.execute(_SPOKE, (*who, device, total, source, at)).fetchall()
    return int(rows[0][0])


def list_endpoints(conn: sqlite3.Connection, host: str | None = None) -> list[EndpointState]:
    """All endpoints that were ever asked, by name; or those of one host."""
    rows = conn.execute(
        "SELECT id, name, kind, url, host, site, device, tried_at, ok_at, trouble, trouble_text, trouble_since,"
        "       total_power_w, total_source, total_at FROM facility_endpoint"
        + (" WHERE host = ?" if host is not None else "")
        + " ORDER BY name",
        () if host is None else (host,),
    )
    out: list[EndpointState] = []
    for row in rows:
        fields: list[Any] = [*row[:6], json.loads(row[6]), *row[7:]]
        out.append(EndpointState(*fields))
    return out


def list_readings(conn: sqlite3.Connection, endpoint: int | None = None) -> dict[int, list[Measurement]]:
    """Newest readings by endpoint id."""
    where, args = ("WHERE endpoint = ?", (endpoint,)) if endpoint is not None else ("", ())
    out: dict[int, list[Measurement]] = {}
    for row in conn.execute(
        f"SELECT endpoint, quantity, place, value, unit, source, raw, at FROM facility_reading {where}"
        " ORDER BY endpoint, quantity, place",
        args,
    ):
        out.setdefault(row[0], []).append(Measurement(*row[1:]))
    return out


def list_point_states(conn: sqlite3.Connection, what: str | None = None) -> dict[int, list[PointState]]:
    """Words (leaks, sources, batteries) by endpoint id."""
    where, args = ("WHERE what = ?", (what,)) if what is not None else ("", ())
    out: dict[int, list[PointState]] = {}
    for endpoint, kind, place, word, bad, source, at in conn.execute(
        f"SELECT endpoint, what, place, word, bad, source, at FROM facility_state {where} ORDER BY endpoint, place",
        args,
    ):
        state = PointState(kind, place, word, source, word, at, None if bad is None else bool(bad))
        out.setdefault(endpoint, []).append(state)
    return out


def save_facility_history(
    conn: sqlite3.Connection, endpoint: str, series: str, values: Iterable[tuple[float, float]]
) -> None:
    """(moment, value) of one series from before fleetctl watched, for imports; what is there stays."""
    conn.executemany(
        "INSERT OR IGNORE INTO facility_history SELECT id, ?2, ?3, ?4 FROM facility_endpoint WHERE name = ?1",
        ((endpoint, series, int(at) // SLOT_S * SLOT_S, value) for at, value in values),
    )


def facility_series(
    conn: sqlite3.Connection, endpoint: str, series: str, since: float, until: float
) -> list[tuple[float, float | None]]:
    """(slot, value) of one series of one endpoint, oldest first. series: TOTAL or the source of a counter."""
    return [
        (float(slot), value)
        for slot, value in conn.execute(
            "SELECT h.slot, h.value FROM facility_history h JOIN facility_endpoint e ON e.id = h.endpoint"
            " WHERE e.name = ? AND h.series = ? AND h.slot >= ? AND h.slot < ? ORDER BY h.slot",
            (endpoint, series, int(since), int(until)),
        )
    ]


def power_sums(
    conn: sqlite3.Connection, weights: Mapping[str, float], since: float, until: float, step_s: int = SLOT_S
) -> list[tuple[float, float, int]]:
    """(slot, W, endpoints that told) of the totals of several endpoints added up, oldest first; the newest total is last.

    weights: endpoint -> the share of it that counts. step_s: a multiple of SLOT_S.
    """
    wanted = json.dumps(dict(weights))
    rows = conn.execute(
        "SELECT h.slot, sum(h.value * w.value), count(*) FROM json_each(?1) w"
        "  JOIN facility_endpoint e ON e.name = w.key"
        "  JOIN facility_history h ON h.endpoint = e.id AND h.series = ?2 AND h.slot >= ?3 AND h.slot < ?4"
        " WHERE h.slot % ?5 = 0 GROUP BY h.slot ORDER BY h.slot",
        (wanted, TOTAL, int(since), int(until), step_s),
    ).fetchall()
    newest = conn.execute(
        "SELECT max(e.total_at), sum(e.total_power_w * w.value), count(*) FROM json_each(?1) w"
        "  JOIN facility_endpoint e ON e.name = w.key WHERE e.total_at >= ?2",
        (wanted, int(until) - SLOT_S),
    ).fetchone()
    if newest[2] and (not rows or newest[0] > rows[-1][0]):
        rows.append(newest)
    return [(float(at), float(value), count) for at, value, count in rows]


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


def save_facility_conditions(
    conn: sqlite3.Connection, at: float, conditions: Iterable[FacilityCondition], spoke: Iterable[str]
) -> None:
    """Open, hold and resolve the findings of power and cooling.

    spoke: subjects that were able to speak; a finding on one that was not stays open (blind is never green).
    """
    held: set[tuple[str, str]] = set()
    for one in conditions:
        held.add((one.rule, one.subject))
        open_finding(
            conn,
            at,
            one.rule,
            one.text,
            severity=one.severity,
            host=one.host,
            device=one.subject,
            value=one.value,
        )
    speakers = set(spoke)
    for finding in list_findings(conn):
        ours = finding.rule.startswith(RULE_PREFIX) and finding.device in speakers
        if ours and (finding.rule, finding.device) not in held:
            resolve_finding(conn, at, finding.id)
