"""What is wrong, since when: a finding is pending until it has held long enough, fires, and resolves when it is gone.

A finding is one rule on one host (and one device of it). Rules that could not speak in a round change nothing:
silence resolves nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from fleetctl.model.states import Health
from fleetctl.store.events import add_event
from fleetctl.store.words import clean, clean_name

_PER_HOST = 500  # open findings of one host; a host with more is broken in a way that more rows do not explain


class FindingState(StrEnum):
    PENDING = "pending"  # it holds, but not yet for long enough
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong. Moments are epoch seconds: since_at first round, firing_at when it fired, seen_at last round in
    which it held, resolved_at when it was over; device: Device.key or "" for the host; acked_by: who knows of it."""

    id: int
    host: str | None
    device: str
    rule: str
    severity: Health
    state: FindingState
    text: str
    value: float | None
    since_at: int
    firing_at: int | None
    seen_at: int
    resolved_at: int | None
    acked_at: int | None
    acked_by: str | None


class Holds(Protocol):
    """A condition that holds now (fleetctl.health.rule.Condition)."""

    @property
    def rule(self) -> str: ...
    @property
    def device(self) -> str | None: ...
    @property
    def severity(self) -> Health: ...
    @property
    def text(self) -> str: ...
    @property
    def value(self) -> float | None: ...


class HostVerdict(Protocol):
    """All conditions on one host and the rules that were able to speak (fleetctl.health.evaluate.Verdict)."""

    @property
    def host(self) -> str: ...
    @property
    def conditions(self) -> Collection[Holds]: ...
    @property
    def spoke(self) -> Collection[str]: ...


@dataclass(slots=True)
class _Open:
    id: int
    state: str
    severity: str
    text: str
    seen_at: int
    rounds: int
    clear_rounds: int
    clear_at: int | None


def save_verdicts(
    conn: sqlite3.Connection, at: float, verdicts: Iterable[HostVerdict], hold_rounds: Mapping[str, int]
) -> None:
    """Open, hold and resolve findings after one round; `at` is the round's slot. Told twice, it counts once.

    hold_rounds: rounds a rule's condition must last before it fires, and be gone before it resolves (default 1).
    """
    moment = int(at)
    told = {verdict.host: verdict for verdict in verdicts}
    ids: dict[str, int] = dict(
        conn.execute(
            "SELECT name, id FROM hosts WHERE name IN (SELECT value FROM json_each(?))", (json.dumps([*told]),)
        )
    )
    opened: dict[int, dict[tuple[str, str], _Open]] = {}
    for row in conn.execute(
        "SELECT host, rule, device, id, state, severity, text, seen_at, rounds, clear_rounds, clear_at"
        "  FROM findings"
        " WHERE state <> 'resolved' AND ifnull(host, 0) IN (SELECT value FROM json_each(?))",
        (json.dumps([*ids.values()]),),
    ):
        opened.setdefault(row[0], {})[row[1], row[2]] = _Open(*row[3:])
    for name, host in ids.items():
        verdict = told[name]
        held = opened.get(host, {})
        now: set[tuple[str, str]] = set()
        for one in verdict.conditions:
            key = (one.rule, clean_name(one.device) or "")
            if key in now or (key not in held and len(held) + len(now) >= _PER_HOST):
                continue
            now.add(key)
            _hold(conn, moment, host, key, one, held.get(key), hold_rounds.get(one.rule, 1))
        for key, one_open in held.items():
            if key not in now and key[0] in verdict.spoke:
                _clear(conn, moment, host, key, one_open, hold_rounds.get(key[0], 1))


def _hold(
    conn: sqlite3.Connection, at: int, host: int, key: tuple[str, str], one: Holds, held: _Open | None, rounds: int
) -> None:
    text, severity = clean(one.text), one.severity.value
    if held is None:
        fires = rounds <= 1
        conn.execute(
            "INSERT INTO findings (host, rule, device, severity, state, text, value, since_at, firing_at, seen_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (host, *key, severity, "firing" if fires else "pending", text, one.value, at, at if fires else None, at),
        )
        if fires:
            _tell(conn, at, host, key, one.severity, text)
        return
    if at <= held.seen_at:
        return
    fires = held.state == "pending" and held.rounds + 1 >= rounds
    conn.execute(
        "UPDATE findings SET seen_at = ?1, rounds = rounds + 1, clear_at = NULL, clear_rounds = 0, severity = ?2,"
        " text = ?3, value = ?4, state = CASE WHEN ?5 THEN 'firing' ELSE state END,"
        " firing_at = CASE WHEN ?5 THEN ?1 ELSE firing_at END WHERE id = ?6",
        (at, severity, text, one.value, fires, held.id),
    )
    if fires or (held.state == "firing" and severity != held.severity):
        _tell(conn, at, host, key, one.severity, text)


