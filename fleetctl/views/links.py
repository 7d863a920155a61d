"""Card-to-card links of one node: one row per card and kind, and what is wrong with them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import groupby

from fleetctl.model.reading import Link
from fleetctl.store.devices import list_devices
from fleetctl.store.hosts import list_links
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class LinkRow:
    """The links of one kind on one card. up, errors: None where not one of them told; speed in Gbit/s, the slowest."""

    card: str
    kind: str
    total: int
    up: int | None
    down: str
    speed_gbps: float | None
    errors: int | None
    peers: str


COLUMNS: tuple[Column[LinkRow], ...] = (
    Column("card", "card", lambda r: r.card, width=4, doc="number its tool prints"),
    Column("kind", "kind", lambda r: r.kind, width=9, doc="nvlink, hccs, mlulink, xgmi, roce ..."),
    Column("total", "links", lambda r: r.total, width=5, right=True, doc="links the card has"),
    Column("up", "up", lambda r: r.up, width=3, right=True, doc="of these, up"),
    Column("down", "down", lambda r: r.down or None, width=8, doc="numbers of those that are down"),
    Column("speed_gbps", "Gbit/s", lambda r: r.speed_gbps, lambda v: f"{v:g}", 6, True, doc="of the slowest"),
    Column("errors", "errors", lambda r: r.errors, width=7, right=True, doc="since the driver was loaded"),
    Column("peers", "peers", lambda r: r.peers or None, width=16, doc="what they lead to"),
)


def load(conn: sqlite3.Connection, node: str) -> list[LinkRow]:
    """Links of a node by card and kind."""
    numbers = {d.device.key: d.device.index or d.device.key for d in list_devices(conn, node)}
    order = {key: n for n, key in enumerate(numbers)}
    links = sorted(list_links(conn, node), key=lambda link: (order[link.device], link.kind))
    return [
        _row(numbers.get(device, device), kind, list(some))
        for (device, kind), some in groupby(links, key=lambda link: (link.device, link.kind))
    ]


def table(rows: list[LinkRow]) -> Table[LinkRow]:
    return Table("link", COLUMNS, rows, lambda r: r.card)


def _row(card: str, kind: str, links: list[Link]) -> LinkRow:
    told = [link.up for link in links if link.up is not None]
    errors = [link.errors_total for link in links if link.errors_total is not None]
    speeds = [link.speed_gbps for link in links if link.speed_gbps is not None]
    return LinkRow(
        card,
        kind,
        len(links),
        sum(told) if told else None,
        ",".join(link.index for link in links if link.up is False),
        min(speeds, default=None),
        sum(errors) if errors else None,
        ",".join(dict.fromkeys(link.peer for link in links if link.peer)),
    )
