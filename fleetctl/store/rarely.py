"""What hosts say that rarely changes (reach, devices, facts, faults, probes, processes, links): written when it does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from fleetctl.model.probe import Outcome
from fleetctl.model.report import HostReport
from fleetctl.model.states import Health, Reach
from fleetctl.store.events import add_event
from fleetctl.store.identity import Change, HostMemory
from fleetctl.store.words import clean, clean_name

MOST_FACTS = 200  # facts, states, probes, processes and links kept per host
_LINKS = 4096
_BAD = {Reach.UNREACHABLE, Reach.HUNG}


def note_reach(conn: sqlite3.Connection, memory: HostMemory, report: HostReport, at: int, first_time: bool) -> None:
    """An event when a host becomes reachable, unreachable or hung; at: epoch seconds of the report."""
    if memory.reach == report.reach.value and not first_time:
        return
    if first_time and report.reach is Reach.FRESH:
        return  # the ordinary beginning is no event
    bad = report.reach in _BAD
    error = f" ({report.error.value})" if report.error is not None else ""
    text = f"{memory.reach or 'unknown'} -> {report.reach.value}{error}: {report.error_text}".rstrip(": ")
    severity = Health.CRIT if bad else Health.WARN if report.reach is not Reach.FRESH else Health.OK
    add_event(conn, at, "reach", report.reach.value, text, host=memory.id, severity=severity)


def note_changes(conn: sqlite3.Connection, memory: HostMemory, at: int, changes: Sequence[Change]) -> None:
    """An event per device that came, came back or went."""
    for change in changes:
        what = "new" if change.first else "back" if change.came else "gone"
        severity = Health.OK if change.came else Health.WARN
        add_event(
            conn, at, "device", what, f"{change.key} {what}", host=memory.id, device=change.device, severity=severity
        )


def save_rare(conn: sqlite3.Connection, memory: HostMemory, report: HostReport, late: bool) -> None:
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
        facts = {clean_name(k): clean(str(v), 500) for k, v in list(report.facts.items())[:MOST_FACTS]}
        conn.execute(
            "INSERT OR REPLACE INTO host_facts (host, at, facts) VALUES (?, ?, ?)",
            (memory.id, at, json.dumps(facts, ensure_ascii=False, sort_keys=True)),
        )
    for state in report.probes[:MOST_FACTS]:
        if memory.probes.get(state.probe) != (state.outcome.value, state.text):
            _save_probe(conn, memory, state, at)
    if report.findings and report.findings != memory.findings:
        for finding in report.findings[:50]:
            place = f"line {finding.line}: " if finding.line is not None else ""
            raw = f" | {finding.raw.strip()}" if finding.raw.strip() else ""
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
        (memory.id, name, state.outcome.value, state.duration_s, clean(state.text.strip()), since),
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
    up_s = _uptime_s(report)
    conn.execute("DELETE FROM processes WHERE host = ?", (memory.id,))
    conn.executemany(
        "INSERT OR REPLACE INTO processes (host, pid, device, name, user, mem_used_bytes, at, up_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (memory.id, p.pid, *map(clean_name, (p.device, p.name, p.user)), p.mem_used_bytes, at, up_s)
            for p in report.processes[:_LINKS]
        ],
    )


def _uptime_s(report: HostReport) -> float | None:
    for block in report.blocks:
        if block.kind == "host" and "uptime_s" in block.columns and block.rows:
            return block.rows[0][block.columns.index("uptime_s")]
    return None


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
