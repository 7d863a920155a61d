"""Starting an engine beside us: the console and `fleetctl engine start` run it as a child of its own session."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from fleetctl.engine.lock import is_running, lock_path
from fleetctl.errors import FleetctlError, NotFoundError
from fleetctl.store.database import Database
from fleetctl.store.engine_row import engine_row

_START_WAIT_S = 60.0
_LOG_BYTES = 16 << 20


def log_path(database: Path) -> Path:
    """Where a started engine writes what it has to say."""
    return database.with_name(database.name + ".log")


def bound_log(database: Path, limit: int = _LOG_BYTES) -> bool:
    """Move a log above the limit to `.log.1` and begin anew; True when that was done.

    Only the process whose stderr is this file may ask: it appends, so after the cut its next line is the first.
    """
    path = log_path(database)
    try:
        mine = os.path.samestat(os.fstat(sys.stderr.fileno()), path.stat())
        if not mine or path.stat().st_size <= limit:
            return False
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)
    except (OSError, ValueError):  # no log, no stderr, a full disk: the engine goes on
        return False
    return True


def engine_command(config: Path | None) -> list[str]:
    """The command line that runs the engine in its own process."""
    where = ["--config", str(config)] if config is not None else []
    return [sys.executable, "-m", "fleetctl", *where, "engine", "run"]


def ensure_engine(database: Path, config: Path | None, *, follow: bool) -> subprocess.Popen[bytes] | None:
    """Start an engine unless one runs. Returns its process, or None when another already polls.

    follow: it ends when its standard input ends, which is when we end, however we end. Otherwise it stays.
    """
    if is_running(database):
        return None
    database.parent.mkdir(parents=True, exist_ok=True)
    command = engine_command(config) + (["--follow"] if follow else [])
    with open(log_path(database), "ab", opener=_private) as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE if follow else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _private(path: str, flags: int) -> int:
    """Open for the owner and the group of the database's readers: nodes, tenants and reasons stand in the log."""
    return os.open(path, flags, 0o640)


def is_readable(database: Path) -> bool:
    """Whether the store can be read now: it is there, whole, and of our schema."""
    try:
        Database.open(database, write=False).close()
    except FleetctlError:
        return False
    return True


def wait_until_running(child: subprocess.Popen[bytes], database: Path) -> None:
    """Return once the child has opened its store: a new or older one it brings up to date first. One that takes very
    long is left to it. Raises FleetctlError with its last words when it ended instead."""
    deadline = time.monotonic() + _START_WAIT_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            words = log_path(database).read_text(errors="replace").strip().splitlines()
            raise FleetctlError(
                f"the engine ended at once: {words[-1] if words else f'exit {child.returncode}'}",
                hint=f"all it said: {log_path(database)}",
            )
        if is_running(database) and _has_begun(child.pid, database):
            return
        time.sleep(0.05)
    if not is_running(database):
        raise FleetctlError("the engine did not start in time", hint=f"see {log_path(database)}")


def _has_begun(pid: int, database: Path) -> bool:
    if not database.with_name(database.name + "-wal").exists():
        return False  # a reader would be in its way while it turns a new file into one with a log
    try:
        with Database.open(database, write=False) as db, db.read() as conn:
            row = engine_row(conn)
    except FleetctlError:
        return False
    return row is not None and row.pid == pid


def stop_engine(database: Path, timeout_s: float = 60.0) -> int:
    """Ask the running engine to stop and wait for it; returns its pid. Raises NotFoundError when none runs."""
    if not is_running(database):
        raise NotFoundError("no engine runs", hint="`fleetctl engine start` starts one")
    pid = int(lock_path(database).read_text().strip() or "0")
    if pid <= 1:
        raise FleetctlError("the engine's pid is not known", hint="end it by hand")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while is_running(database):
        if time.monotonic() > deadline:
            raise FleetctlError(f"the engine (pid {pid}) did not stop in {timeout_s:.0f} s", hint=f"kill {pid}")
        time.sleep(0.05)
    return pid
