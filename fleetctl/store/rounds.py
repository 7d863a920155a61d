"""Saving what hosts said in one round: one short transaction per batch, however many hosts are in it.

Reports may come late, out of order or twice: rows are keyed (slot, device) and written over, the state of a host only
moves forward. What rarely changes (facts, words, probes, links, processes) is compared in memory and written when it
changed. The slot is the console's clock; a host's own clock is never a key.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from fleetctl.errors import StoreError
from fleetctl.model.metric import CORE_METRICS, Metric
from fleetctl.model.probe import Outcome
from fleetctl.model.report import HostReport
from fleetctl.model.states import Health, Reach
from fleetctl.store.catalogue import KINDS, Steps, list_metrics, register_metrics
from fleetctl.store.database import Database
from fleetctl.store.events import add_event
from fleetctl.store.fleet_slots import FleetSlots
from fleetctl.store.identity import Change, HostMemory, Identities
from fleetctl.store.recent import Recent
from fleetctl.store.rounding import Rounded, round_column
from fleetctl.store.words import clean, clean_name

_FACTS = 200  # facts, states, probes, processes and links kept per host
_LINKS = 4096
_BAD = {Reach.UNREACHABLE, Reach.HUNG}

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
                _note_changes(conn, memory, at, changes)
            late = slot < memory.slot or (slot == memory.slot and at < memory.report_at)
            _save_rare(conn, memory, report, late)
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
                _note_reach(conn, memory, report, at, first_time)
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
            for name, word in list(words.items())[:_FACTS]:
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


def _note_reach(conn: sqlite3.Connection, memory: HostMemory, report: HostReport, at: int, first_time: bool) -> None:
    if memory.reach == report.reach.value and not first_time:
        return
    if first_time and report.reach is Reach.FRESH:
        return  # the ordinary beginning is no event
    bad = report.reach in _BAD
    error = f" ({report.error.value})" if report.error is not None else ""
    text = f"{memory.reach or 'unknown'} -> {report.reach.value}{error}: {report.error_text}".rstrip(": ")
    severity = Health.CRIT if bad else Health.WARN if report.reach is not Reach.FRESH else Health.OK
    add_event(conn, at, "reach", report.reach.value, text, host=memory.id, severity=severity)


def _note_changes(conn: sqlite3.Connection, memory: HostMemory, at: int, changes: Sequence[Change]) -> None:
    for change in changes:
        what = "new" if change.first else "back" if change.came else "gone"
        severity = Health.OK if change.came else Health.WARN
        add_event(
            conn, at, "device", what, f"{change.key} {what}", host=memory.id, device=change.device, severity=severity
        )


def _save_rare(conn: sqlite3.Connection, memory: HostMemory, report: HostReport, late: bool) -> None:
    """What is written only when it changed. Faults are kept even from a late report: they happened."""
    at = int(report.at)
    for fault in report.faults[:1000]:
        device = _device_of(memory, fault.device)
        meaning = f" ({fault.meaning})" if fault.meaning else ""
        add_event(
            conn,
            at,
            "fault",
            f"{fault.vendor} {fault.family} {fault.code}",
            f"{fault.text}{meaning}",
            host=memory.id,
            device=device,
            severity=Health.OK if fault.action is None or fault.action.value == "observe" else Health.CRIT,
            count=fault.count,
            source_at=fault.at,
        )
    if late:
        return
    if report.facts and report.facts is not memory.facts and report.facts != memory.facts:
        memory.facts = report.facts
        facts = {clean_name(k): clean(str(v), 500) for k, v in list(report.facts.items())[:_FACTS]}
        conn.execute(
            "INSERT OR REPLACE INTO host_facts (host, at, facts) VALUES (?, ?, ?)",
            (memory.id, at, json.dumps(facts, ensure_ascii=False, sort_keys=True)),
        )
    for state in report.probes[:_FACTS]:
        if memory.probes.get(state.probe) != (state.outcome.value, state.text):
            _save_probe(conn, memory, state, at)
    if report.findings and report.findings != memory.findings:
        for finding in report.findings[:50]:
            place = f"line {finding.line}: " if finding.line is not None else ""
            raw = f" | {finding.raw}" if finding.raw else ""
            text = f"{place}{finding.text}{raw}"
            add_event(conn, at, "probe", finding.kind.value, text, host=memory.id, severity=Health.WARN)
    memory.findings = report.findings
    if report.processes is not None and report.processes is not memory.processes:
        _save_processes(conn, memory, report, at)
    if report.links is not None and report.links is not memory.links and report.links != memory.links:
        _save_links(conn, memory, report, at)


def _device_of(memory: HostMemory, word: str | None) -> int | None:
    """Row id of the device a fault names by key, PCI address or index; None when it fits none or several."""
    if word is None:
        return None
    for kind in ("card", "sensor"):
        if (kind, word) in memory.ids:
            return memory.ids[kind, word]
    found = {n for n, d in memory.described.items() if d.kind == "card" and word in (d.pci, d.index, d.uuid, d.serial)}
    return found.pop() if len(found) == 1 else None


def _save_probe(conn: sqlite3.Connection, memory: HostMemory, state: Any, at: int) -> None:
    before = memory.probes.get(state.probe)
    memory.probes[state.probe] = (state.outcome.value, state.text)
    name = clean_name(state.probe) or "?"
    since = int(state.since) if state.since is not None else at
    conn.execute(
        """
        INSERT INTO probe_states (host, probe, outcome, duration_s, text, since)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (host, probe) DO UPDATE
           SET since = CASE WHEN outcome = ?3 THEN since ELSE ?6 END, outcome = ?3, duration_s = ?4, text = ?5
        """,
        (memory.id, name, state.outcome.value, state.duration_s, clean(state.text), since),
    )
    if (before is not None and before[0] != state.outcome.value) or (before is None and state.outcome is Outcome.HUNG):
        severity = Health.OK if state.outcome is Outcome.DONE else Health.WARN
        text = f"{name}: {before[0] if before else 'unknown'} -> {state.outcome.value} {clean(state.text, 200)}"
        add_event(conn, at, "probe", name, text.rstrip(), host=memory.id, severity=severity)


def _save_processes(conn: sqlite3.Connection, memory: HostMemory, report: HostReport, at: int) -> None:
    """Who holds the cards. Small movements of memory are not worth a write in every round."""
    assert report.processes is not None
    rough = {(p.pid, p.device, p.name, p.user, (p.mem_used_bytes or 0) >> 28) for p in report.processes[:_LINKS]}
    if rough == memory.processes:
        return
    memory.processes = rough
    conn.execute("DELETE FROM processes WHERE host = ?", (memory.id,))
    conn.executemany(
        "INSERT OR REPLACE INTO processes (host, pid, device, name, user, mem_used_bytes, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (memory.id, p.pid, clean_name(p.device), clean_name(p.name), clean_name(p.user), p.mem_used_bytes, at)
            for p in report.processes[:_LINKS]
        ],
    )


def _save_links(conn: sqlite3.Connection, memory: HostMemory, report: HostReport, at: int) -> None:
    assert report.links is not None
    memory.links = report.links
    conn.execute("DELETE FROM links WHERE device IN (SELECT id FROM devices WHERE host = ?)", (memory.id,))
    rows = []
    for link in report.links[:_LINKS]:
        device = _device_of(memory, link.device)
        if device is not None:
            up = None if link.up is None else int(link.up)
            index, kind, peer = clean_name(link.index), clean_name(link.kind), clean_name(link.peer)
            rows.append((device, index, kind, up, link.speed_gbps, link.errors_total, peer, at))
    conn.executemany(
        "INSERT OR REPLACE INTO links (device, number, kind, up, speed_gbps, errors_total, peer, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
