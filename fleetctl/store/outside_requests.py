"""Requests of ours that another scheduler serves: which job it became there, and what is still to be told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from fleetctl.model.outside import OutsideRequest

_COLUMNS = "request, backend, mark, body, job, state, attempts, told_at, end_at, answer"


def insert_outside_request(conn: sqlite3.Connection, wanted: OutsideRequest) -> None:
    """In the transaction that queues the request, so that no queue of ours ever serves it."""
    conn.execute(
        "INSERT INTO outside_request (request, backend, mark, body, state) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
        (wanted.request, wanted.backend, wanted.mark, json.dumps(dict(wanted.body)), wanted.state),
    )


def list_outside_requests(
    conn: sqlite3.Connection, *, backend: str = "", only_open: bool = True
) -> list[OutsideRequest]:
    """By id; only_open: those that are not over."""
    where = "state <> 'over'" if only_open else "1"
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM outside_request WHERE {where} AND (?1 = '' OR backend = ?1) ORDER BY request",
        (backend,),
    )
    return [OutsideRequest(r[0], r[1], r[2], json.loads(r[3]), r[4], r[5], r[6], r[7], r[8], r[9]) for r in rows]


def marks_over(conn: sqlite3.Connection, marks: Collection[str]) -> set[str]:
    """Of these marks, those of requests that are over here."""
    rows = conn.execute(
        "SELECT mark FROM outside_request WHERE state = 'over' AND mark IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(marks)),),
    )
    return {row[0] for row in rows}


def set_outside_request(conn: sqlite3.Connection, seen: OutsideRequest, new: OutsideRequest) -> bool:
    """Compare-and-set on the row as it was seen; False when it was moved on meanwhile."""
    done = conn.execute(
        "UPDATE outside_request SET job = ?, state = ?, attempts = ?, told_at = ?, end_at = ?, answer = ?"
        " WHERE request = ? AND state = ? AND attempts = ? AND job = ? AND end_at IS ?",
        (
            *(new.job, new.state, new.attempts, new.told_at, new.end_at, new.answer),
            *(seen.request, seen.state, seen.attempts, seen.job, seen.end_at),
        ),
    )
    return done.rowcount == 1


def want_end(conn: sqlite3.Connection, request: str, end_at: int) -> None:
    """The end of this request's lease was moved here and is to be told there. No effect on a request of our own."""
    conn.execute("UPDATE outside_request SET end_at = ? WHERE request = ? AND state <> 'over'", (end_at, request))


def is_outside(conn: sqlite3.Connection, lease: str) -> bool:
    """Does another scheduler serve this lease?"""
    row = conn.execute(
        "SELECT 1 FROM lease l JOIN outside_request o ON o.request = l.request WHERE l.id = ?", (lease,)
    ).fetchone()
    return row is not None
