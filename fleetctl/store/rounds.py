"""Saving what hosts said in one round: one short transaction per batch, however many hosts are in it.

Reports may come late, out of order or twice: rows are keyed (slot, device) and written over, the state of a host only
moves forward. What rarely changes (facts, words, probes, links, processes) is compared in memory and written when it
changed. The slot is the console's clock; a host's own clock is never a key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import repeat
from operator import itemgetter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from fleetctl.errors import StoreError
from fleetctl.model.metric import CORE_METRICS, Metric
from fleetctl.model.report import HostReport
from fleetctl.model.states import Health, Reach
from fleetctl.store.catalogue import KINDS, Steps, list_metrics, register_metrics
from fleetctl.store.database import Database
from fleetctl.store.events import add_event
from fleetctl.store.fleet_slots import FleetSlots
from fleetctl.store.identity import Change, HostMemory, Identities
from fleetctl.store.rarely import MOST_FACTS, note_changes, note_reach, save_rare
from fleetctl.store.recent import Recent
from fleetctl.store.rounding import Rounded, round_column
from fleetctl.store.words import clean, clean_name

_UPDATE_HOST = """
UPDATE hosts
   SET reach_since = CASE WHEN reach = ?1 THEN reach_since ELSE ?2 END,
       reach = ?1, error = ?3, error_text = ?4, report_at = ?2,
       answer_at = CASE WHEN ?5 THEN ?2 ELSE answer_at END,
       values_at = CASE WHEN ?6 THEN ?2 ELSE values_at END,
       slot = ?7, failures = ?8, devices_expected = ifnull(?9, devices_expected)
 WHERE id = ?10
"""

# Most hosts, most rounds: it answered as before.
_UPDATE_TIMES = "UPDATE hosts SET report_at = ?1, answer_at = ?1, values_at = ?1, slot = ?2 WHERE id = ?3"

_Key = tuple[str, tuple[str, ...]]  # kind, columns
_Batch = dict[_Key, tuple[list[int], list[tuple[Any, ...]]]]


class Recorder:
    """The one writer of telemetry of a process; holds what it needs to remember between rounds."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._identities = Identities()
        self._fleet = FleetSlots()
        self.recent = Recent()
        self._steps: dict[tuple[str, str], Steps] = {}
        self._statements: dict[_Key, str] = {}
        self._strangers: set[tuple[str, str]] = set()

    def register(self, metrics: Iterable[Metric]) -> None:
        """Give metrics of plugins their columns. Raises StoreError for one that cannot be stored."""
        with self._db.write() as conn:
            register_metrics(conn, metrics)
        self._steps.clear()

    def save(self, slot: int, reports: Iterable[HostReport]) -> None:
        """Save the reports of one round (slot: epoch seconds, console clock, floored to the round)."""
        if not 0 <= slot < 2**40:
            raise StoreError(f"a round at {slot} s cannot be stored", hint="check the clock of this machine")
        try:
            with self._db.write() as conn:
                self._save(conn, int(slot), reports)
        except BaseException:
            self._forget()  # ids and totals of what was rolled back
            raise

    def _forget(self) -> None:
        self._identities.forget()
        self._fleet.forget()
        self.recent.forget()
        self._steps.clear()
        self._strangers.clear()

    def _save(self, conn: sqlite3.Connection, slot: int, reports: Iterable[HostReport]) -> None:
        if not self._steps:
            self._load_steps(conn)
        batch: _Batch = {}
        hosts: list[tuple[Any, ...]] = []
        as_before: list[tuple[int, int, int]] = []
        for report in reports:
            memory = self._identities.host(conn, report, slot)
            changes: list[Change] = []
            first_time = memory.slot < 0
            for block in report.blocks:
                if block.kind not in KINDS:
                    continue
                if not block.devices and any(b.devices for b in report.blocks if b.kind == block.kind):
                    continue  # one of several sources found nothing; which of the devices were its own is unknown
                ids = self._identities.block(conn, memory, block, slot, changes)
                held = batch.get((block.kind, block.columns))
                if held is None:
                    held = batch[block.kind, block.columns] = ([], [])
                held[0].extend(ids)
                held[1].extend(block.rows)
                if len(held[0]) != len(held[1]):  # a parser's mistake: what is surplus belongs to nobody
                    fit = min(len(ids), len(block.rows))
                    del held[0][len(held[0]) - len(ids) + fit :]
                    del held[1][len(held[1]) - len(block.rows) + fit :]
                if block.states:
                    self._save_states(conn, memory, report, block.kind, block.states)
            at = int(report.at)
            if changes and not first_time:
                note_changes(conn, memory, at, changes)
            late = slot < memory.slot or (slot == memory.slot and at < memory.report_at)
            save_rare(conn, memory, report, late)
            if not late:
                if (
                    report.reach is Reach.FRESH
                    and memory.is_well
                    and report.blocks
                    and (report.devices_expected in (None, memory.expected))
                ):
                    memory.slot, memory.report_at = slot, at
                    as_before.append((at, slot, memory.id))
                    continue
                note_reach(conn, memory, report, at, first_time)
                hosts.append(_host_row(memory, report, slot, at))
        for (kind, columns), (ids, rows) in batch.items():
            self._save_rows(conn, slot, kind, columns, ids, rows)
        conn.executemany(_UPDATE_HOST, hosts)
        conn.executemany(_UPDATE_TIMES, as_before)

    def _load_steps(self, conn: sqlite3.Connection) -> None:
        register_metrics(conn, CORE_METRICS)
        self._steps = {(m.of, m.name): Steps.of(m.step) for m in list_metrics(conn)}
        self._statements.clear()

    def _save_rows(
        self,
        conn: sqlite3.Connection,
        slot: int,
        kind: str,
        names: tuple[str, ...],
        ids: list[int],
        rows: list[tuple[Any, ...]],
    ) -> None:
        if not rows:
            return
        columns: dict[str, Rounded] = {}
        for name, column in zip(names, _columns(rows, len(names)), strict=True):
            steps = self._steps.get((kind, name))
            if steps is None:
                self._note_stranger(conn, slot, kind, name)
            elif name not in columns:
                columns[name] = round_column(column, steps)
        if not columns:
            return
        where = np.array(ids, dtype=np.int64)
        values: Iterable[tuple[Any, ...]] = zip(repeat(slot), ids, *(c.values for c in columns.values()), strict=False)
        if len(where) > 1 and not bool((np.diff(where) > 0).all()):
            values = sorted(values, key=itemgetter(1))  # appending in key order is what makes a round cheap
        if int(where.min()) < 0:
            values = [one for one in values if one[1] >= 0]
            kept = where >= 0
            where = where[kept]
            columns = {name: _keep(column, kept) for name, column in columns.items()}
            if not len(where):
                return
        self._fleet.begin(conn, kind, slot)
        self.recent.begin(conn, kind, slot)
        conn.executemany(self._statement(kind, tuple(columns)), values)
        self._fleet.add(conn, kind, slot, where, columns)
        self.recent.add(kind, slot, where, columns)
        conn.execute("UPDATE seals SET dirty = 1 WHERE kind = ? AND hour = ? AND dirty = 0", (kind, slot - slot % 3600))
        for name, rounded in columns.items():
            if rounded.refused:
                text = f"{rounded.refused} values of {kind} {name} in one round are no numbers of a possible size"
                add_event(conn, slot, "store", f"{kind}.{name}", text, severity=Health.WARN)

    def _statement(self, kind: str, names: tuple[str, ...]) -> str:
        statement = self._statements.get((kind, names))
        if statement is None:
            statement = self._statements[kind, names] = (
                f"INSERT INTO {kind}_samples (slot, device, {', '.join(names)})"
                f" VALUES (?, ?{', ?' * len(names)})"
                f" ON CONFLICT (slot, device) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in names)}"
            )
        return statement

    def _note_stranger(self, conn: sqlite3.Connection, slot: int, kind: str, name: str) -> None:
        if (kind, name) in self._strangers or len(self._strangers) > 1000:
            return
        self._strangers.add((kind, name))
        text = f"{kind} values named {clean_name(name)!r} are not kept: no catalogue declares that metric"
        add_event(conn, slot, "store", f"{kind}.{name}", text, severity=Health.WARN)

    def _save_states(
        self, conn: sqlite3.Connection, memory: HostMemory, report: HostReport, kind: str, states: Any
    ) -> None:
        """Words per device: written, and told as an event, when they change."""
        if report.at < memory.report_at:
            return
        for key, words in states.items():
            device = memory.ids.get((kind, clean_name(key) or "?"))
            if device is None:
                continue
            before = memory.states.get(device, {})
            if before == words:
                continue
            memory.states[device] = dict(words)
            for name, word in list(words.items())[:MOST_FACTS]:
                if before.get(name) != word:
                    name, word = clean_name(name) or "", clean_name(str(word)) or ""
                    conn.execute(
                        "INSERT OR REPLACE INTO device_states (device, name, word, since) VALUES (?, ?, ?, ?)",
                        (device, name, word, int(report.at)),
                    )
                    if name in before:
                        text = f"{name}: {before[name]} -> {word}"
                        add_event(conn, int(report.at), "state", name, text, host=memory.id, device=device)
            for name in before.keys() - words.keys():
                conn.execute("DELETE FROM device_states WHERE device = ? AND name = ?", (device, name))


