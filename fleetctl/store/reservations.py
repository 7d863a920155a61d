"""Nodes held for later, for a tenant or for work on them."""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from fleetctl.model.lease import Reservation


def insert_reservation(conn: sqlite3.Connection, held: Reservation) -> None:
    """Save a new reservation."""
    conn.execute(
        "INSERT INTO reservation (id, kind, tenant, who, reason, start_at, end_at, plan, state, created_at)"
        " VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            held.id,
            held.kind,
            held.tenant,
            held.who,
            held.reason,
            held.start_at,
            held.end_at,
            held.plan,
            held.state,
            held.created_at,
        ),
    )
    conn.executemany("INSERT INTO reservation_node VALUES (?, ?)", [(held.id, host) for host in held.hosts])


def close_reservation(conn: sqlite3.Connection, reservation: str, state: str) -> bool:
    """state: "cancelled" or "over". False when it was not planned any more."""
    done = conn.execute("UPDATE reservation SET state = ? WHERE id = ? AND state = 'planned'", (state, reservation))
    return done.rowcount == 1


def close_plan_reservations(conn: sqlite3.Connection, plan: str, state: str) -> None:
    """Close the windows a plan made."""
    conn.execute("UPDATE reservation SET state = ? WHERE plan = ? AND state = 'planned'", (state, plan))


def end_past_reservations(conn: sqlite3.Connection, now: int) -> list[str]:
    """Ids of planned reservations whose end has come; they are over now."""
    ids = [r[0] for r in conn.execute("SELECT id FROM reservation WHERE state = 'planned' AND end_at <= ?", (now,))]
    conn.executemany("UPDATE reservation SET state = 'over' WHERE id = ?", [(i,) for i in ids])
    return ids


def list_reservations(conn: sqlite3.Connection, *, only_planned: bool = True) -> list[Reservation]:
    """By start."""
    hosts: dict[str, list[str]] = defaultdict(list)
    for reservation, host in conn.execute("SELECT reservation, host FROM reservation_node ORDER BY 1, 2"):
        hosts[reservation].append(host)
    where = "state = 'planned'" if only_planned else "1"
    rows = conn.execute(
        "SELECT id, kind, start_at, end_at, tenant, who, reason, plan, state, created_at FROM reservation"
        f" WHERE {where} ORDER BY start_at, id"
    )
    return [Reservation(r[0], r[1], tuple(hosts[r[0]]), r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9]) for r in rows]
