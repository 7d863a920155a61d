"""Cards a job of another scheduler holds, and requests of ours that another scheduler serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetctl.store.migrations import run_statements

if TYPE_CHECKING:
    from sqlite_utils import Database

SCHEMA = """
-- places: JSON object, host -> indices of the cards the job holds there; hosts are missing where they are not told.
ALTER TABLE outside_job ADD COLUMN places TEXT NOT NULL DEFAULT '{}';

-- A request that an outside scheduler serves. mark: written on its job there, so that it is found again after a crash;
-- state: wanted, doing (a submit was begun), told (job is known), ending (its job must go), over; end_at: an end that is
-- still to be told; body: JSON, what is asked for there.
CREATE TABLE outside_request (
  request TEXT PRIMARY KEY, backend TEXT NOT NULL, mark TEXT NOT NULL, body TEXT NOT NULL, job TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'wanted', attempts INTEGER NOT NULL DEFAULT 0, told_at INTEGER, end_at INTEGER,
  answer TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX outside_request_open ON outside_request (backend) WHERE state <> 'over';
"""


def apply(db: Database) -> None:
    """Add the column and the table; jobs get their cards with the next round."""
    run_statements(db, SCHEMA)
