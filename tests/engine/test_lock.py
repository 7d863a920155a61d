"""One engine per database; a crash frees the lock."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fleetctl.engine import child
from fleetctl.engine.lock import EngineLock, is_running, lock_path
from fleetctl.errors import ConflictError, FleetctlError, StoreReadOnlyError

HOLD = """
import sys, pathlib
from fleetctl.engine.lock import EngineLock
with EngineLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(database: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_second_engine_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    database = tmp_path / "fleet.db"
    assert not is_running(database)
    with holder(database) as child:
        assert is_running(database)
        with pytest.raises(ConflictError, match=f"pid {child.pid}"), EngineLock(database):
            pass
        child.communicate("")
    assert not is_running(database)


def test_a_killed_engine_frees_the_lock(tmp_path: Path) -> None:
    database = tmp_path / "fleet.db"
    with holder(database) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    with EngineLock(database):
        assert is_running(database)


def test_a_glance_that_takes_long_keeps_no_engine_out(tmp_path: Path) -> None:
    """Who asks whether an engine runs may be stopped in the middle of it by a busy machine."""
    database = tmp_path / "fleet.db"
    with EngineLock(database):
        pass
    glance = os.open(lock_path(database), os.O_RDONLY)
    fcntl.flock(glance, fcntl.LOCK_SH)
    goes_on = threading.Timer(0.3, os.close, (glance,))
    goes_on.start()
    with EngineLock(database):
        assert is_running(database)
    goes_on.join()


SLOW_START = """
import sqlite3, sys, time
from pathlib import Path
import os
from fleetctl.engine.lock import EngineLock
from fleetctl.store.database import Database
from fleetctl.store.engine_row import save_engine_start
path = Path(sys.argv[1])
with EngineLock(path):
    sqlite3.connect(path).execute("PRAGMA journal_mode = WAL")
    time.sleep(0.5)
    with Database.open(path, write=True) as db:
        with db.write() as conn:
            save_engine_start(conn, os.getpid(), "here", "0", 1)
        sys.stdin.read()
"""


def test_a_started_engine_has_a_store_that_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "fleet.db"
    monkeypatch.setattr(child, "engine_command", lambda config: [sys.executable, "-c", SLOW_START, str(database)])
    assert not child.is_readable(database)
    started = child.ensure_engine(database, None, follow=True)
    assert started is not None
    try:
        child.wait_until_running(started, database)
        assert child.is_readable(database)
    finally:
        started.communicate()


def test_an_engine_that_ends_at_once_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "engine_command", lambda config: [sys.executable, "-c", "raise SystemExit('no room')"])
    started = child.ensure_engine(tmp_path / "fleet.db", None, follow=False)
    assert started is not None
    with pytest.raises(FleetctlError, match="no room"):
        child.wait_until_running(started, tmp_path / "fleet.db")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreReadOnlyError), EngineLock(tmp_path / "file" / "fleet.db"):
        pass


def test_the_log_of_an_engine_is_never_open_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "engine_command", lambda config: [sys.executable, "-c", "print('up')"])
    before = os.umask(0)
    try:
        started = child.ensure_engine(tmp_path / "fleet.db", None, follow=False)
    finally:
        os.umask(before)
    assert started is not None
    assert started.wait(600) == 0
    log = child.log_path(tmp_path / "fleet.db")
    assert log.stat().st_mode & 0o777 == 0o640
    assert log.read_text() == "up\n"


def test_a_long_log_begins_anew_and_the_engine_writes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import pathlib, sys\nfrom fleetctl.engine.child import bound_log\n"
        "print('x' * 100, file=sys.stderr, flush=True)\n"
        f"path = pathlib.Path({str(tmp_path / 'fleet.db')!r})\n"
        "print(bound_log(path, 1000), bound_log(path, 50), file=sys.stderr, flush=True)\n"
    )
    monkeypatch.setattr(child, "engine_command", lambda config: [sys.executable, "-c", code])
    started = child.ensure_engine(tmp_path / "fleet.db", None, follow=False)
    assert started is not None
    assert started.wait(600) == 0
    log = child.log_path(tmp_path / "fleet.db")
    assert log.read_text() == "False True\n"
    assert log.with_name(log.name + ".1").read_text() == "x" * 100 + "\n"


def test_a_log_of_others_is_left_alone(tmp_path: Path) -> None:
    log = child.log_path(tmp_path / "fleet.db")
    log.write_text("x" * 100)
    assert not child.bound_log(tmp_path / "fleet.db", 10)
    assert log.read_text() == "x" * 100
