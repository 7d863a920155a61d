"""Probes of one node: how each fared last."""

from __future__ import annotations

import sqlite3

from fleetctl.model.report import ProbeState
from fleetctl.store.hosts import list_probe_states
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_duration

COLUMNS: tuple[Column[ProbeState], ...] = (
    Column("probe", "probe", lambda r: r.probe, width=14, doc="name"),
    Column("outcome", "outcome", lambda r: r.outcome.value, width=8, role="state", doc="done, timeout, hung, missing"),
    Column("since", "since", lambda r: r.since, width=5, right=True, role="age", doc="how long it has been so"),
    Column(
        "duration_s", "took", lambda r: r.duration_s, lambda v: f"{v:.2f}s" if v < 10 else show_duration(v), 6, True
    ),
    Column("text", "text", lambda r: " ".join(r.text.split()) or None, width=20, doc="what it said"),
)


def load(conn: sqlite3.Connection, node: str) -> list[ProbeState]:
    """Probes of a node by name."""
    return list_probe_states(conn, node).get(node, [])


def table(rows: list[ProbeState]) -> Table[ProbeState]:
    return Table("probe", COLUMNS, rows, lambda r: r.probe)
