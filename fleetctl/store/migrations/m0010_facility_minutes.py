"""Power and cooling by the minute, for as long as somebody looks at it by the minute.

A quarter of an hour hides what a job does to a rack. Rows are keyed (minute, series): a minute of the whole fleet is
appended in one place, and the oldest is taken away in one. What there was before stays as it is: energies are made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetctl.store.migrations import run_statements

if TYPE_CHECKING:
    from sqlite_utils import Database

SCHEMA = """
CREATE TABLE facility_series (
  id INTEGER PRIMARY KEY, endpoint INTEGER NOT NULL, series TEXT NOT NULL,
  UNIQUE (endpoint, series)
) STRICT;

CREATE TABLE facility_minute (
  slot INTEGER NOT NULL, series INTEGER NOT NULL, value REAL NOT NULL,
  PRIMARY KEY (slot, series)
) STRICT, WITHOUT ROWID;
"""


def apply(db: Database) -> None:
    run_statements(db, SCHEMA)
