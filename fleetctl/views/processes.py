"""Processes on the cards of one node, as its tools told them last."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from fleetctl.model.reading import Process
from fleetctl.store.devices import list_devices
from fleetctl.store.hosts import list_processes
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_bytes


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process on one card. card: the number its tool prints."""

    card: str
    process: Process


COLUMNS: tuple[Column[ProcessRow], ...] = (
    Column("card", "card", lambda r: r.card, width=4, doc="number its tool prints"),
    Column("pid", "pid", lambda r: r.process.pid, width=7, right=True, doc="on the host"),
    Column("user", "user", lambda r: r.process.user, width=10, doc="- where the tool or the container hides it"),
    Column("mem", "memory", lambda r: r.process.mem_used_bytes, show_bytes, 7, True, doc="of the card"),
    Column("name", "name", lambda r: r.process.name, width=20, doc="program"),
)


def load(conn: sqlite3.Connection, node: str) -> list[ProcessRow]:
    """Processes of a node, card by card."""
    numbers = {d.device.key: d.device.index or d.device.key for d in list_devices(conn, node)}
    order = {key: n for n, key in enumerate(numbers)}
    found = sorted(list_processes(conn, node), key=lambda p: (order.get(p.device, len(order)), p.pid))
    return [ProcessRow(numbers.get(p.device, p.device), p) for p in found]


def table(rows: list[ProcessRow]) -> Table[ProcessRow]:
    return Table("process", COLUMNS, rows, lambda r: str(r.process.pid))
