"""The engine's own line in the store: who polls, since when, when it last said so. It informs; the lock decides."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineRow:
    """host: name of the machine the engine runs on; slot: last round written; note: how it went (JSON object)."""

    pid: int
    host: str
    version: str
    started_at: int
    beat_at: int
    stopped_at: int | None = None
    slot: int | None = None
    note: Mapping[str, Any] = field(default_factory=dict)


def engine_row(conn: sqlite3.Connection) -> EngineRow | None:
    """The last engine that wrote here; None when there was none yet."""
    row = conn.execute(
        "SELECT pid, host, version, started_at, beat_at, stopped_at, slot, note FROM engine WHERE id = 1"
    ).fetchone()
    if row is None:
        return None
    fields: list[Any] = [*row[:7], json.loads(row[7])]
    return EngineRow(*fields)


def save_engine_start(conn: sqlite3.Connection, pid: int, host: str, version: str, at: float) -> None:
    """A new engine holds the lock; the last round written stays known."""
    conn.execute(
        """
        INSERT INTO engine (id, pid, host, version, started_at, beat_at) VALUES (1, ?1, ?2, ?3, ?4, ?4)
            ON CONFLICT (id) DO UPDATE
           SET pid = ?1, host = ?2, version = ?3, started_at = ?4, beat_at = ?4, stopped_at = NULL
        """,
        (pid, host, version, int(at)),
    )


def save_engine_beat(
    conn: sqlite3.Connection, at: float, *, slot: int | None = None, note: Mapping[str, Any] | None = None
) -> None:
    """It lives; with the round it wrote and how that went."""
    told = None if note is None else json.dumps(dict(note), ensure_ascii=False)
    conn.execute(
        "UPDATE engine SET beat_at = ?, slot = ifnull(?, slot), note = ifnull(?, note) WHERE id = 1",
        (int(at), slot, told),
    )


def save_engine_stop(conn: sqlite3.Connection, at: float) -> None:
    """It ended in order; after a crash this stays empty and the last beat tells."""
    conn.execute("UPDATE engine SET stopped_at = ?1, beat_at = ?1 WHERE id = 1", (int(at),))
