"""How the schema grows: numbered modules `mNNNN_name.py`, each with `apply(db)` and a docstring that says why.

A migration runs once, in a transaction of its own, and is noted in the table `migrations`. What stands there and is
not known here was written by a newer fleetctl: such a file is refused. sqlite_utils is imported only when there is
something to do.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sqlite3
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fleetctl.errors import StoreError, StoreNewerError
from fleetctl.store.faults import store_errors

if TYPE_CHECKING:
    import sqlite_utils

    from fleetctl.store.database import Database

_NAME = re.compile(r"m(\d{4})_\w+")


@cache
def known_migrations() -> dict[int, str]:
    """Number -> module name of every migration of this version, in order, without importing them."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if _NAME.fullmatch(m.name))
    return {int(n[1:5]): n for n in names}


def applied_migrations(conn: sqlite3.Connection) -> dict[int, str]:
    """Number -> name of what the file has been through; empty for a new file."""
    there = conn.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").fetchone()
    if there is None:
        return {}
    return dict(conn.execute("SELECT number, name FROM migrations ORDER BY number"))


def check(conn: sqlite3.Connection, path: Path) -> None:
    """Raise StoreNewerError for a newer file, StoreError for one that has to be brought up to date by a writer."""
    applied = applied_migrations(conn)
    newer = sorted(set(applied) - set(known_migrations()))
    if newer:
        raise StoreNewerError(
            f"{path} was written by a newer fleetctl (schema {newer[-1]}, this one knows {max(known_migrations())})",
            hint="update fleetctl here, or use another store.path",
        )
    if missing_migrations(applied):
        raise StoreError(
            f"{path} is older than this fleetctl",
            hint="start the engine or run `fleetctl poll` once: that brings it up to date",
        )


def missing_migrations(applied: dict[int, str]) -> list[int]:
    return [n for n in known_migrations() if n not in applied]


def migrate(db: Database, application_id: int) -> list[int]:
    """Apply what is missing, in order, each in a transaction of its own; returns the numbers applied.

    Two processes may do it at once.
    """
    done: list[int] = []
    while True:
        with db.exclusive_connection() as conn:
            applied = applied_migrations(conn)
            if set(applied) - set(known_migrations()):
                check(conn, db.path)
            missing = missing_migrations(applied)
        if not missing:
            return done
        number = missing[0]
        with db.write() as conn:
            if number in applied_migrations(conn):
                continue  # another process was faster
            _apply(conn, number, application_id, db.path)
        done.append(number)


def run_statements(db: sqlite_utils.Database, script: str) -> None:
    """Run statements that end in `;` at the end of a line, inside the migration's transaction (executescript commits)."""
    connection = db.conn
    assert isinstance(connection, sqlite3.Connection)
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def _apply(conn: sqlite3.Connection, number: int, application_id: int, path: Path) -> None:
    import sqlite_utils

    name = known_migrations()[number]
    module = importlib.import_module(f"{__name__}.{name}")
    apply: Callable[[sqlite_utils.Database], None] = module.apply
    conn.execute(f"PRAGMA application_id = {application_id}")
    conn.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"
    )
    with store_errors(path):
        apply(sqlite_utils.Database(conn, execute_plugins=False))
        conn.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, int(time.time())))
