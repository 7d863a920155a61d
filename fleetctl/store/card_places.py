"""Which card stands where, as plain tuples: what a picture of 100,000 cards needs and nothing more."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class CardPlace(NamedTuple):
    """One whole card that its host names now. number: the index its tool prints, as text."""

    id: int
    host: str
    number: str | None


def list_card_places(conn: sqlite3.Connection) -> list[CardPlace]:
    """Whole cards (no partitions) by device id."""
    rows = conn.execute(
        """
        SELECT d.id, h.name, d.number
          FROM devices d
          JOIN hosts h ON h.id = d.host
         WHERE d.kind = 'card' AND d.parent IS NULL AND d.gone_at IS NULL
         ORDER BY d.id
        """
    )
    return [CardPlace._make(row) for row in rows]


def devices_mark(conn: sqlite3.Connection) -> tuple[int, ...]:
    """Changes when a device comes or goes; cheap, so that places need not be read again for every round."""
    row = conn.execute("SELECT count(*), ifnull(max(id), 0), total(gone_at) FROM devices").fetchone()
    return tuple(int(value) for value in row)
