"""Endpoints of power and cooling, their newest readings with their age, and totals over time."""

from __future__ import annotations

from sqlite_utils import Database

from fleetctl.store.migrations import run_statements

# A reading is kept until the next one: what a BMC said an hour ago stands there with the hour. History is one row per
# quarter of an hour for totals and counters; upkeep thins it to hours.
SCHEMA = """
CREATE TABLE facility_endpoint (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, url TEXT NOT NULL,
  host TEXT, site TEXT NOT NULL DEFAULT '', device TEXT NOT NULL DEFAULT '{}',
  tried_at INTEGER, ok_at INTEGER, trouble TEXT, trouble_text TEXT NOT NULL DEFAULT '', trouble_since INTEGER,
  total_power_w REAL, total_source TEXT NOT NULL DEFAULT '', total_at INTEGER
) STRICT;
CREATE INDEX facility_endpoint_host ON facility_endpoint (host) WHERE host IS NOT NULL;

CREATE TABLE facility_reading (
  endpoint INTEGER NOT NULL, source TEXT NOT NULL, quantity TEXT NOT NULL, place TEXT NOT NULL,
  value REAL NOT NULL, unit TEXT NOT NULL, raw TEXT NOT NULL DEFAULT '', at INTEGER NOT NULL,
  PRIMARY KEY (endpoint, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE facility_state (
  endpoint INTEGER NOT NULL, what TEXT NOT NULL, place TEXT NOT NULL, word TEXT NOT NULL, bad INTEGER,
  source TEXT NOT NULL DEFAULT '', at INTEGER NOT NULL,
  PRIMARY KEY (endpoint, what, place, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE facility_history (
  endpoint INTEGER NOT NULL, series TEXT NOT NULL, slot INTEGER NOT NULL, value REAL NOT NULL,
  PRIMARY KEY (endpoint, series, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX facility_history_slot ON facility_history (slot);
"""


def apply(db: Database) -> None:
    run_statements(db, SCHEMA)
