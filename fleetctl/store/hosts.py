"""What is known about hosts now: reach, errors, when they last answered, facts, probes, processes, links."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetctl.model.probe import Outcome
from fleetctl.model.reading import Link, Process
from fleetctl.model.report import ErrorKind, ProbeState
from fleetctl.model.states import Reach


@dataclass(frozen=True, slots=True)
class HostState:
    """One host as its last report left it. Moments are epoch seconds of the console's clock, None: never.

    report_at: last report of any kind; answer_at: last answer; values_at: last values; slot: round of the last report;
    failures: rounds without an answer in a row; facts: words about the host, empty unless asked for.
    """

    id: int
    name: str
    reach: Reach
    reach_since: int
    error: ErrorKind | None
    error_text: str
    report_at: int
    answer_at: int | None
    values_at: int | None
    slot: int
    failures: int
    devices_expected: int | None
    facts: Mapping[str, str] = field(default_factory=dict)


_COLUMNS = (
    "h.id, h.name, h.reach, h.reach_since, h.error, h.error_text, h.report_at, h.answer_at, h.values_at, h.slot,"
    " h.failures, h.devices_expected"
)


def list_host_states(conn: sqlite3.Connection, *, facts: bool = False) -> list[HostState]:
    """Every host that ever reported, in the order of first reports. facts=True costs a JSON parse per host."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM hosts h ORDER BY h.id").fetchall()
    told = dict(conn.execute("SELECT host, facts FROM host_facts")) if facts else {}
    return [_state(row, told.get(row[0])) for row in rows]


def host_state(conn: sqlite3.Connection, name: str) -> HostState | None:
    """One host by name with its facts; None when it never reported."""
    row = conn.execute(
        f"SELECT {_COLUMNS}, f.facts FROM hosts h LEFT JOIN host_facts f ON f.host = h.id WHERE h.name = ?", (name,)
    ).fetchone()
    return None if row is None else _state(row[:-1], row[-1])


def list_host_facts(conn: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """Facts by host name."""
    rows = conn.execute("SELECT h.name, f.facts FROM host_facts f JOIN hosts h ON h.id = f.host")
    return {name: json.loads(facts) for name, facts in rows}


def list_probe_states(conn: sqlite3.Connection, host: str | None = None) -> dict[str, list[ProbeState]]:
    """How every probe fared last, by host name."""
    rows = conn.execute(
        """
        SELECT h.name, p.probe, p.outcome, p.duration_s, p.text, p.since
          FROM probe_states p
          JOIN hosts h ON h.id = p.host
         WHERE h.name = ifnull(?, h.name)
         ORDER BY p.host, p.probe
        """,
        (host,),
    )
    found: dict[str, list[ProbeState]] = {}
    for name, probe, outcome, duration_s, text, since in rows:
        found.setdefault(name, []).append(ProbeState(probe, Outcome(outcome), duration_s, text, since))
    return found


def list_processes(conn: sqlite3.Connection, host: str) -> list[Process]:
    """Who held the cards of a host when it was last asked."""
    rows = conn.execute(
        """
        SELECT p.pid, p.device, p.name, p.user, p.mem_used_bytes
          FROM processes p
          JOIN hosts h ON h.id = p.host
         WHERE h.name = ?
         ORDER BY p.pid, p.device
        """,
        (host,),
    )
    return [Process(*row) for row in rows]


def list_links(conn: sqlite3.Connection, host: str) -> list[Link]:
    """Card-to-card links of a host as last told."""
    rows = conn.execute(
        """
        SELECT d.key, l.number, l.kind, l.up, l.speed_gbps, l.errors_total, l.peer
          FROM links l
          JOIN devices d ON d.id = l.device
          JOIN hosts h   ON h.id = d.host
         WHERE h.name = ?
         ORDER BY d.id, l.kind, length(l.number), l.number
        """,
        (host,),
    )
    return [Link(key, n, kind, None if up is None else bool(up), *rest) for key, n, kind, up, *rest in rows]


def _state(row: tuple[Any, ...], facts: str | None) -> HostState:
    error = ErrorKind(row[4]) if row[4] is not None else None
    fields: list[Any] = [*row[:2], Reach(row[2]), row[3], error, *row[5:], json.loads(facts) if facts else {}]
    return HostState(*fields)
