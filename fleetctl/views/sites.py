"""Sites, pools and racks: one row per group of nodes, the same figures for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleetctl.inventory import Inventory
from fleetctl.model.states import Admin, Health
from fleetctl.views.column import Cell, Column, Table
from fleetctl.views.nodes import NodeRow
from fleetctl.views.totals import Totals, total
from fleetctl.views.units import show_pct, show_temp, show_watts


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One site, pool or rack. place: what the inventory says of it (operator, region, hall ...), by column name;
    budget_w: what a rack may draw, None when not declared."""

    name: str
    totals: Totals
    place: Mapping[str, str] = field(default_factory=dict)
    budget_w: float | None = None

    @property
    def load_pct(self) -> float | None:
        """Mean draw against nominal power of the rack, %."""
        power = self.totals.power_w
        return None if power is None or not self.budget_w else 100.0 * power / self.budget_w


def site_rows(nodes: Iterable[NodeRow], inventory: Inventory) -> list[GroupRow]:
    """One row per site of the fleet file, in its order, empty ones too."""
    members = _members(nodes, lambda n: (n.site,))
    return [
        GroupRow(
            s.name,
            total(members.get(s.name, ())),
            {"title": s.title, "operator": s.operator, "region": s.region, "tier": s.tier},
        )
        for s in inventory.sites.values()
    ]


def pool_rows(nodes: Iterable[NodeRow], inventory: Inventory) -> list[GroupRow]:
    """One row per pool; a node may be in several."""
    members = _members(nodes, lambda n: n.pools)
    return [GroupRow(p.name, total(members.get(p.name, ()))) for p in inventory.pools.values()]


def rack_rows(nodes: Iterable[NodeRow], inventory: Inventory) -> list[GroupRow]:
    """One row per rack, with its draw against its budget."""
    members = _members(nodes, lambda n: (n.rack,) if n.rack else ())
    return [
        GroupRow(
            r.name,
            total(members.get(r.name, ())),
            {"site": r.site, "hall": r.hall, "row": r.row},
            r.power_budget_w,
        )
        for r in inventory.racks.values()
    ]


def _members(nodes: Iterable[NodeRow], names: Callable[[NodeRow], Sequence[str]]) -> dict[str, list[NodeRow]]:
    members: dict[str, list[NodeRow]] = {}
    for node in nodes:
        for name in names(node):
            members.setdefault(name, []).append(node)
    return members


def _place(name: str, *, wide: bool = True) -> Column[GroupRow]:
    return Column(name, name, lambda r: r.place.get(name) or None, width=8, wide=wide, doc=f"{name} it declares")


def _count(name: str, title: str, value: Callable[[Totals], Cell], doc: str, wide: bool = False) -> Column[GroupRow]:
    return Column(name, title, lambda r: value(r.totals), width=5, right=True, wide=wide, doc=doc)


FIGURES: tuple[Column[GroupRow], ...] = (
    _count("nodes", "nodes", lambda t: t.nodes, "nodes in it"),
    _count("answering", "answer", lambda t: t.answering, "nodes that answer now"),
    _count("crit", "crit", lambda t: t.health.get(Health.CRIT, 0), "nodes with a critical finding"),
    _count("warn", "warn", lambda t: t.health.get(Health.WARN, 0), "nodes with a warning"),
    _count("unknown", "blind", lambda t: t.health.get(Health.UNKNOWN, 0), "nodes whose health nobody knows"),
    _count("out", "out", lambda t: t.out_of_service, "nodes not in service"),
    _count("draining", "draining", lambda t: t.admin.get(Admin.DRAINING, 0), "nodes draining", wide=True),
    _count("cards", "cards", lambda t: t.ladder.nominal, "cards declared or found"),
    _count("installed", "installed", lambda t: t.ladder.installed, "cards found", wide=True),
    _count("reachable", "reachable", lambda t: t.ladder.reachable, "cards on nodes that answer", wide=True),
    _count("healthy", "healthy", lambda t: t.ladder.healthy, "cards on fit nodes", wide=True),
    _count("in_service", "serve", lambda t: t.ladder.in_service, "cards that may get work"),
    _count("free", "free", lambda t: t.ladder.free, "cards in service and not leased"),
    Column("util_pct", "util", lambda r: r.totals.util_pct, show_pct, 4, True, doc="mean utilisation of its cards, %"),
    Column(
        "temp_c",
        "temp",
        lambda r: r.totals.temp_c,
        show_temp,
        4,
        True,
        wide=True,
        doc="its hottest card (hot spot where no core is told), C",
    ),
    Column("power_w", "power", lambda r: r.totals.power_w, show_watts, 6, True, doc="sum over metered nodes, W"),
    _count("power_nodes", "metered", lambda t: t.power_nodes, "nodes whose draw is known", wide=True),
)
SITE_COLUMNS: tuple[Column[GroupRow], ...] = (
    Column("name", "site", lambda r: r.name, width=8, doc="site"),
    *(_place(name) for name in ("title", "operator", "region", "tier")),
    *FIGURES,
)
POOL_COLUMNS: tuple[Column[GroupRow], ...] = (Column("name", "pool", lambda r: r.name, width=8, doc="pool"), *FIGURES)
RACK_COLUMNS: tuple[Column[GroupRow], ...] = (
    Column("name", "rack", lambda r: r.name, width=8, doc="rack"),
    *(_place(name) for name in ("site", "hall", "row")),
    *FIGURES,
    Column("budget_w", "budget", lambda r: r.budget_w, show_watts, 6, True, doc="what it may draw, W"),
    Column("load_pct", "rack load", lambda r: r.load_pct, show_pct, 9, True, doc="draw against budget, %"),
)


def table(noun: str, columns: Sequence[Column[GroupRow]], rows: Sequence[GroupRow]) -> Table[Any]:
    return Table(noun, columns, rows, lambda r: r.name)
