"""The engine's own line: who polls, since when, and how the last round went."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetctl.store.engine_row import engine_row
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class EngineView:
    """running: somebody holds the lock now; the rest is what that process (or the last one) wrote."""

    running: bool
    pid: int | None = None
    host: str | None = None
    version: str | None = None
    started_at: int | None = None
    beat_at: int | None = None
    note: Mapping[str, Any] = field(default_factory=dict)


COLUMNS: tuple[Column[EngineView], ...] = (
    Column("running", "Running", lambda r: r.running, width=7, doc="whether a process holds the lock now"),
    Column("pid", "PID", lambda r: r.pid, width=7, right=True),
    Column("host", "Host", lambda r: r.host, width=16),
    Column("version", "Version", lambda r: r.version, width=8),
    Column("started_at", "Started", lambda r: r.started_at, width=8, role="age"),
    Column("beat_at", "Last beat", lambda r: r.beat_at, width=9, role="age"),
    Column(
        "hosts_ok", "OK", lambda r: r.note.get("ok"), width=6, right=True, doc="hosts that answered in the last round"
    ),
    Column("hosts_failed", "Failed", lambda r: r.note.get("failed"), width=6, right=True),
    Column("duration_s", "Round s", lambda r: r.note.get("duration_s"), width=8, right=True, doc="the last round took"),
    Column("lag_s", "Lag s", lambda r: r.note.get("lag_s"), width=6, right=True, doc="it began so much late"),
)


def load_engine_table(conn: sqlite3.Connection, running: bool) -> Table[EngineView]:
    """One row. `running` comes from whoever could ask the lock."""
    row = engine_row(conn)
    one = EngineView(running) if row is None else EngineView(
        running, row.pid, row.host, row.version, row.started_at, row.beat_at, row.note
    )  # fmt: skip
    return Table("engine", COLUMNS, [one], lambda r: str(r.pid))
