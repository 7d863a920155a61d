"""The power of a fleet by place: sites, their halls, racks and nodes, one level at a time, with the feeds that carry it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fleetctl.facility.electrical import (
    FeedLoad,
    NodeLoad,
    PlaceLoad,
    RackLoad,
    Watts,
    add_places,
    add_up,
    over_budget,
    stranded_w,
)
from fleetctl.facility.picture import FRESH_S, Picture
from fleetctl.inventory import Inventory
from fleetctl.store.facility import list_endpoints, list_readings
from fleetctl.store.summaries import sum_cards
from fleetctl.views.column import Column, Table
from fleetctl.views.power import RACK_COLUMNS, feed_table, told
from fleetctl.views.units import show_pct, show_temp, show_watts

LEVELS = ("site", "hall", "rack", "node")


@dataclass(frozen=True, slots=True)
class PowerPlace:
    """Where one stands: which rows are shown, within what. level: one of LEVELS; within: (kind, name) of what was gone
    into, outermost first; () is the fleet."""

    level: str = "site"
    within: tuple[tuple[str, str], ...] = ()

    def inside(self, kind: str, name: str) -> PowerPlace:
        """One level further in."""
        return PowerPlace(LEVELS[LEVELS.index(kind) + 1], (*self.within, (kind, name)))

    def outside(self) -> PowerPlace | None:
        """One level further out; None at the outermost."""
        if self.within:
            return PowerPlace(self.within[-1][0], self.within[:-1])
        return PowerPlace("site") if self.level != "site" else None


@dataclass(frozen=True, slots=True)
class PowerView:
    """places: PlaceLoad, RackLoad or NodeLoad by level, worst first; feeds: FeedLoad of that place. draw: all its racks;
    silent, over: racks that are not measured, that are over their budget; stranded_w: see PlaceLoad."""

    place: PowerPlace
    places: Table[Any]
    feeds: Table[FeedLoad]
    racks: int
    draw: Watts
    silent: int
    over: int
    stranded_w: float | None = None


PLACE_COLUMNS: tuple[Column[PlaceLoad], ...] = (
    Column("name", "site", lambda p: p.name, width=14, doc="site or hall"),
    Column("used_pct", "used", lambda p: p.used_pct, show_pct, 6, right=True, doc="draw against the racks' budgets, %"),
    Column("power_w", "power", lambda p: p.draw.value, show_watts, 8, right=True, doc="what its racks draw now, W"),
    Column("budget_w", "budget", lambda p: p.budget_w, show_watts, 8, right=True, doc="what they may draw, W"),
    Column("left_w", "left", lambda p: p.left_w, show_watts, 8, right=True, doc="budget minus draw, W"),
    Column("over", "over", lambda p: p.over, width=4, right=True, doc="racks over their budget"),
    Column("stranded_w", "stranded", lambda p: p.stranded_w, show_watts, 8, right=True, doc="left in pieces too small for one more server, W"),
    Column("racks", "racks", lambda p: p.racks, width=5, right=True, doc="racks in it"),
    Column("nodes", "nodes", lambda p: p.nodes, width=5, right=True, doc="hosts in it"),
    Column("at", "age", lambda p: p.draw.at, width=5, right=True, role="age", doc="age of the oldest part"),
    Column("source", "from", lambda p: told(p.draw) or None, width=12, doc="which level was measured, and how much of it"),
)  # fmt: skip
NODE_COLUMNS: tuple[Column[NodeLoad], ...] = (
    Column("node", "node", lambda n: n.name, width=12, doc="host"),
    Column("used_pct", "used", lambda n: n.used_pct, show_pct, 6, right=True, doc="draw against an equal part of the rack's budget, %"),
    Column("power_w", "wall", lambda n: n.wall.value, show_watts, 8, right=True, doc="what its BMC says it draws, W"),
    Column("cards_w", "cards", lambda n: n.cards_w, show_watts, 8, right=True, doc="what its cards draw, added up, W"),
    Column("share_w", "share", lambda n: n.share_w, show_watts, 8, right=True, doc="an equal part of the rack's budget, W"),
    Column("inlet_c", "inlet", lambda n: n.inlet_c, show_temp, 5, right=True, doc="air or coolant that goes in, C"),
    Column("at", "age", lambda n: n.wall.at, width=5, right=True, role="age", doc="age of the power at the wall"),
    Column("source", "from", lambda n: n.wall.source or None, width=16, doc="which of the BMC's values it is"),
)  # fmt: skip
RACK_NAMES = "rack used_pct power_w budget_w left_w nodes at source"


def first_place(racks: Iterable[RackLoad]) -> PowerPlace:
    """The outermost level that has more than one row."""
    found = list(racks)
    if len({r.site for r in found}) != 1:
        return PowerPlace("site")
    return PowerPlace("hall" if len({r.hall for r in found}) > 1 else "rack")


def load_view(conn: sqlite3.Connection, inventory: Inventory, picture: Picture, place: PowerPlace | None) -> PowerView:
    """What is shown of a place; None: of the fleet, from the outermost level that says something."""
    place = place or first_place(picture.racks.values())
    racks, feeds = list(picture.racks.values()), list(picture.feeds.values())
    for kind, name in place.within:
        racks = [r for r in racks if name == {"site": r.site, "hall": r.hall or r.site, "rack": r.name}[kind]]
    if place.within:
        inside = {r.name for r in racks}
        feeds = [f for f in feeds if inside.intersection(f.racks)]
    if place.level == "hall" and place.within and len({r.hall for r in racks}) == 1:
        place = PowerPlace("rack", place.within)  # a list of one hall says nothing
    server = _servers(picture, inventory)
    if place.level == "node":
        places: Table[Any] = node_table(_nodes(conn, inventory, picture, racks))
    elif place.level == "rack":
        columns = [next(c for c in RACK_COLUMNS if c.name == name) for name in RACK_NAMES.split()]
        places = Table("rack", columns, _worst(racks), lambda r: r.name)
    else:
        places = place_table(_worst(add_places(racks, place.level, server)), place.level)
    least = min((w for site, w in server.items() if any(r.site == site for r in racks)), default=None)
    return PowerView(
        place,
        places,
        feed_table(sorted(feeds, key=lambda f: -(f.used_pct if f.used_pct is not None else -1.0))),
        len(racks),
        replace(add_up([r.draw for r in racks], ""), known=sum(1 for r in racks if r.draw.is_complete)),
        sum(1 for r in racks if r.draw.value is None),
        len(over_budget(racks)),
        None if least is None else stranded_w(racks, least),
    )


def load_places(picture: Picture, inventory: Inventory, by: str) -> list[PlaceLoad]:
    """All sites or halls of the fleet, those with a rack over its budget first, then the fullest."""
    return _worst(add_places(picture.racks.values(), by, _servers(picture, inventory)))


def place_table(places: Sequence[PlaceLoad], by: str) -> Table[PlaceLoad]:
    return Table(by, [replace(PLACE_COLUMNS[0], title=by), *PLACE_COLUMNS[1:]], places, lambda p: p.name)


def node_table(nodes: Sequence[NodeLoad]) -> Table[NodeLoad]:
    return Table("node", NODE_COLUMNS, nodes, lambda n: n.name)


def _worst(rows: Iterable[Any]) -> list[Any]:
    """Places with a rack over its budget first, then the fullest; what is not measured comes last."""
    return sorted(rows, key=lambda r: (not getattr(r, "over", 0), -(r.used_pct if r.used_pct is not None else -1.0)))


def _servers(picture: Picture, inventory: Inventory) -> dict[str, float]:
    """Site -> what its largest server draws now: the room that one more would take."""
    out: dict[str, float] = {}
    for name, watts in picture.servers.items():
        host = inventory.hosts.get(name)
        if host is not None and watts.value:
            out[host.site] = max(out.get(host.site, 0.0), watts.value)
    return out


def _nodes(
    conn: sqlite3.Connection, inventory: Inventory, picture: Picture, racks: Iterable[RackLoad]
) -> list[NodeLoad]:
    out = []
    for rack in racks:
        share = rack.budget_w / rack.nodes if rack.budget_w is not None and rack.nodes else None
        for name in inventory.rack_hosts(rack.name):
            cards = sum_cards(conn, name).get(name)
            watts = cards.values.get("power_w") if cards is not None else None
            wall = picture.servers.get(name, Watts(None, parts=1))
            out.append(NodeLoad(name, rack.name, wall, watts, share, _inlet(conn, name, picture.at)))
    return _worst(out)


def _inlet(conn: sqlite3.Connection, host: str, now: float) -> float | None:
    """The air (or coolant) that goes into a host, by its BMC, if it is fresh."""
    for state in list_endpoints(conn, host):
        for r in list_readings(conn, state.id).get(state.id, []):
            word = r.where.lower()
            if r.quantity == "temperature" and now - r.as_of <= FRESH_S and ("inlet" in word or "ambient" in word):
                return r.value
    return None
