"""Files nobody may write, full stores and older schemas."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetctl.errors import StoreReadOnlyError
from fleetctl.store import Database, migrations
from fleetctl.store.events import append_event, list_events
from fleetctl.store.rounds import save_reports
from fleetctl.store.samples import latest_samples
from tests.store.writer import COLUMNS, FIRST, reports

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may enter (pytest's own may not be)."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def as_plain_user(folder: Path) -> Iterator[None]:
    """Root may write everything, so it steps down for this test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def open_for_writing(path: Path) -> None:
    with Database.open(path, write=True) as db, db.write() as conn:
        append_event(conn, 1, "operator", "x", "y")


def make_read_only(folder: Path) -> Path:
    path = folder / "a.db"
    user = os.geteuid()
    if user == NOBODY:
        os.seteuid(0)
    with Database.open(path, write=True) as db:
        save_reports(db, FIRST, reports(FIRST, 1))
    path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    folder.chmod(0o555)
    if user == NOBODY:
        os.seteuid(NOBODY)
    return path


@pytest.mark.usefixtures("as_plain_user")
def test_a_file_that_may_not_be_written_is_read_and_not_written(folder: Path) -> None:
    path = make_read_only(folder)
    with pytest.raises(StoreReadOnlyError) as caught:
        open_for_writing(path)
    assert "rights" in caught.value.hint
    with Database.open(path, write=False) as db, db.read() as conn:
        assert len(latest_samples(conn, "card")) == 8


@pytest.mark.usefixtures("as_plain_user")
def test_a_folder_that_may_not_be_written(folder: Path) -> None:
    make_read_only(folder)
    with pytest.raises(StoreReadOnlyError) as caught:
        open_for_writing(folder / "new.db")
    assert caught.value.hint


def test_a_store_that_is_full_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.db", write=True) as db:
        save_reports(db, FIRST, reports(FIRST, 20))
        with db.exclusive_connection() as conn:
            pages = conn.execute("PRAGMA page_count").fetchone()[0]
            conn.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreReadOnlyError, match="no room") as caught:
            save_reports(db, FIRST + 60, reports(FIRST + 60, 300))
        assert "nothing committed is lost" in caught.value.hint
        with db.read() as conn:
            assert len(latest_samples(conn, "card", COLUMNS)) == 160
        with db.exclusive_connection() as conn:
            conn.execute("PRAGMA max_page_count = 100000")
        save_reports(db, FIRST + 60, reports(FIRST + 60, 300))
        with db.read() as conn:
            rows = latest_samples(conn, "card", COLUMNS)
            assert len(rows) == 2400
            assert {row[1] for row in rows} == {FIRST + 60}


@pytest.mark.parametrize("released", sorted(migrations.known_migrations()))
def test_every_older_schema_is_brought_up_to_date_with_its_data(
    released: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    everything = migrations.known_migrations()
    older = {number: name for number, name in everything.items() if number <= released}
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "known_migrations", lambda: older)
        with Database.open(path, write=True) as db:
            save_reports(db, FIRST, reports(FIRST, 1))
            with db.write() as conn:
                append_event(conn, 1, "operator", "kept", "as it was")
    with Database.open(path, write=True) as db, db.read() as conn:
        assert migrations.applied_migrations(conn) == everything
        assert [e.name for e in list_events(conn)] == ["kept"]
        assert len(latest_samples(conn, "card")) == 8


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    Database.open(path, write=True).close()
    broken = tmp_path / "m9000_broken.py"
    broken.write_text("def apply(db):\n    db.conn.execute('CREATE TABLE half (x)')\n    raise ZeroDivisionError\n")
    monkeypatch.setattr(migrations, "__path__", [*migrations.__path__, str(tmp_path)])
    migrations.known_migrations.cache_clear()
    try:
        with pytest.raises(ZeroDivisionError):
            open_for_writing(path)
    finally:
        monkeypatch.undo()
        migrations.known_migrations.cache_clear()
    with Database.open(path, write=True) as db, db.read() as conn:
        assert conn.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
