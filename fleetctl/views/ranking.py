"""The cards with the highest or lowest value of one metric."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from fleetctl.model.metric import Metric
from fleetctl.store.samples import top_now
from fleetctl.store.summaries import name_devices
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_unit


@dataclass(frozen=True, slots=True)
class RankRow:
    """place: 1 is the highest (or lowest); at: round of the value, epoch seconds."""

    place: int
    node: str
    card: str
    chip: str | None
    value: float
    at: float


def load(conn: sqlite3.Connection, metric: Metric, limit: int, *, lowest: bool = False) -> list[RankRow]:
    """At most `limit` cards, best first."""
    ranked = top_now(conn, metric.of, metric.name, limit, lowest=lowest)
    names = name_devices(conn, (r.device for r in ranked))
    return [
        RankRow(place, name.host, name.number or name.key, name.chip, r.value, r.slot)
        for place, r in enumerate(ranked, 1)
        if (name := names.get(r.device)) is not None
    ]


def table(rows: list[RankRow], metric: Metric, title: str) -> Table[RankRow]:
    columns: tuple[Column[RankRow], ...] = (
        Column("place", "place", lambda r: r.place, width=5, right=True, doc="1 is the first"),
        Column("node", "node", lambda r: r.node, width=8, doc="node"),
        Column("card", "card", lambda r: r.card, width=4, right=True, doc="number its tool prints"),
        Column("chip", "chip", lambda r: r.chip, width=10, doc="as the catalogue calls it"),
        Column(metric.name, title, lambda r: r.value, lambda v: show_unit(v, metric.unit), 8, True, doc=metric.doc),
        Column("at", "age", lambda r: r.at, width=4, right=True, role="age", doc="age of the value"),
    )
    return Table("card", columns, rows, lambda r: f"{r.node}/{r.card}")
