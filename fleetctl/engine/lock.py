"""Who may poll and act: whoever holds an flock beside the database. A crash frees it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from fleetctl.errors import ConflictError, StoreReadOnlyError

_GLANCES = 500  # ten seconds of them


def lock_path(database: Path) -> Path:
    """The lock file of a database."""
    return database.with_name(database.name + ".engine")


class EngineLock:
    """Held while this process is the engine of a database.

    Raises ConflictError when another process holds it, naming its pid.
    """

    def __init__(self, database: Path) -> None:
        self._path = lock_path(database)
        self._fd = -1

    def __enter__(self) -> EngineLock:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)  # its readers may ask
        except OSError as error:
            raise StoreReadOnlyError(
                f"{self._path}: {error.strerror}", hint="choose another place: store.path in fleet.toml"
            ) from error
        try:
            _lock(fd)
        except OSError as error:
            pid = os.pread(fd, 32, 0).decode(errors="replace").strip() or "?"
            os.close(fd)
            raise ConflictError(
                f"an engine runs already (pid {pid})", hint="`fleetctl engine status` shows what it does"
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)  # closing frees the lock; the file stays, so that nobody locks a deleted one


def _lock(fd: int) -> None:
    """Take it at once, or when the glances of `is_running` of other processes have passed, however long the machine
    keeps those from going on. Raises OSError: an engine holds it."""
    for _ in range(_GLANCES):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # a glance lets us glance, too; an engine does not
        fcntl.flock(fd, fcntl.LOCK_UN)
        time.sleep(0.02)
    return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_running(database: Path) -> bool:
    """Whether some process holds the lock now."""
    try:
        fd = os.open(lock_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