def _clear(conn: sqlite3.Connection, at: int, host: int, key: tuple[str, str], held: _Open, rounds: int) -> None:
    if at <= held.seen_at or at <= (held.clear_at or 0):
        return
    if held.state == "pending":  # it never fired: nobody needs to know
        conn.execute("DELETE FROM findings WHERE id = ?", (held.id,))
    elif held.clear_rounds + 1 >= rounds:
        _resolve(conn, at, host, key, held.id, held.text)
    else:
        conn.execute("UPDATE findings SET clear_at = ?, clear_rounds = clear_rounds + 1 WHERE id = ?", (at, held.id))


def _resolve(conn: sqlite3.Connection, at: int, host: int | None, key: tuple[str, str], number: int, text: str) -> None:
    conn.execute(
        "UPDATE findings SET state = 'resolved', clear_at = ?1, resolved_at = ?1 WHERE id = ?2",
        (at, number),
    )
    _tell(conn, at, host, key, Health.OK, f"over: {text}")


def _tell(
    conn: sqlite3.Connection, at: int, host: int | None, key: tuple[str, str], severity: Health, text: str
) -> None:
    rule, device = key
    row = conn.execute("SELECT id FROM devices WHERE host IS ? AND key = ?", (host, device)).fetchone()
    add_event(conn, at, "finding", rule, text, host=host, device=None if row is None else row[0], severity=severity)


def open_finding(
    conn: sqlite3.Connection,
    at: float,
    rule: str,
    text: str,
    *,
    severity: Health,
    host: str | None = None,
    device: str = "",
    value: float | None = None,
) -> None:
    """Open a finding that fires at once (host None: of the whole fleet), or bring the open one up to date."""
    row = conn.execute("SELECT id FROM hosts WHERE name = ?", (host,)).fetchone()
    host_id = None if row is None else row[0]
    updated = conn.execute(
        "UPDATE findings SET seen_at = max(seen_at, ?1), rounds = rounds + 1, severity = ?2, text = ?3, value = ?4"
        " WHERE host IS ?5 AND rule = ?6 AND device = ?7 AND state <> 'resolved'",
        (int(at), severity.value, clean(text), value, host_id, rule, clean_name(device)),
    ).rowcount
    if updated:
        return
    conn.execute(
        "INSERT INTO findings (host, rule, device, severity, state, text, value, since_at, firing_at, seen_at)"
        " VALUES (?5, ?6, ?7, ?2, 'firing', ?3, ?4, ?1, ?1, ?1)",
        (int(at), severity.value, clean(text), value, host_id, rule, clean_name(device)),
    )
    _tell(conn, int(at), host_id, (rule, device), severity, clean(text))


def resolve_finding(conn: sqlite3.Connection, at: float, number: int, *, who: str = "") -> bool:
    """End an open finding by hand (a fault that was repaired); False when it is not open."""
    row = conn.execute(
        "SELECT host, rule, device, text FROM findings WHERE id = ? AND state <> 'resolved'", (number,)
    ).fetchone()
    if row is None:
        return False
    host, rule, device, text = row
    _resolve(conn, int(at), host, (rule, device), number, f"{text} (resolved by {clean(who, 100)})" if who else text)
    return True


def acknowledge_finding(conn: sqlite3.Connection, at: float, number: int, who: str) -> bool:
    """Note that somebody knows; it stays open. False when it is not open or was acknowledged before."""
    return (
        conn.execute(
            "UPDATE findings SET acked_at = ?, acked_by = ? WHERE id = ? AND state <> 'resolved' AND acked_at IS NULL",
            (int(at), clean(who, 100), number),
        ).rowcount
        > 0
    )


def list_findings(
    conn: sqlite3.Connection,
    *,
    host: str | None = None,
    states: Collection[FindingState] = (FindingState.FIRING,),
    since: float | None = None,
    limit: int = 100_000,
) -> list[Finding]:
    """Findings in these states, worst first, then longest. since: leaves out what was resolved before."""
    where, values = [f"f.state IN ({', '.join('?' * len(states))})"], list[str | int](state.value for state in states)
    if host is not None:
        where.append("h.name = ?")
        values.append(host)
    if since is not None:
        where.append("(f.resolved_at IS NULL OR f.resolved_at >= ?)")
        values.append(int(since))
    rows = conn.execute(
        f"""
        SELECT f.id, h.name, f.device, f.rule, f.severity, f.state, f.text, f.value,
               f.since_at, f.firing_at, f.seen_at, f.resolved_at, f.acked_at, f.acked_by
          FROM findings f
          LEFT JOIN hosts h ON h.id = f.host
         WHERE {" AND ".join(where)}
         ORDER BY CASE f.severity WHEN 'crit' THEN 0 WHEN 'unknown' THEN 1 WHEN 'warn' THEN 2 ELSE 3 END,
                  f.since_at, f.id
         LIMIT ?
        """,
        (*values, limit),
    )
    return [_finding(row) for row in rows]


def _finding(row: tuple[Any, ...]) -> Finding:
    fields: list[Any] = [*row[:4], Health(row[4]), FindingState(row[5]), *row[6:]]
    return Finding(*fields)
