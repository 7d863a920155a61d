"""What is deleted when, in steps so small that nobody waits: one round of rows, one slice of an hour, some events."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from fleetctl.config.schema import Store as Policy
from fleetctl.store.catalogue import KINDS
from fleetctl.store.database import Database
from fleetctl.store.identity import GROUP

HOUR_S = 3600
DAY_S = 86400
_GROUPS_PER_STEP = 2000
_ROWS_PER_STEP = 5000

_Step = Callable[[sqlite3.Connection, Policy, float], bool]


def retention_step(db: Database, policy: Policy, now: float) -> bool:
    """Delete one small thing that has outlived its time; False when there was none."""
    for step in (_old_rows, _old_chunks, _old_rollups, _old_fleet_slots, _old_events):
        with db.write() as conn:
            if step(conn, policy, now):
                return True
    return False


def _old_rows(conn: sqlite3.Connection, policy: Policy, now: float) -> bool:
    """Rows of one round whose hour is safely sealed."""
    for kind in KINDS:
        slot = conn.execute(f"SELECT min(slot) FROM {kind}_samples").fetchone()[0]
        if slot is None or slot >= now - policy.raw_hours * HOUR_S:
            continue
        sealed = conn.execute(
            "SELECT 1 FROM seals WHERE kind = ? AND hour = ? AND sealed_at IS NOT NULL AND dirty = 0",
            (kind, slot - slot % HOUR_S),
        ).fetchone()
        if sealed is not None:
            conn.execute(f"DELETE FROM {kind}_samples WHERE slot = ?", (slot,))
            return True
    return False


def _old_chunks(conn: sqlite3.Connection, policy: Policy, now: float) -> bool:
    row = conn.execute(
        "SELECT kind, hour FROM seals WHERE chunks = 1 AND hour < ? AND sealed_at IS NOT NULL ORDER BY hour LIMIT 1",
        (int(now - policy.chunk_days * DAY_S - HOUR_S),),
    ).fetchone()
    if row is None:
        return False
    kind, hour = row
    has_rows = conn.execute(
        f"SELECT 1 FROM {kind}_samples WHERE slot >= ? AND slot < ? LIMIT 1", (hour, hour + HOUR_S)
    ).fetchone()
    if has_rows is not None:
        return False  # first the rows, so that an hour is never sealed twice from half of them
    if _delete_slice(conn, f"{kind}_chunks", hour):
        return True
    conn.execute("UPDATE seals SET chunks = 0 WHERE kind = ? AND hour = ?", (kind, hour))
    return True


def _old_rollups(conn: sqlite3.Connection, policy: Policy, now: float) -> bool:
    row = conn.execute(
        "SELECT kind, hour FROM seals WHERE chunks = 0 AND hour < ? ORDER BY hour LIMIT 1",
        (int(now - policy.rollup_days * DAY_S - HOUR_S),),
    ).fetchone()
    if row is None:
        return False
    kind, hour = row
    if not _delete_slice(conn, f"{kind}_rollups", hour):
        conn.execute("DELETE FROM seals WHERE kind = ? AND hour = ?", (kind, hour))
    return True


def _delete_slice(conn: sqlite3.Connection, table: str, hour: int) -> bool:
    """Delete some groups of an hour by their keys; False when none is left. The key starts with the group, so that the
    history of a device lies together; an hour is therefore looked for group by group."""
    top = conn.execute("SELECT ifnull(max(id), 0) FROM devices").fetchone()[0] // GROUP
    for low in range(0, top + 1, _GROUPS_PER_STEP):
        groups = range(low, min(low + _GROUPS_PER_STEP, top + 1))
        before = conn.total_changes
        conn.executemany(f"DELETE FROM {table} WHERE grp = ? AND hour = ?", ((grp, hour) for grp in groups))
        if conn.total_changes > before:
            return True
    return False


def _old_fleet_slots(conn: sqlite3.Connection, policy: Policy, now: float) -> bool:
    """Rounds of the fleet that are older than the chunks become one row per hour; hours older than rollups go."""
    end = int(now - policy.chunk_days * DAY_S)
    end -= end % HOUR_S
    oldest = int(now - policy.rollup_days * DAY_S)
    for kind, metric in conn.execute("SELECT of, name FROM metrics").fetchall():
        gone = conn.execute(
            "DELETE FROM fleet_slots WHERE kind = ? AND metric = ? AND slot < ?", (kind, metric, oldest)
        ).rowcount
        slot = conn.execute(
            "SELECT min(slot) FROM fleet_slots WHERE kind = ? AND metric = ? AND slot < ? AND slot % 3600 <> 0",
            (kind, metric, end),
        ).fetchone()[0]
        if slot is not None:
            hour = slot - slot % HOUR_S
            span = (kind, metric, hour, hour + HOUR_S)
            total = conn.execute(
                "SELECT sum(n), min(min), max(max), total(sum) FROM fleet_slots"
                " WHERE kind = ? AND metric = ? AND slot >= ? AND slot < ?",
                span,
            ).fetchone()
            conn.execute("DELETE FROM fleet_slots WHERE kind = ? AND metric = ? AND slot >= ? AND slot < ?", span)
            conn.execute("INSERT INTO fleet_slots VALUES (?, ?, ?, ?, ?, ?, ?)", (kind, metric, hour, *total))
            return True
        if gone > 0:
            return True
    return False


def _old_events(conn: sqlite3.Connection, policy: Policy, now: float) -> bool:
    before = int(now - policy.event_days * DAY_S)
    gone = conn.execute(
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE last_at < ? ORDER BY last_at LIMIT ?)",
        (before, _ROWS_PER_STEP),
    ).rowcount
    gone += conn.execute(
        "DELETE FROM findings WHERE id IN"
        " (SELECT id FROM findings WHERE state = 'resolved' AND resolved_at < ? ORDER BY resolved_at LIMIT ?)",
        (before, _ROWS_PER_STEP),
    ).rowcount
    return gone > 0
