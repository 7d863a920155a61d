"""Checking, copying, measuring, giving space back."""

from pathlib import Path

import pytest

from fleetctl.config.schema import Store as Policy
from fleetctl.errors import StoreError
from fleetctl.store import Database, upkeep
from fleetctl.store.housekeeping import Housekeeper
from fleetctl.store.upkeep import backup, check, stats, vacuum_step
from tests.unit.store.fleet import HOUR, HOUR_S, save_round

POLICY = Policy(path="x", raw_hours=0.1)


def fill(db: Database) -> None:
    for minute in range(0, 60, 10):
        save_round(db, HOUR + 60 * minute, {"a": [(60, 1, 0, 2**30, 5)] * 8, "b": [(61, 1, 0, 2**30, 5)]})


def test_a_whole_store_has_nothing_wrong(db: Database) -> None:
    fill(db)
    assert not Housekeeper(db, POLICY).step(HOUR + 3 * HOUR_S)
    assert check(db) == []
    assert check(db, quick=True) == []
    told = stats(db)
    assert (told.hosts, told.devices, told.row_rounds, told.sealed_hours, told.open_hours) == (2, 9, 0, 1, 0)
    assert told.chunks == 1
    assert told.oldest_slot == HOUR
    assert told.file_bytes > told.chunk_bytes > 0
    assert told.rollup_bytes > 0


def test_damaged_blocks_are_found(db: Database) -> None:
    fill(db)
    Housekeeper(db, POLICY).step(HOUR + 3 * HOUR_S)
    with db.write() as conn:
        conn.execute("UPDATE card_chunks SET data = x'00'")
    assert [line.split(":")[0] for line in check(db)] == ["card_chunks"]


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Database.open(path, write=True) as db:
        fill(db)
        with db.exclusive_connection() as conn:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 + 8 : page * 4096 + 40] = b"\xff" * 32
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        look(path)


def look(path: Path) -> None:
    with Database.open(path, write=False) as db:
        if check(db):
            raise StoreError("damaged")


def test_a_backup_is_whole_and_readable_without_rights(db: Database, tmp_path: Path) -> None:
    fill(db)
    target = tmp_path / "media" / "copy.db"
    target.parent.mkdir()
    backup(db, target)
    with pytest.raises(StoreError, match="exists already"):
        backup(db, target)
    target.chmod(0o400)
    target.parent.chmod(0o500)
    try:
        with Database.open(target, write=False) as copy:
            assert check(copy) == []
            assert stats(copy).devices == 9
    finally:
        target.parent.chmod(0o700)
    assert [p.name for p in target.parent.iterdir()] == ["copy.db"]
    with pytest.raises(StoreError):
        backup(db, tmp_path / "no" / "such" / "folder.db")


def test_free_space_is_given_back_in_steps(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_VACUUM_PAGES", 4)
    with db.write() as conn:
        conn.execute("CREATE TABLE heap (x)")
        conn.executemany("INSERT INTO heap VALUES (zeroblob(4000))", [()] * 200)
    with db.write() as conn:
        conn.execute("DROP TABLE heap")
    steps = 0
    while vacuum_step(db):
        steps += 1
    assert steps > 10
    assert stats(db).free_bytes < 4096 * 200


def test_housekeeping_stops_when_its_time_is_over(db: Database) -> None:
    fill(db)
    ticks = iter(range(1000))
    keeper = Housekeeper(db, POLICY, elapsed=lambda: float(next(ticks)))
    assert keeper.step(HOUR + 3 * HOUR_S)
    for _ in range(100):
        if not keeper.step(HOUR + 3 * HOUR_S):
            return
    raise AssertionError("it never ends")


def test_rows_of_a_busy_hour_wait_for_their_seal(db: Database) -> None:
    fill(db)
    keeper = Housekeeper(db, POLICY)
    assert not keeper.step(HOUR + HOUR_S)  # the hour is over, but a late round may still come
    with db.read() as conn:
        assert conn.execute("SELECT count(*) FROM card_samples").fetchone() == (54,)
