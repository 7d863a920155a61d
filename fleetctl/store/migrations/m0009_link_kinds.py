"""Links of one card are told apart by their kind, too: an NVLink 0 and a RoCE port 0 are two links.

What was told last is told again by the next complete report of a host, and by the first one after a start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetctl.store.migrations import run_statements

if TYPE_CHECKING:
    from sqlite_utils import Database

SCHEMA = """
CREATE TABLE links_by_kind (
    device       INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
    kind         TEXT NOT NULL,
    number       TEXT NOT NULL,
    up           INTEGER,
    speed_gbps   REAL,
    errors_total INTEGER,
    peer         TEXT,
    at           INTEGER NOT NULL,
    PRIMARY KEY (device, kind, number)
) WITHOUT ROWID;
INSERT INTO links_by_kind SELECT device, kind, number, up, speed_gbps, errors_total, peer, at FROM links;
DROP TABLE links;
ALTER TABLE links_by_kind RENAME TO links;
"""


def apply(db: Database) -> None:
    run_statements(db, SCHEMA)
