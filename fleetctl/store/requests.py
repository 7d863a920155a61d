"""The queue: who asked for what, in which order it came, and what was answered."""

from __future__ import annotations

import sqlite3
from typing import Any

from fleetctl.model.lease import Request, RequestState
from fleetctl.store.leases import shape_json, shape_of

_COLUMNS = (
    "id, tenant, who, state, cls, submitted_at, start_at, latest_start_at, duration_s, reservation, shape, note, lease,"
    " decided_at, version"
)


def insert_request(conn: sqlite3.Connection, request: Request) -> bool:
    """Queue a request; False when its id is there already (the same request sent twice)."""
    done = conn.execute(
        f"INSERT INTO request ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        (
            request.id,
            request.tenant,
            request.who,
            request.state.value,
            request.cls,
            request.submitted_at,
            request.start_at,
            request.latest_start_at,
            request.duration_s,
            request.reservation,
            shape_json(request.shape),
            request.note,
            request.lease,
            request.decided_at,
            request.version,
        ),
    )
    return done.rowcount == 1


def decide_request(
    conn: sqlite3.Connection, request: str, state: RequestState, at: int, *, note: str = "", lease: str | None = None
) -> bool:
    """Answer a queued request once; False when it was answered or withdrawn meanwhile."""
    done = conn.execute(
        "UPDATE request SET state = ?, decided_at = ?, note = ?, lease = ?, version = version + 1"
        " WHERE id = ? AND state = 'queued'",
        (state.value, at, note, lease, request),
    )
    return done.rowcount == 1


def note_request(conn: sqlite3.Connection, request: str, note: str) -> None:
    """Why it still waits; written only when it changed."""
    conn.execute("UPDATE request SET note = ? WHERE id = ? AND state = 'queued' AND note <> ?", (note, request, note))


def get_request(conn: sqlite3.Connection, request: str) -> Request | None:
    """One request; None when there is none of that id."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM request WHERE id = ?", (request,)).fetchone()
    return _request(row) if row else None


def find_request(conn: sqlite3.Connection, start: str) -> list[str]:
    """Ids that begin with `start`, at most three."""
    pattern = start.replace("%", "").replace("_", "") + "%"
    return [r[0] for r in conn.execute("SELECT id FROM request WHERE id LIKE ? ORDER BY id LIMIT 3", (pattern,))]


def list_queue(conn: sqlite3.Connection) -> list[Request]:
    """Queued requests that we serve ourselves, oldest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM request WHERE state = 'queued'"
        " AND NOT EXISTS (SELECT 1 FROM outside_request o WHERE o.request = request.id) ORDER BY submitted_at, id"
    )
    return [_request(r) for r in rows]


def list_queue_outside(conn: sqlite3.Connection) -> list[Request]:
    """Queued requests that another scheduler serves, oldest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM request WHERE state = 'queued'"
        " AND EXISTS (SELECT 1 FROM outside_request o WHERE o.request = request.id) ORDER BY submitted_at, id"
    )
    return [_request(r) for r in rows]


def list_requests(conn: sqlite3.Connection, *, limit: int = 500) -> list[Request]:
    """All requests, newest first."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM request ORDER BY submitted_at DESC, id LIMIT ?", (limit,))
    return [_request(r) for r in rows]


def _request(r: Any) -> Request:
    return Request(
        id=r[0],
        tenant=r[1],
        who=r[2],
        state=RequestState(r[3]),
        cls=r[4],
        submitted_at=r[5],
        start_at=r[6],
        latest_start_at=r[7],
        duration_s=r[8],
        reservation=r[9],
        shape=shape_of(r[10]),
        note=r[11],
        lease=r[12],
        decided_at=r[13],
        version=r[14],
    )
