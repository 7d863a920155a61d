"""Processes without a lease that a drain with an end asks to go: which process exactly, and how far that is.

A number alone names another process tomorrow. Boot, number and start name one process for ever, so an engine that died
in the middle cannot go on with somebody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetctl.store.migrations import run_statements

if TYPE_CHECKING:
    from sqlite_utils import Database

# started: ticks after boot, as /proc tells it; card "": of the whole node.
SCHEMA = """
CREATE TABLE process_end (
  plan TEXT NOT NULL, host TEXT NOT NULL, card TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL,
  started INTEGER NOT NULL, user TEXT NOT NULL, command TEXT NOT NULL, state TEXT NOT NULL,
  found_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (plan, host, boot_id, pid, started)
) STRICT, WITHOUT ROWID;
CREATE INDEX process_end_open ON process_end (host) WHERE state IN ('found', 'told', 'killed', 'refused');
"""


def apply(db: Database) -> None:
    """Make the table and its index."""
    run_statements(db, SCHEMA)
