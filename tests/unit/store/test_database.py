"""Opening, reading and writing the one file."""

import os
import sqlite3
from pathlib import Path

import pytest

from fleetctl.errors import NotFoundError, StoreBusyError, StoreCorruptError, StoreError, StoreNewerError
from fleetctl.store import Database, migrations

EVENT = "INSERT INTO events (first_at, last_at, kind, severity, name, text) VALUES (1, 1, 'engine', 'ok', 'x', ?)"


def texts(conn: sqlite3.Connection) -> list[str]:
    return [t for (t,) in conn.execute("SELECT text FROM events ORDER BY id")]


def test_what_one_writes_another_reads(tmp_path: Path) -> None:
    with Database.open(tmp_path / "sub" / "a.db", write=True) as db:
        with db.write() as conn:
            conn.execute(EVENT, ("one",))
        with Database.open(db.path, write=False) as reader, reader.read() as conn:
            assert texts(conn) == ["one"]


def write_and_fail(db: Database) -> None:
    with db.write(durable=True) as conn:
        conn.execute(EVENT, ("one",))
        raise ZeroDivisionError


def test_an_exception_rolls_back(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.db", write=True) as db:
        with pytest.raises(ZeroDivisionError):
            write_and_fail(db)
        with db.read() as conn:
            assert texts(conn) == []


def test_a_reader_keeps_its_snapshot_and_never_waits(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.db", write=True) as db, db.read() as before:
        assert texts(before) == []
        with db.write() as conn:
            conn.execute(EVENT, ("one",))
            with db.read() as during:
                assert texts(during) == []
        assert texts(before) == []
        with db.read() as after:
            assert texts(after) == ["one"]


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.db", write=True) as db:
        with pytest.raises(StoreError, match="cannot be written"), db.read() as conn:
            conn.execute(EVENT, ("one",))
        with Database.open(db.path, write=False) as reader, pytest.raises(StoreError), reader.write():
            pass


def start_writing(db: Database, statement: str = "SELECT 1") -> None:
    with db.write() as conn:
        conn.execute(statement)


def test_a_write_inside_a_write_is_refused(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.db", write=True) as db, db.write(), pytest.raises(StoreError, match="inside"):
        start_writing(db)


def test_a_second_writer_gets_busy_after_its_patience(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Database.open(path, write=True) as one, Database.open(path, write=True, busy_timeout_s=0.01) as two:
        with one.write(), pytest.raises(StoreBusyError) as caught:
            start_writing(two)
        assert "engine status" in caught.value.hint
        start_writing(two)


def test_foreign_keys_hold(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.db", write=True) as db, pytest.raises(StoreError, match="FOREIGN KEY"):
        start_writing(db, "INSERT INTO host_facts VALUES (7, 1, '{}')")


def test_data_version_moves_when_others_write(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.db", write=True) as db, Database.open(db.path, write=False) as viewer:
        before = viewer.data_version()
        assert viewer.data_version() == before
        with db.write() as conn:
            conn.execute(EVENT, ("one",))
        assert viewer.data_version() != before


def test_no_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no database"):
        Database.open(tmp_path / "none.db", write=False)


def test_a_newer_file_is_refused_by_readers_and_writers(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.db", write=True) as db, db.write() as conn:
        conn.execute("INSERT INTO migrations VALUES (9999, 'm9999_future', 1)")
    for write in (True, False):
        with pytest.raises(StoreNewerError, match="newer fleetctl") as caught:
            Database.open(tmp_path / "a.db", write=write)
        assert "update" in caught.value.hint


def test_an_older_file_is_not_for_readers(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Database.open(path, write=True).close()
    last = max(migrations.known_migrations())
    with Database.open(path, write=True) as db, db.write() as conn:
        conn.execute("CREATE TABLE keepsake (x)")
        conn.execute("DROP TABLE migrations")
        conn.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)")
        for number, name in migrations.known_migrations().items():
            if number != last:
                conn.execute("INSERT INTO migrations VALUES (?, ?, 1)", (number, name))
    with pytest.raises(StoreError, match="older"):
        Database.open(path, write=False)


def test_not_a_database_and_somebody_elses(tmp_path: Path) -> None:
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"\x1b[31mnot a database" * 500)
    for write in (True, False):
        with pytest.raises(StoreCorruptError):
            Database.open(junk, write=write)
    other = tmp_path / "other.db"
    conn = sqlite3.connect(other)
    conn.execute("PRAGMA application_id = 77")
    conn.execute("CREATE TABLE mine (x)")
    conn.close()
    with pytest.raises(StoreCorruptError, match="another program"):
        Database.open(other, write=True)
    assert junk.read_bytes().startswith(b"\x1b[31mnot")


def test_a_folder_without_rights_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(StoreError) as caught:
        Database.open(blocked / "a.db", write=True)
    assert caught.value.hint


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    db = Database.open(tmp_path / "a.db", write=True)
    db.close()
    with pytest.raises(StoreError, match="closed"), db.read():
        pass


def test_a_new_file_is_never_open_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    connect = Database._connect

    def look(self: Database, uri: str) -> sqlite3.Connection:
        seen.append(self.path.stat().st_mode & 0o777)
        return connect(self, uri)

    monkeypatch.setattr(Database, "_connect", look)
    before = os.umask(0)
    try:
        with Database.open(tmp_path / "fleet.db", write=True) as db, db.write() as conn:
            conn.execute("CREATE TABLE t (a)")
            modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert seen[0] == 0o640
    assert set(modes.values()) == {0o640}, modes


def test_no_two_migrations_have_one_number() -> None:
    """Two branches may take the next one at the same time; one of the two would never run."""
    files = [path.name for path in Path(migrations.__path__[0]).glob("m[0-9]*.py")]
    assert len(migrations.known_migrations()) == len(files)
