"""What SQLite and the file system say when something is wrong, in our words and with the next step."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from fleetctl.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreReadOnlyError,
)

# POSIX locks are late or missing there, and a write-ahead log needs memory shared between processes.
_NETWORK_DISKS = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "ocfs2", "gfs2",
    "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.cephfs", "fuse.beegfs", "fuse.juicefs",
}  # fmt: skip

_ERRORS: dict[int, tuple[type[StoreError], str, str]] = {
    sqlite3.SQLITE_BUSY: (
        StoreBusyError,
        "another process holds the database",
        "try again; `fleetctl engine status` says who writes",
    ),
    sqlite3.SQLITE_LOCKED: (StoreBusyError, "another thread holds the database", "try again"),
    sqlite3.SQLITE_READONLY: (
        StoreReadOnlyError,
        "the database cannot be written",
        "check the rights of the file and of its folder; a WAL database needs both",
    ),
    sqlite3.SQLITE_PERM: (StoreReadOnlyError, "no right to open the database", "check the rights of the file"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreReadOnlyError,
        "the database cannot be opened",
        "check that its folder exists and may be written by this user",
    ),
    sqlite3.SQLITE_FULL: (
        StoreReadOnlyError,
        "no room left for the database",
        "free disk space or lower store.chunk_days; nothing committed is lost",
    ),
    sqlite3.SQLITE_IOERR: (
        StoreReadOnlyError,
        "the disk refused a read or a write",
        "check free space, quota and the kernel log; nothing committed is lost",
    ),
    sqlite3.SQLITE_CORRUPT: (
        StoreCorruptError,
        "the database is damaged",
        "stop the engine, then `fleetctl db check`; restore the last `fleetctl db backup`",
    ),
    sqlite3.SQLITE_NOTADB: (
        StoreCorruptError,
        "this file is not an SQLite database",
        "set store.path to another file, or move this one away",
    ),
}


@contextlib.contextmanager
def store_errors(path: Path, *, files: bool = False) -> Iterator[None]:
    """Turn sqlite3's errors raised inside into StoreError and its kinds, with a hint; files: those of the OS too."""
    try:
        yield
    except sqlite3.Error as error:
        raise as_store_error(error, path) from error
    except PermissionError as error:
        if not files:
            raise
        raise StoreReadOnlyError(
            f"{path}: {error.strerror}", hint="check the rights of the file and of its folder"
        ) from error
    except OSError as error:
        if not files:
            raise  # about a file of whoever uses the store
        raise StoreError(f"{path}: {error.strerror or error}", hint="check store.path") from error


def as_store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """Our error for one of SQLite's; programming errors stay what they are."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return StoreError(f"{path}: {error}")
    kind, what, hint = _ERRORS.get(code & 0xFF, (StoreError, "the database refused", ""))
    return kind(f"{path}: {what} ({error})", hint=hint)


def network_disk(path: Path, mounts: str | None = None) -> str | None:
    """Type of the network file system that holds the path, or None. mounts: text of /proc/self/mountinfo."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
        except OSError:
            return None  # not Linux: the journal mode tells instead
    target = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4])
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind if kind in _NETWORK_DISKS else None


def refuse_network_disk(path: Path) -> None:
    """Raise StoreError when the path lies on a network file system."""
    kind = network_disk(path)
    if kind is not None:
        raise StoreError(
            f"{path} lies on a network file system ({kind}), where SQLite's locks and log are not safe",
            hint="set store.path to a file on a local disk",
        )
