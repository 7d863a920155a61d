"""What keeps the file healthy while it is written: seal, forget, give space back; check, back up, measure."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleetctl.config.schema import Store as Policy
from fleetctl.errors import StoreCorruptError, StoreError
from fleetctl.store.catalogue import KINDS
from fleetctl.store.database import Database
from fleetctl.store.faults import store_errors
from fleetctl.store.retention import retention_step

_VACUUM_PAGES = 1000  # 4 MB: a few milliseconds
_SPARE_SHARE = 0.2  # free pages below this share of the file are kept: the next rounds fill them


def upkeep_step(db: Database, policy: Policy, now: float) -> bool:
    """One small step of whatever is due; True when there may be more. Call it between rounds until it says False."""
    from fleetctl.store.sealing import seal_step

    return seal_step(db, now) or retention_step(db, policy, now) or vacuum_step(db)


def vacuum_step(db: Database) -> bool:
    """Give some free pages back to the disk when the file has far more than it will need soon."""
    with db.exclusive_connection() as conn:
        free = conn.execute("PRAGMA freelist_count").fetchone()[0]
        pages = conn.execute("PRAGMA page_count").fetchone()[0]
        if free < 10 * _VACUUM_PAGES or free < pages * _SPARE_SHARE:
            return False
        if conn.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
            return False  # a file that was not made by us; it still reuses its free pages
        conn.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")  # execute() would free one page only
        return True


@dataclass(frozen=True, slots=True)
class Stats:
    """Sizes of a store. Bytes are of the file as it lies; samples counts values in rows, chunk_samples in chunks."""

    path: str
    file_bytes: int
    log_bytes: int
    free_bytes: int
    disk_free_bytes: int
    schema: int
    hosts: int
    devices: int
    open_findings: int
    events: int
    oldest_slot: int | None
    newest_slot: int | None
    row_rounds: int
    sealed_hours: int
    open_hours: int
    chunks: int
    chunk_bytes: int
    rollup_bytes: int


def stats(db: Database) -> Stats:
    """Measure the store; reads every chunk's length, so it takes a second per ten million values."""
    from fleetctl.store.samples import slots_between

    with db.read() as conn:

        def one(sql: str) -> int:
            return int(conn.execute(sql).fetchone()[0] or 0)

        page = one("PRAGMA page_size")
        slots = {kind: slots_between(conn, kind, 0, 2**40) for kind in KINDS}
        every = sorted({slot for some in slots.values() for slot in some})
        chunks = chunk_bytes = rollup_bytes = 0
        for kind in KINDS:
            n, size = conn.execute(f"SELECT count(*), ifnull(sum(length(data)), 0) FROM {kind}_chunks").fetchone()
            chunks, chunk_bytes = chunks + n, chunk_bytes + size
            rollup_bytes += one(f"SELECT ifnull(sum(length(data)), 0) FROM {kind}_rollups")
        log = db.path.with_name(db.path.name + "-wal")
        disk = os.statvfs(db.path)
        oldest_hour = conn.execute("SELECT min(hour) FROM seals").fetchone()[0]
        return Stats(
            path=str(db.path),
            file_bytes=one("PRAGMA page_count") * page,
            log_bytes=log.stat().st_size if log.exists() else 0,
            free_bytes=one("PRAGMA freelist_count") * page,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            schema=one("SELECT max(number) FROM migrations"),
            hosts=one("SELECT count(*) FROM hosts"),
            devices=one("SELECT count(*) FROM devices"),
            open_findings=one("SELECT count(*) FROM findings WHERE state <> 'resolved'"),
            events=one("SELECT count(*) FROM events"),
            oldest_slot=oldest_hour if oldest_hour is not None else (every[0] if every else None),
            newest_slot=every[-1] if every else None,
            row_rounds=len(every),
            sealed_hours=one("SELECT count(DISTINCT hour) FROM seals WHERE sealed_at IS NOT NULL AND dirty = 0"),
            open_hours=one("SELECT count(DISTINCT hour) FROM seals WHERE sealed_at IS NULL OR dirty = 1"),
            chunks=chunks,
            chunk_bytes=chunk_bytes,
            rollup_bytes=rollup_bytes,
        )


def check(db: Database, *, quick: bool = False) -> list[str]:
    """What is wrong with the file, one line each; empty when it is whole. quick: leave out indexes and chunks."""
    wrong: list[str] = []
    with db.read() as conn:
        try:
            pragma = "quick_check" if quick else "integrity_check"
            wrong += [line for (line,) in conn.execute(f"PRAGMA {pragma}(100)") if line != "ok"]
            for table, row, parent, _ in conn.execute("PRAGMA foreign_key_check").fetchall()[:100]:
                wrong.append(f"{table}: row {row} points at nothing in {parent}")
            if not quick:
                for kind in KINDS:
                    wrong += _damaged(conn, kind)
        except sqlite3.DatabaseError as error:
            wrong.append(str(error))
    return wrong


def _damaged(conn: sqlite3.Connection, kind: str) -> list[str]:
    from fleetctl.store.matrix import decode_header

    wrong = []
    for table in (f"{kind}_chunks", f"{kind}_rollups"):
        for hour, grp, data in conn.execute(f"SELECT hour, grp, data FROM {table}"):
            try:
                decode_header(data)
            except StoreCorruptError as error:
                wrong.append(f"{table}: hour {hour}, group {grp}: {error}")
                if len(wrong) >= 100:
                    return wrong
    return wrong


def backup(db: Database, target: Path, *, on_page: Callable[[int, int], None] | None = None) -> None:
    """A copy of the running store, as of one moment, without stopping anybody; it appears whole or not at all.

    on_page(left, total) is called while copying. Raises StoreError when the target exists or cannot be written.
    """
    target = Path(target).expanduser()
    if target.exists():
        raise StoreError(f"{target} exists already", hint="give another name, or move it away")
    part = target.with_name(target.name + ".part")
    with store_errors(target, files=True):
        part.unlink(missing_ok=True)
        copy = sqlite3.connect(part, isolation_level=None)
        try:
            with db.read() as conn:
                conn.execute("SELECT 1 FROM sqlite_master").fetchone()  # the snapshot starts here
                # In one go: a backup in steps starts again whenever a round is written in between.
                conn.backup(
                    copy, pages=-1, progress=(lambda _s, left, total: on_page(left, total)) if on_page else None
                )
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, readable from any medium
            copy.close()
            with open(part, "rb") as written:
                os.fsync(written.fileno())
            os.rename(part, target)
        finally:
            copy.close()
            part.unlink(missing_ok=True)
