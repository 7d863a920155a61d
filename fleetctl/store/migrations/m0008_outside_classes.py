"""How another scheduler shares cards, and the class of its jobs: so that a part of a card can be asked for there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetctl.store.migrations import run_statements

if TYPE_CHECKING:
    from sqlite_utils import Database

SCHEMA = """
-- parts: how cards of the node may be shared there, as name:parts of a card (shard:4); '' where only whole ones are given.
ALTER TABLE node_outside ADD COLUMN parts TEXT NOT NULL DEFAULT '';
-- qos: class of the job (quality of service), '' where none is told.
ALTER TABLE outside_job ADD COLUMN qos TEXT NOT NULL DEFAULT '';
"""


def apply(db: Database) -> None:
    """Add the columns; they are filled by the next round."""
    run_statements(db, SCHEMA)
