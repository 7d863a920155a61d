"""When a process was seen on a card, by the clock of its host.

The console's clock may step between a sighting and a pass that ends processes; a host's uptime does not.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def apply(db: Database) -> None:
    """Add the column; processes that were stored before have no such moment until they are seen anew."""
    connection = db.conn
    assert isinstance(connection, sqlite3.Connection)
    # up_s: uptime of the host, seconds, in the report that named the process; NULL where it did not tell.
    connection.execute("ALTER TABLE processes ADD COLUMN up_s REAL")
