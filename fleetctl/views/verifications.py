"""The last return-to-service check of one node, as it was kept."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from fleetctl.store.scheduler_facts import list_verifications
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check. at: epoch seconds; ok None: it could not be answered, or was not asked for."""

    check: str
    ok: bool | None
    text: str
    at: int
    who: str


COLUMNS: tuple[Column[CheckRow], ...] = (
    Column("check", "check", lambda r: r.check, width=14, doc="what was held against the model's baseline"),
    Column("ok", "passes", lambda r: r.ok, width=6, doc="- where it could not be answered or was not asked for"),
    Column("at", "age", lambda r: r.at, width=5, right=True, role="age", doc="when it was checked"),
    Column("who", "who", lambda r: r.who, width=10, doc="on whose word"),
    Column("text", "text", lambda r: r.text, width=30, doc="what was found"),
)


def load(conn: sqlite3.Connection, node: str) -> list[CheckRow]:
    """Checks of a node's last `recheck`; none where there was none."""
    return [
        CheckRow(str(one["name"]), one["ok"], str(one["text"]), kept.at, kept.who)
        for kept in list_verifications(conn, node, limit=1)
        for one in kept.body.get("checks", ())
    ]


def table(rows: list[CheckRow]) -> Table[CheckRow]:
    return Table("check", COLUMNS, rows, lambda r: r.check)
