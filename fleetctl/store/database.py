"""The SQLite file: how it is opened, read, written, and how its errors become ours.

WAL on a local disk. Any number of readers, each `mode=ro` and `query_only` on a snapshot of its own, never blocked by
the writer; one writer at a time, every transaction `BEGIN IMMEDIATE` (a transaction that reads first and writes later
fails at once under another writer, SQLITE_BUSY_SNAPSHOT) and short.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from fleetctl.errors import NotFoundError, StoreCorruptError, StoreError
from fleetctl.store import migrations
from fleetctl.store.faults import refuse_network_disk, store_errors

APPLICATION_ID = 0x464C4354  # "FLCT", so that `file` and we know whose database it is
BUSY_TIMEOUT_S = 10.0  # longer than any transaction of ours; a round of 100,000 cards takes well under one second
_EFFECTIVE = os.access in os.supports_effective_ids
_WAL_LIMIT_BYTES = 128 * 1024 * 1024  # the log is cut back to this after a checkpoint


class Database:
    """One store. Threads may share it: each reader gets a connection of its own, writers take turns.

    Open it with `Database.open`; close it or use it as a context manager.
    """

    def __init__(self, path: Path, *, write: bool, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self.can_write = write
        self._busy_timeout_s = busy_timeout_s
        self._writer: sqlite3.Connection | None = None
        self._watcher: sqlite3.Connection | None = None
        self._write_lock = threading.RLock()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, path: Path | str, *, write: bool, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Database:
        """Open the store; with write=True create it if need be and bring its schema up to date.

        Raises NotFoundError (no such file, read only), StoreNewerError (written by a newer fleetctl),
        StoreCorruptError, StoreReadOnlyError, StoreBusyError, StoreError (network file system).
        """
        path = Path(path).expanduser()
        db = cls(path, write=write, busy_timeout_s=busy_timeout_s)
        try:
            db._open()
        except BaseException:
            db.close()
            raise
        return db

    def _open(self) -> None:
        refuse_network_disk(self.path)
        if not self.can_write:
            if not self.path.exists():
                raise NotFoundError(
                    f"no database at {self.path}", hint="fleetctl poll or fleetctl engine run writes the first one"
                )
            with self.read() as conn:
                migrations.check(conn, self.path)
            return
        with store_errors(self.path, files=True):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self.path.exists() or self.path.stat().st_size == 0
            if fresh:  # tenants and reasons stand in it: never open to all, not even for a moment
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))
            conn = self._connect(f"file:{quote(str(self.path.absolute()))}?mode=rwc")
            self._writer = conn
            if fresh:
                conn.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only works before the first table
            elif conn.execute("PRAGMA application_id").fetchone()[0] not in (0, APPLICATION_ID):
                raise StoreCorruptError(
                    f"{self.path} is an SQLite file of another program", hint="set store.path to a file of its own"
                )
            mode = conn.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise StoreError(
                    f"{self.path}: this file system cannot hold SQLite's write-ahead log (journal mode {mode!r})",
                    hint="set store.path to a file on a local disk",
                )
            conn.execute("PRAGMA synchronous = NORMAL")
            conn.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            conn.execute("PRAGMA wal_autocheckpoint = 4000")
        migrations.migrate(self, APPLICATION_ID)

    def _connect(self, uri: str) -> sqlite3.Connection:
        conn = sqlite3.connect(
            uri,
            uri=True,
            timeout=self._busy_timeout_s,
            isolation_level=None,  # BEGIN and COMMIT are ours
            check_same_thread=False,
            cached_statements=256,
        )
        conn.execute("PRAGMA foreign_keys = ON")
        conn.execute("PRAGMA cache_size = -32768")  # 32 MiB
        return conn

    def _connect_reader(self) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        wal = self.path.with_name(self.path.name + "-wal")
        if not os.access(self.path.parent, os.W_OK, effective_ids=_EFFECTIVE) and not wal.exists():
            # A reader of a WAL file needs its -shm beside it; where it cannot be made (a backup on read-only media)
            # and no log is left over, nobody else writes and the file can be read as it is.
            uri += "&immutable=1"
        conn = self._connect(uri)
        conn.execute("PRAGMA query_only = ON")
        return conn

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection on one snapshot of the store; never waits for the writer."""
        with store_errors(self.path):
            with self._readers_lock:
                self._refuse_closed()
                conn = self._readers.pop() if self._readers else None
            if conn is None:
                conn = self._connect_reader()
            try:
                conn.execute("BEGIN")
                yield conn
            finally:
                self._give_back(conn)

    def _give_back(self, conn: sqlite3.Connection) -> None:
        with contextlib.suppress(sqlite3.Error):
            if conn.in_transaction:
                conn.execute("ROLLBACK")
        with self._readers_lock:
            if self._closed or len(self._readers) >= 8:
                conn.close()
            else:
                self._readers.append(conn)

    @contextlib.contextmanager
    def write(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """The writer's connection inside BEGIN IMMEDIATE: committed at the end, rolled back on any exception.

        Keep it short: others wait. A crash of the process loses nothing committed either way; durable=True also
        survives a power cut (wishes, audit), at the price of one fsync. Must not be nested.
        Raises StoreBusyError when another process holds the store longer than the busy timeout.
        """
        if not self.can_write:
            raise StoreError(f"{self.path} was opened for reading only")
        with self._write_lock, store_errors(self.path):
            self._refuse_closed()
            conn = self._writer
            assert conn is not None
            if conn.in_transaction:
                raise StoreError("a write inside a write: use the connection that is already there")
            if durable:
                conn.execute("PRAGMA synchronous = FULL")
            try:
                conn.execute("BEGIN IMMEDIATE")
                try:
                    yield conn
                    conn.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        if conn.in_transaction:  # a full disk has rolled back already
                            conn.execute("ROLLBACK")
                    raise
            finally:
                if durable:
                    conn.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def exclusive_connection(self) -> Iterator[sqlite3.Connection]:
        """The writer's connection outside a transaction, for PRAGMAs and vacuum steps; no other thread writes."""
        if not self.can_write:
            raise StoreError(f"{self.path} was opened for reading only")
        with self._write_lock, store_errors(self.path):
            self._refuse_closed()
            assert self._writer is not None
            yield self._writer

    def data_version(self) -> int:
        """A number that changes when the store was changed by any other connection; cheap to ask often."""
        with store_errors(self.path), self._readers_lock:
            self._refuse_closed()
            # Counted per connection, so one connection is kept for the question.
            if self._watcher is None:
                self._watcher = self._connect_reader()
            return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path} has been closed")

    def close(self) -> None:
        """Close every connection. The last one to leave writes the log back into the file."""
        with self._readers_lock:
            self._closed = True
            readers, self._readers = self._readers, []
            if self._watcher is not None:
                readers.append(self._watcher)
                self._watcher = None
        for conn in readers:
            conn.close()
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
