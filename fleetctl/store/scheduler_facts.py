"""Small facts of the scheduler itself: the breaker, the last tick, results of return-to-service checks, hook runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


def get_fact(conn: sqlite3.Connection, name: str) -> Any:
    """A JSON value, None when it was never set."""
    row = conn.execute("SELECT value FROM scheduler_fact WHERE name = ?", (name,)).fetchone()
    return json.loads(row[0]) if row else None


def set_fact(conn: sqlite3.Connection, name: str, value: Any) -> None:
    """Remember a JSON value under a name, in place of the one before."""
    conn.execute(
        "INSERT INTO scheduler_fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, json.dumps(value)),
    )


def append_automatic(conn: sqlite3.Connection, at: int, rule: str, verb: str, hosts: Iterable[str]) -> None:
    """Count what automation did, one row per host."""
    conn.executemany(
        "INSERT INTO automatic_action (at, rule, verb, host) VALUES (?,?,?,?)", [(at, rule, verb, h) for h in hosts]
    )


def count_automatic(conn: sqlite3.Connection, since: int) -> int:
    """How many nodes automation touched since a moment."""
    return int(conn.execute("SELECT COUNT(*) FROM automatic_action WHERE at > ?", (since,)).fetchone()[0])


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of one return-to-service check. body: the checks, as they were answered."""

    id: int
    host: str
    at: int
    who: str
    ok: bool
    body: dict[str, Any]


def append_verification(conn: sqlite3.Connection, host: str, at: int, who: str, ok: bool, body: Any) -> int:
    """Keep what a check of a host found (at: epoch seconds); its row id."""
    done = conn.execute(
        "INSERT INTO verification (host, at, who, ok, body) VALUES (?,?,?,?,?)",
        (host, at, who, int(ok), json.dumps(body, ensure_ascii=False)),
    )
    return int(done.lastrowid or 0)


def list_verifications(conn: sqlite3.Connection, host: str, *, limit: int = 20) -> list[Verification]:
    """Newest first."""
    rows = conn.execute(
        "SELECT id, host, at, who, ok, body FROM verification WHERE host = ? ORDER BY id DESC LIMIT ?", (host, limit)
    )
    return [Verification(r[0], r[1], r[2], r[3], bool(r[4]), json.loads(r[5])) for r in rows]


@dataclass(frozen=True, slots=True)
class HookRow:
    """One hook of one lease on one host. kind: "prolog" or "epilog"; state: pending, running, done, failed."""

    lease: str
    host: str
    kind: str
    state: str
    attempts: int
    begun_at: int | None
    ended_at: int | None
    exit_status: int | None
    note: str


def insert_hooks(conn: sqlite3.Connection, lease: str, hosts: Iterable[str], kind: str) -> None:
    """One pending hook per host of a lease; kind: prolog or epilog. Those that are there already stay."""
    conn.executemany(
        "INSERT INTO hook_run (lease, host, kind, state) VALUES (?,?,?,'pending') ON CONFLICT DO NOTHING",
        [(lease, host, kind) for host in hosts],
    )


def list_hooks(conn: sqlite3.Connection, *, lease: str = "", only_open: bool = True) -> list[HookRow]:
    """Hooks of a lease, or of all leases; with only_open those that wait or run."""
    where = "state IN ('pending', 'running')" if only_open else "1"
    rows = conn.execute(
        "SELECT lease, host, kind, state, attempts, begun_at, ended_at, exit_status, note FROM hook_run"
        f" WHERE {where} AND (? = '' OR lease = ?) ORDER BY lease, kind DESC, host",
        (lease, lease),
    )
    return [HookRow(*r) for r in rows]


def begin_hook(conn: sqlite3.Connection, hook: HookRow, at: int) -> bool:
    """Mark it running; False when somebody else did, or when it is over."""
    done = conn.execute(
        "UPDATE hook_run SET state = 'running', attempts = attempts + 1, begun_at = ?"
        " WHERE lease = ? AND host = ? AND kind = ? AND state = ? AND attempts = ?",
        (at, hook.lease, hook.host, hook.kind, hook.state, hook.attempts),
    )
    return done.rowcount == 1


def end_hook(
    conn: sqlite3.Connection, hook: HookRow, at: int, *, exit_status: int | None, state: str, note: str
) -> bool:
    """Keep its result; False when it was over already."""
    done = conn.execute(
        "UPDATE hook_run SET state = ?, ended_at = ?, exit_status = ?, note = ?"
        " WHERE lease = ? AND host = ? AND kind = ? AND state IN ('pending', 'running')",
        (state, at, exit_status, note[:2000], hook.lease, hook.host, hook.kind),
    )
    return done.rowcount == 1


def retry_hook(conn: sqlite3.Connection, hook: HookRow, note: str) -> None:
    """Put a running hook back in line, with what went wrong."""
    conn.execute(
        "UPDATE hook_run SET state = 'pending', note = ? WHERE lease = ? AND host = ? AND kind = ? AND state = 'running'",
        (note[:2000], hook.lease, hook.host, hook.kind),
    )


def skip_hooks(conn: sqlite3.Connection, lease: str, kind: str, at: int) -> None:
    """Hooks of a kind that have not begun need not run any more."""
    conn.execute(
        "UPDATE hook_run SET state = 'skipped', ended_at = ? WHERE lease = ? AND kind = ? AND state = 'pending'",
        (at, lease, kind),
    )


def queue_fingerprint(conn: sqlite3.Connection) -> tuple[int, ...]:
    """Changes whenever something changed that may let a waiting request start; cheap to ask."""
    found: list[int] = []
    for question in (
        "SELECT COUNT(*), COALESCE(SUM(version), 0) FROM request WHERE state = 'queued'",
        "SELECT COUNT(*), COALESCE(SUM(version), 0) FROM lease WHERE state IN ('active', 'ending')",
        "SELECT COUNT(*), COALESCE(SUM(version), 0) FROM node_admin",
        "SELECT COUNT(*), COALESCE(SUM(version), 0) FROM card_admin",
        "SELECT COUNT(*), COALESCE(SUM(state <> 'in_service'), 0) FROM node_outside",
        "SELECT COUNT(*), COALESCE(SUM(start_at), 0) FROM reservation WHERE state = 'planned'",
        "SELECT COUNT(*), COALESCE(SUM(reach = 'fresh'), 0) FROM hosts",
        "SELECT COUNT(*), COALESCE(SUM(id), 0) FROM findings WHERE state = 'firing' AND severity = 'crit'",
    ):
        found += conn.execute(question).fetchone()
    return tuple(found)
