"""Groups: many nodes as one row, by site, pool, rack, chip or by being in the same state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fleetctl.model.states import Health
from fleetctl.views.column import Column, Table
from fleetctl.views.nodes import NodeRow
from fleetctl.views.totals import Totals, total
from fleetctl.views.units import show_count, show_pct, show_temp, show_watts

BY = ("site", "rack", "pool", "chip", "state")


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Some nodes in sum."""

    key: str
    label: str
    members: tuple[str, ...]
    totals: Totals

    @property
    def health(self) -> str:
        """The worst health among them."""
        return next((h.value for h in (Health.CRIT, Health.UNKNOWN, Health.WARN) if self.totals.health.get(h)), "ok")


def keys_of(row: NodeRow, by: str) -> tuple[str, ...]:
    """The groups a node belongs to; a node without rack, pool or chip stands under `-`."""
    if by == "pool":
        return row.pools or ("-",)
    if by == "state":
        return (f"{row.health.value} {row.reach.value} {row.admin.value} {row.load.value}",)
    return (getattr(row, by) or "-",)


def group_nodes(rows: Iterable[NodeRow], by: str, fold: Callable[[Iterable[str]], str] | None = None) -> list[GroupRow]:
    """One row per group in order of first appearance. fold: names -> node set, for the label of state groups."""
    found: dict[str, list[NodeRow]] = defaultdict(list)
    for row in rows:
        for key in keys_of(row, by):
            found[key].append(row)
    return [
        GroupRow(
            key, fold([r.name for r in rs]) if fold and by == "state" else key, tuple(r.name for r in rs), total(rs)
        )
        for key, rs in found.items()
    ]


def _count(
    name: str, title: str, value: Callable[[Totals], int | None], width: int, doc: str, wide: bool = False
) -> Column[GroupRow]:
    return Column(name, title, lambda r: value(r.totals), show_count, width, right=True, wide=wide, doc=doc)


COLUMNS: tuple[Column[GroupRow], ...] = (
    Column("label", "group", lambda r: r.label, width=10, doc="site, pool, rack, chip, or nodes in the same state"),
    _count("nodes", "nodes", lambda t: t.nodes, 6, "nodes in it"),
    _count("found", "cards", lambda t: t.cards_found, 7, "accelerators found"),
    _count("cards", "expected", lambda t: t.cards, 8, "accelerators expected", wide=True),
    Column("health", "health", lambda r: r.health, width=9, role="state", doc="the worst among them"),
    _count("crit", "crit", lambda t: t.health.get(Health.CRIT, 0), 5, "nodes with a critical finding"),
    _count("warn", "warn", lambda t: t.health.get(Health.WARN, 0), 5, "nodes with a warning"),
    _count("silent", "silent", lambda t: t.silent, 6, "nodes without a fresh answer"),
    _count("out", "out", lambda t: t.out_of_service, 5, "nodes not in service"),
    _count("allocated", "taken", lambda t: t.taken, 6, "nodes on which leases hold cards"),
    Column(
        "util_pct",
        "util",
        lambda r: r.totals.util_pct,
        show_pct,
        4,
        right=True,
        doc="mean utilisation of their cards, %",
    ),
    Column(
        "temp_c",
        "temp",
        lambda r: r.totals.temp_c,
        show_temp,
        4,
        right=True,
        doc="hottest card (hot spot where no core is told), C",
    ),
    Column("power_w", "power", lambda r: r.totals.power_w, show_watts, 7, right=True, doc="sum of what is metered, W"),
    Column(
        "oldest_at", "oldest", lambda r: r.totals.oldest_at, width=6, right=True, role="age", doc="its most silent node"
    ),
)


def table(rows: list[GroupRow]) -> Table[GroupRow]:
    return Table("group", COLUMNS, rows, lambda r: r.key)
