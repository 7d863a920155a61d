"""What the store must always show, whoever died when: looked at by `concurrency.py` after a history, by `crash.py` after a kill.

Each function raises AssertionError that names what is wrong; all only read.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

from fleetctl.store.audit import AuditEntry


def check_bookings(conn: sqlite3.Connection) -> None:
    """No card over 1000 milli, no exclusive node shared; holds, leases and requests agree."""
    over = conn.execute("SELECT host, card, SUM(milli) FROM hold GROUP BY 1, 2 HAVING SUM(milli) > 1000").fetchall()
    assert not over, f"booked twice: {over}"
    shared = conn.execute(
        "SELECT host FROM hold GROUP BY host HAVING MAX(exclusive) = 1 AND COUNT(DISTINCT lease) > 1"
    ).fetchall()
    assert not shared, f"exclusive node shared: {shared}"
    loose = conn.execute(
        "SELECT h.lease FROM hold h LEFT JOIN lease l ON l.id = h.lease WHERE l.state IS NULL OR l.state = 'ended'"
    ).fetchall()
    assert not loose, f"held by nobody: {loose}"
    missing = conn.execute(
        "SELECT c.lease, c.host, c.card FROM lease_card c JOIN lease l ON l.id = c.lease LEFT JOIN hold h"
        " ON (h.lease, h.host, h.card) = (c.lease, c.host, c.card)"
        " WHERE l.state IN ('active', 'ending') AND h.lease IS NULL"
    ).fetchall()
    assert not missing, f"lease lost its cards: {missing}"
    granted = conn.execute(
        "SELECT r.id FROM request r LEFT JOIN lease l ON l.request = r.id"
        " WHERE (r.state = 'granted') <> (l.id IS NOT NULL)"
    ).fetchall()
    assert not granted, f"request and lease disagree: {granted}"


def check_record(conn: sqlite3.Connection, entries: Iterable[AuditEntry]) -> None:
    """Replaying the whole decision record gives exactly the wishes that are stored, and nothing was done twice."""
    wish: dict[str, tuple[str, int]] = {}
    once: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        body = entry.body
        if entry.verb in ("plan", "grant", "end_lease", "free_lease"):
            once[entry.verb, entry.subject] += 1
        if "version" in body and "to" in body:
            before = wish.get(entry.subject, ("serve", 0))
            assert body["version"] == before[1] + 1, f"{entry.subject}: a wish was lost or repeated at {entry.seq}"
            assert body["from"] == before[0], f"{entry.subject}: {body['from']} is not what was wished before"
            wish[entry.subject] = (body["to"], body["version"])
        elif entry.verb == "undo" and "card" not in body:
            before = wish.get(entry.subject, ("serve", 0))
            wish[entry.subject] = (body["wish"], before[1] + 1)
        elif entry.verb == "grant":
            for host in {h[0] for h in body["holds"]}:
                assert wish.get(host, ("serve", 0))[0] == "serve", f"lease granted on {host}, out of service"
    assert all(n == 1 for n in once.values()), f"done twice: {[k for k, n in once.items() if n > 1]}"
    stored = {r[0]: (r[1], r[2]) for r in conn.execute("SELECT host, wish, version FROM node_admin WHERE version > 0")}
    assert stored == wish, f"stored {stored}, recorded {wish}"
