"""The two doors to the database that everything above the store needs; `Database` has them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Connections(Protocol):
    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """A read-only snapshot."""

    def write(self, *, durable: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        """One immediate transaction: committed when the block ends well, rolled back when it raises.

        durable: on disk before it returns, so that a power cut does not lose a wish.
        """


@contextmanager
def whole_or_not(conn: sqlite3.Connection) -> Iterator[None]:
    """A part of a transaction that is taken back alone when it raises; the rest of the transaction stands."""
    conn.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        conn.execute("ROLLBACK TO part")
        conn.execute("RELEASE part")
        raise
    conn.execute("RELEASE part")
