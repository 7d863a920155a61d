"""Power and cooling in the store: the newest reading of every point with its age, and the findings on them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetctl.model.facility import EndpointResult, Measurement, PointState
from fleetctl.model.states import Health
from fleetctl.store.facility_history import TOTAL, Seen, save_history
from fleetctl.store.findings import list_findings, open_finding, resolve_finding
from fleetctl.store.words import clean

MAX_POINTS = 4_000  # of one endpoint; a DGX has 1,100
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
    history: list[tuple[int, str, int, float]] = field(default_factory=list)  # endpoint, series, moment, value


def save_endpoint_results(
    conn: sqlite3.Connection, results: Iterable[EndpointResult], *, minutes: bool = True, seen: Seen | None = None
) -> None:
    """Keep what endpoints said. A failed try changes no value: the last one stays, with its age.

    minutes: keep history by the minute, too. seen: what one writer remembers of it from batch to batch.
    """
    batch = _Batch()
    for result in results:
        endpoint = _endpoint(conn, result)
        if result.report is None:
            continue
        report, at = result.report, int(result.at)
        if report.total_power_w is not None:
            batch.history.append((endpoint, TOTAL, at, report.total_power_w))
        for r in report.readings[:MAX_POINTS]:
            source = clean(r.source, 300)
            batch.readings.append(
                (endpoint, source, r.quantity, clean(r.where, 200), r.value, r.unit, clean(r.raw, 80), int(r.as_of))
            )
            if (result.kind != "bmc" and r.quantity == "energy") or (
                result.kind in COOLERS and r.quantity in COOLING_HISTORY
            ):
                batch.history.append((endpoint, source, at, r.value))
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
    save_history(conn, batch.history, minutes=minutes, seen={} if seen is None else seen)


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
