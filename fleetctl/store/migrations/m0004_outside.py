"""Schedulers beside ours: how each endpoint fares, its jobs, its reservations, and what we ask of it by hand.

node_outside also keeps the engine's own word for a node and the cards it counts, so that a console shows its truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetctl.store.migrations import run_statements

if TYPE_CHECKING:
    from sqlite_utils import Database

SCHEMA = """
ALTER TABLE node_outside ADD COLUMN word TEXT NOT NULL DEFAULT '';
ALTER TABLE node_outside ADD COLUMN responding INTEGER;
ALTER TABLE node_outside ADD COLUMN cards INTEGER;
ALTER TABLE node_outside ADD COLUMN cards_used INTEGER;
ALTER TABLE node_outside ADD COLUMN partitions TEXT NOT NULL DEFAULT '';

CREATE TABLE outside_endpoint (
  name TEXT PRIMARY KEY, kind TEXT NOT NULL, site TEXT NOT NULL, version TEXT NOT NULL DEFAULT '',
  nodes INTEGER, strangers INTEGER, tried_at INTEGER, ok_at INTEGER,
  trouble TEXT NOT NULL DEFAULT '', hint TEXT NOT NULL DEFAULT '', trouble_since INTEGER
) STRICT, WITHOUT ROWID;

-- Jobs that wait or run, as of outside_endpoint.ok_at. hosts: JSON array.
CREATE TABLE outside_job (
  backend TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, user TEXT NOT NULL, account TEXT NOT NULL,
  state TEXT NOT NULL, partition TEXT NOT NULL, hosts TEXT NOT NULL, cards INTEGER, nodes INTEGER,
  submitted_at INTEGER, start_at INTEGER, end_at INTEGER, reason TEXT NOT NULL,
  PRIMARY KEY (backend, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE outside_reservation (
  backend TEXT NOT NULL, name TEXT NOT NULL, hosts TEXT NOT NULL, start_at INTEGER, end_at INTEGER,
  users TEXT NOT NULL, flags TEXT NOT NULL, ours INTEGER NOT NULL,
  PRIMARY KEY (backend, name)
) STRICT, WITHOUT ROWID;

-- What a person (or a drain's deadline) asks of an endpoint: cancel and submit. body: JSON.
CREATE TABLE outside_order (
  id TEXT PRIMARY KEY, backend TEXT NOT NULL, verb TEXT NOT NULL, body TEXT NOT NULL, who_kind TEXT NOT NULL,
  who TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL,
  ended_at INTEGER, answer TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX outside_order_open ON outside_order (created_at) WHERE state IN ('pending', 'doing');
"""


def apply(db: Database) -> None:
    """Make the tables; rows of node_outside keep what they have."""
    run_statements(db, SCHEMA)
