"""What happened, per host and device: append only, repeats folded into one row with a count."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from fleetctl.model.states import Health
from fleetctl.store.words import clean, clean_name

FOLD_S = 3600  # a repeat within this time of the last one counts up instead of making a new row


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened count times between first_at and last_at (epoch seconds, console clock).

    kind: fault, reach, probe, device, state, finding, operator, engine, store; name: what repeats (a fault code, a
    probe, a rule); device: Device.key or None; source_at: when the host says it was, by its own clock.
    """

    id: int
    first_at: int
    last_at: int
    count: int
    host: str | None
    device: str | None
    kind: str
    severity: Health
    name: str
    text: str
    source_at: int | None


def append_event(
    conn: sqlite3.Connection,
    at: float,
    kind: str,
    name: str,
    text: str,
    *,
    host: str | None = None,
    device: str | None = None,
    severity: Health = Health.OK,
    count: int = 1,
) -> None:
    """Note one event; host by name (unknown names make an event of the fleet), device by Device.key."""
    row = conn.execute("SELECT id FROM hosts WHERE name = ?", (host,)).fetchone() if host is not None else None
    host_id = None if row is None else int(row[0])
    device_id = None
    if host_id is not None and device is not None:
        found = conn.execute("SELECT id FROM devices WHERE host = ? AND key = ?", (host_id, device)).fetchone()
        device_id = None if found is None else int(found[0])
    add_event(conn, int(at), kind, name, text, host=host_id, device=device_id, severity=severity, count=count)


def add_event(
    conn: sqlite3.Connection,
    at: int,
    kind: str,
    name: str,
    text: str,
    *,
    host: int | None = None,
    device: int | None = None,
    severity: Health = Health.OK,
    count: int = 1,
    source_at: float | None = None,
) -> None:
    """As append_event, by row ids. The same event told twice (same moment, or not newer by the host's clock) is one."""
    name, text = clean_name(name) or "", clean(text)
    source = int(source_at) if source_at is not None and abs(source_at) < 2**40 else None
    last = conn.execute(
        """
        SELECT id, first_at, last_at, source_at, text
          FROM events
         WHERE host IS ? AND last_at >= ? AND device IS ? AND kind = ? AND name = ?
         ORDER BY last_at DESC
         LIMIT 1
        """,
        (host, at - FOLD_S, device, kind, name),
    ).fetchone()
    if last is not None:
        number, first_at, last_at, last_source, last_text = last
        told = source <= last_source if source is not None and last_source is not None else at <= last_at
        if told and last_text == text:
            return
        if last_text == text or kind == "fault":
            conn.execute(
                "UPDATE events SET count = count + ?, first_at = ?, last_at = ?, source_at = ifnull(?, source_at), text = ?"
                " WHERE id = ?",
                (max(1, count), min(first_at, at), max(last_at, at), source, text, number),
            )
            return
    conn.execute(
        "INSERT INTO events (first_at, last_at, count, host, device, kind, severity, name, text, source_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (at, at, max(1, count), host, device, kind, severity.value, name, text, source),
    )


def list_events(
    conn: sqlite3.Connection,
    *,
    host: str | None = None,
    since: float | None = None,
    until: float | None = None,
    kinds: tuple[str, ...] = (),
    limit: int = 1000,
) -> list[Event]:
    """Events, newest first, at most `limit`."""
    where, values = ["1"], list[str | float]()
    if host is not None:
        where.append("e.host = (SELECT id FROM hosts WHERE name = ?)")
        values.append(host)
    if since is not None:
        where.append("e.last_at >= ?")
        values.append(since)
    if until is not None:
        where.append("e.first_at <= ?")
        values.append(until)
    if kinds:
        where.append(f"e.kind IN ({', '.join('?' * len(kinds))})")
        values.extend(kinds)
    rows = conn.execute(
        f"""
        SELECT e.id, e.first_at, e.last_at, e.count, h.name, d.key, e.kind, e.severity, e.name, e.text, e.source_at
          FROM events e
          LEFT JOIN hosts h ON h.id = e.host
          LEFT JOIN devices d ON d.id = e.device
         WHERE {" AND ".join(where)}
         ORDER BY e.last_at DESC, e.id DESC
         LIMIT ?
        """,
        (*values, limit),
    )
    return [_event(row) for row in rows]


def _event(row: tuple[Any, ...]) -> Event:
    fields: list[Any] = [*row[:7], Health(row[7]), *row[8:]]
    return Event(*fields)
