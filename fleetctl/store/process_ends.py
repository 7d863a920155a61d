"""Processes that drains with an end ask to go: who is due, and which process exactly was told what."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from fleetctl.store.capacity import is_work


class EndState(StrEnum):
    FOUND = "found"  # named exactly; nothing was sent yet
    TOLD = "told"  # TERM was sent
    KILLED = "killed"  # KILL was sent; it has not gone yet
    REFUSED = "refused"  # the host does not let us; tried again
    GONE = "gone"
    LEFT = "left"  # the drain was taken back, or it is not on a card any more


OPEN = (EndState.FOUND, EndState.TOLD, EndState.KILLED, EndState.REFUSED)


@dataclass(frozen=True, slots=True)
class DueProcess:
    """A process on a card whose drain says that work is ended now. card: "" for a drain of the whole node; seen_at:
    it was there then (console clock); seen_up_s: the same by its host's uptime; version: of the node's or card's wish."""

    host: str
    card: str
    plan: str
    version: int
    pid: int
    device: str
    name: str | None
    user: str | None
    seen_at: int
    seen_up_s: float | None


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """One process, named so that no other is ever taken for it. started: ticks after that boot."""

    plan: str
    host: str
    card: str
    boot_id: str
    pid: int
    started: int
    user: str
    command: str
    state: EndState
    found_at: int
    changed_at: int
    note: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        return self.boot_id, self.pid, self.started


_IS_DUE = "{0}.mode <> 'wait' AND {0}.deadline_at <= ? AND {0}.wish IN ('drain', 'maint', 'rma', 'retire')"


def list_due_processes(conn: sqlite3.Connection, now: int, ignored: Collection[str] = ()) -> list[DueProcess]:
    """Processes on nodes and cards whose drain is past its deadline, by host and number. now: epoch seconds."""
    where, names = is_work(conn, ignored)
    rows = conn.execute(
        "SELECT a.host, '', COALESCE(a.plan, ''), a.version, p.pid, p.device, p.name, p.user, p.at, p.up_s"
        " FROM node_admin a JOIN hosts h ON h.name = a.host JOIN processes p ON p.host = h.id"
        f" WHERE {_IS_DUE.format('a')} AND {where}"
        " UNION ALL SELECT c.host, c.card, COALESCE(c.plan, ''), c.version, p.pid, p.device, p.name, p.user, p.at, p.up_s"
        " FROM card_admin c JOIN hosts h ON h.name = c.host JOIN processes p ON p.host = h.id AND p.device = c.card"
        f" WHERE {_IS_DUE.format('c')} AND {where} ORDER BY 1, 5, 2",
        (now, *names, now, *names),
    )
    return [DueProcess(*row) for row in rows]


def list_process_ends(
    conn: sqlite3.Connection, *, host: str = "", plan: str = "", only_open: bool = True
) -> list[ProcessEnd]:
    """Processes that were named, by host and number; of one host or plan where it is given."""
    where = "state IN ('found', 'told', 'killed', 'refused')" if only_open else "1"
    rows = conn.execute(
        "SELECT plan, host, card, boot_id, pid, started, user, command, state, found_at, changed_at, note"
        f" FROM process_end WHERE {where} AND (?1 = '' OR host = ?1) AND (?2 = '' OR plan = ?2) ORDER BY host, pid, plan",
        (host, plan),
    )
    return [
        ProcessEnd(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], EndState(r[8]), r[9], r[10], r[11]) for r in rows
    ]


def insert_process_ends(conn: sqlite3.Connection, found: Iterable[ProcessEnd]) -> None:
    """Keep what was found. One that was left alone and is wanted again is open again; one that is open stays so."""
    conn.executemany(
        "INSERT INTO process_end (plan, host, card, boot_id, pid, started, user, command, state, found_at, changed_at, note)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET state = excluded.state,"
        " changed_at = excluded.changed_at, note = '' WHERE process_end.state IN ('left', 'gone')",
        [
            (
                *(p.plan, p.host, p.card, p.boot_id, p.pid, p.started, p.user, p.command, p.state.value),
                *(p.found_at, p.changed_at, p.note),
            )
            for p in found
        ],
    )


def forget_processes(conn: sqlite3.Connection, host: str, pids: Iterable[int]) -> None:
    """Take processes that have ended off the list of who holds the cards of a host."""
    conn.executemany(
        "DELETE FROM processes WHERE pid = ? AND host = (SELECT id FROM hosts WHERE name = ?)",
        [(p, host) for p in pids],
    )


def set_process_end(conn: sqlite3.Connection, end: ProcessEnd, state: EndState, at: int, note: str = "") -> bool:
    """Compare-and-set on the state that was seen; False when it was moved on meanwhile."""
    done = conn.execute(
        "UPDATE process_end SET changed_at = CASE state WHEN ?1 THEN changed_at ELSE ?2 END, state = ?1, note = ?3"
        " WHERE plan = ?4 AND host = ?5 AND boot_id = ?6 AND pid = ?7 AND started = ?8 AND state = ?9",
        (state.value, at, note[:500], end.plan, end.host, *end.key, end.state.value),
    )
    return done.rowcount == 1
