"""Two processes on one file, and processes that die: what was committed stays, readers never wait."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetctl.errors import StoreBusyError
from fleetctl.store import Database
from fleetctl.store.events import append_event, list_events
from fleetctl.store.series import read_series
from fleetctl.store.upkeep import backup, check

WRITER = Path(__file__).with_name("writer.py")


@contextmanager
def writer(path: Path, *words: int) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, str(WRITER), str(path), *map(str, words)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    assert line, "the writer ended"
    return line


def values_of(path: Path) -> set[int]:
    with Database.open(path, write=False) as db, db.read() as conn:
        devices = [number for (number,) in conn.execute("SELECT id FROM devices")]
        series = [{p.at for p in read_series(conn, n, "temp_c", 0, 2**40)} for n in devices]
        assert all(one == series[0] for one in series), "a round is there in part"
        for point in read_series(conn, devices[-1], "temp_c", 0, 2**40):
            assert point.value == point.at % 1000
        return series[0]


def test_sigkill_at_any_moment_loses_nothing_committed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    luck = random.Random(7)
    committed: set[int] = set()
    for _ in range(6):
        with writer(path, 12) as child:
            for _ in range(luck.randrange(5, 60)):
                committed.add(int(said(child)))
            os.kill(child.pid, signal.SIGKILL)
            assert child.stdout is not None
            committed.update(int(line) for line in child.stdout.read().split("\n")[:-1])
        kept = values_of(path)
        assert committed <= kept
        assert len(kept) <= len(committed) + 6  # committed, but killed before it could say so
        with Database.open(path, write=False) as db:
            assert check(db) == []


def test_notes_of_a_second_process_and_readers_beside_a_busy_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with writer(path, 100) as child:
        said(child)
        with Database.open(path, write=True) as mine, Database.open(path, write=False) as viewer:
            seen = {0}
            for n in range(40):
                if n % 8 == 0:
                    while int(said(child)) <= max(seen):  # both go on at the same time
                        pass
                with mine.write(durable=True) as conn:
                    append_event(conn, n * 10_000, "operator", f"note {n}", "drained by hand")
                with viewer.read() as conn:
                    seen.add(conn.execute("SELECT max(slot) FROM hosts").fetchone()[0])
                    assert conn.execute("SELECT count(*) % 800 FROM card_samples").fetchone() == (0,)
            backup(viewer, tmp_path / "copy.db")
            with viewer.read() as conn:
                assert len(list_events(conn, kinds=("operator",))) == 40
        assert len(seen) > 5
        said(child)
    with Database.open(tmp_path / "copy.db", write=False) as copy:
        assert check(copy) == []


def test_the_loser_of_the_lock_says_who_to_ask(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Database.open(path, write=True).close()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from fleetctl.store import Database\n"
            "with Database.open(sys.argv[1], write=True) as db, db.write():\n"
            "    print('held', flush=True); sys.stdin.read()",
            str(path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert said(holder) == "held"
        with Database.open(path, write=False) as viewer, viewer.read() as conn:
            assert list_events(conn) == []
        with Database.open(path, write=True, busy_timeout_s=0.05) as db, pytest.raises(StoreBusyError):
            note(db)
    finally:
        holder.communicate("")
    with Database.open(path, write=True) as db:
        note(db)


def note(db: Database) -> None:
    with db.write() as conn:
        append_event(conn, 1, "operator", "x", "y")


def test_a_disk_that_fills_up_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with writer(path, 50, 100_000, 3_000_000) as child:  # the kernel refuses to let a file grow beyond 3 MB
        assert child.stdout is not None
        *slots, last = child.stdout.read().split("\n")[:-1]
    assert last.startswith("StoreReadOnlyError: ")
    assert "nothing committed is lost" in last
    assert len(slots) > 3
    assert values_of(path) == {int(slot) for slot in slots}
    with writer(path, 50, 3) as child:  # there is room again
        assert [int(said(child)) for _ in range(3)] == [int(slots[-1]) + 60 * n for n in (1, 2, 3)]
