"""Groups: many nodes as one row, by site, pool, rack, chip or by being in the same state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.views.column import Column, Table
from fleetctl.views.nodes import NodeRow
from fleetctl.views.units import show_count, show_pct, show_temp, show_watts

BY = ("site", "rack", "pool", "chip", "state")


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Some nodes in sum. None is unknown. cards: expected; found: cards that answered; silent: nodes without a fresh
    answer; out: nodes not in service; util_pct: mean over cards that told; temp_c: hottest; power_w: sum of what is
    known, which is a lower bound where power_of < nodes; oldest_at: when the most silent of them last answered."""

    key: str
    label: str
    members: tuple[str, ...]
    nodes: int
    cards: int | None = None
    found: int | None = None
    silent: int = 0
    crit: int = 0
    warn: int = 0
    blind: int = 0
    out: int = 0
    allocated: int = 0
    util_pct: float | None = None
    temp_c: float | None = None
    power_w: float | None = None
    power_of: int = 0
    oldest_at: float | None = None

    @property
    def health(self) -> str:
        """The worst health among them."""
        return "crit" if self.crit else "unknown" if self.blind else "warn" if self.warn else "ok"


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
        sum_nodes(key, fold([r.name for r in rs]) if fold and by == "state" else key, rs) for key, rs in found.items()
    ]


def sum_nodes(key: str, label: str, rows: Sequence[NodeRow]) -> GroupRow:
    """One group from its nodes."""
    silent = crit = warn = blind = out = allocated = power_of = 0
    cards: int | None = None
    known: int | None = None
    util_sum = util_cards = power = 0.0
    hottest: float | None = None
    oldest: float | None = None
    for r in rows:
        silent += r.reach is not Reach.FRESH
        crit += r.health is Health.CRIT
        warn += r.health is Health.WARN
        blind += r.health is Health.UNKNOWN
        out += r.admin is not Admin.IN_SERVICE
        allocated += r.load in (Load.ALLOCATED, Load.MIXED)
        if r.cards is not None:
            cards = (cards or 0) + r.cards
        if r.cards_found is not None:
            known = (known or 0) + r.cards_found
        if r.util_pct is not None:
            weight = r.cards_found or 1
            util_sum += r.util_pct * weight
            util_cards += weight
        if r.temp_c is not None and (hottest is None or r.temp_c > hottest):
            hottest = r.temp_c
        if r.power_w is not None:
            power += r.power_w
            power_of += 1
        if r.age_at is not None and (oldest is None or r.age_at < oldest):
            oldest = r.age_at
    return GroupRow(
        key=key,
        label=label,
        members=tuple(r.name for r in rows),
        nodes=len(rows),
        cards=cards,
        found=known,
        silent=silent,
        crit=crit,
        warn=warn,
        blind=blind,
        out=out,
        allocated=allocated,
        util_pct=util_sum / util_cards if util_cards else None,
        temp_c=hottest,
        power_w=power if power_of else None,
        power_of=power_of,
        oldest_at=oldest,
    )


def _power(row: GroupRow) -> float | None:
    return row.power_w


COLUMNS: tuple[Column[GroupRow], ...] = (
    Column("label", "group", lambda r: r.label, width=10, doc="site, pool, rack, chip, or nodes in the same state"),
    Column("nodes", "nodes", lambda r: r.nodes, show_count, 6, right=True, doc="nodes in it"),
    Column("found", "cards", lambda r: r.found, show_count, 7, right=True, doc="accelerators found"),
    Column("cards", "expected", lambda r: r.cards, show_count, 8, right=True, wide=True, doc="accelerators expected"),
    Column("health", "health", lambda r: r.health, width=9, role="state", doc="the worst among them"),
    Column("crit", "crit", lambda r: r.crit, show_count, 5, right=True, doc="nodes with a critical finding"),
    Column("warn", "warn", lambda r: r.warn, show_count, 5, right=True, doc="nodes with a warning"),
    Column("silent", "silent", lambda r: r.silent, show_count, 6, right=True, doc="nodes without a fresh answer"),
    Column("out", "out", lambda r: r.out, show_count, 5, right=True, doc="nodes not in service"),
    Column(
        "allocated", "taken", lambda r: r.allocated, show_count, 6, right=True, doc="nodes on which leases hold cards"
    ),
    Column("util_pct", "util", lambda r: r.util_pct, show_pct, 4, right=True, doc="mean utilisation of their cards, %"),
    Column(
        "temp_c",
        "temp",
        lambda r: r.temp_c,
        show_temp,
        4,
        right=True,
        doc="hottest card (hot spot where no core is told), C",
    ),
    Column("power_w", "power", _power, show_watts, 7, right=True, doc="sum of what is metered, W"),
    Column("oldest_at", "oldest", lambda r: r.oldest_at, width=6, right=True, role="age", doc="its most silent node"),
)


def table(rows: list[GroupRow]) -> Table[GroupRow]:
    return Table("group", COLUMNS, rows, lambda r: r.key)