_RECORDERS: WeakKeyDictionary[Database, Recorder] = WeakKeyDictionary()


def recorder_of(db: Database) -> Recorder:
    """The recorder of a database opened for writing; one per Database object."""
    recorder = _RECORDERS.get(db)
    if recorder is None:
        recorder = _RECORDERS[db] = Recorder(db)
    return recorder


def save_reports(db: Database, slot: int, reports: Iterable[HostReport]) -> None:
    """Save a batch of reports of one round in one transaction. Late, repeated and unordered reports are welcome.

    slot: epoch seconds of the round by the console's clock. Raises the StoreErrors; then nothing of the batch is kept.
    """
    recorder_of(db).save(slot, reports)


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    """Rows turned into columns; a row of another width than it should have is filled up or cut."""
    try:
        columns = list(zip(*rows, strict=True))
        if len(columns) == width:
            return columns
    except ValueError:  # they differ among themselves
        pass
    return list(zip(*((*row, *repeat(None, width))[:width] for row in rows), strict=True))


def _keep(column: Rounded, kept: Any) -> Rounded:
    known = None if column.known is None else column.known[kept]
    return Rounded(column.values, column.steps[kept], known, column.factor, column.refused)


def _host_row(memory: HostMemory, report: HostReport, slot: int, at: int) -> tuple[Any, ...]:
    """Parameters of _UPDATE_HOST; brings the memory up to date."""
    answered = report.reach in (Reach.FRESH, Reach.HUNG)
    memory.slot, memory.report_at, memory.reach = slot, at, report.reach.value
    memory.failures = 0 if answered else memory.failures + 1
    memory.error = None if report.error is None else report.error.value
    memory.error_text = clean(report.error_text) if report.error_text else ""
    memory.expected = report.devices_expected
    memory.is_well = report.reach is Reach.FRESH and report.error is None and not memory.error_text
    return (
        memory.reach,
        at,
        memory.error,
        memory.error_text,
        answered,
        bool(report.blocks),
        slot,
        memory.failures,
        report.devices_expected,
        memory.id,
    )
