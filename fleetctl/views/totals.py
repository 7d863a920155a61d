"""Nodes in sum: counts by each of the four axes, the capacity ladder, heat, load and power. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.views.nodes import NodeRow

# A host whose probe hangs still answers; whether its cards are fit is a matter of health.
ANSWERING = frozenset({Reach.FRESH, Reach.HUNG})
FIT = frozenset({Health.OK, Health.WARN})


@dataclass(frozen=True, slots=True)
class Ladder:
    """Cards on each rung; every rung is a filter on the one above: nominal >= installed >= ... >= free.

    nominal: declared (found, where nothing is declared or more was found); installed: found at the last answer;
    reachable: on nodes that answer now; healthy: on nodes neither critical nor unknown; in_service: on nodes that may
    get work; free: of those, held by no lease and by no process without one.
    """

    nominal: int = 0
    installed: int = 0
    reachable: int = 0
    healthy: int = 0
    in_service: int = 0
    free: int = 0


RUNGS = ("nominal", "installed", "reachable", "healthy", "in_service", "free")


@dataclass(frozen=True, slots=True)
class Totals:
    """What a set of nodes amounts to. None where not one node told.

    cards: expected; cards_found: named at the last answer; util_pct: mean over cards; temp_c: hottest card; power_w: sum
    over the nodes that are metered, power_nodes of them, so a lower bound where those are fewer than nodes;
    oldest_at: when the node that has been silent longest answered last; never: nodes that never answered.
    """

    nodes: int
    reach: Mapping[Reach, int] = field(default_factory=dict)
    health: Mapping[Health, int] = field(default_factory=dict)
    admin: Mapping[Admin, int] = field(default_factory=dict)
    load: Mapping[Load, int] = field(default_factory=dict)
    ladder: Ladder = Ladder()
    cards: int | None = None
    cards_found: int | None = None
    cards_leased: int = 0
    util_pct: float | None = None
    temp_c: float | None = None
    power_w: float | None = None
    power_nodes: int = 0
    newest_at: float | None = None
    oldest_at: float | None = None
    never: int = 0

    @property
    def answering(self) -> int:
        return sum(self.reach.get(r, 0) for r in ANSWERING)

    @property
    def silent(self) -> int:
        """Nodes without a fresh answer; one that hangs is among them."""
        return self.nodes - self.reach.get(Reach.FRESH, 0)

    @property
    def taken(self) -> int:
        """Nodes on which cards are held."""
        return self.load.get(Load.ALLOCATED, 0) + self.load.get(Load.MIXED, 0)

    @property
    def out_of_service(self) -> int:
        return self.nodes - self.admin.get(Admin.IN_SERVICE, 0)


def node_ladder(row: NodeRow) -> tuple[int, int, int, int, int, int]:
    """The rungs of one node, in the order of RUNGS."""
    found = row.cards_found or 0
    nominal = max(row.cards or 0, found)
    reachable = found if row.reach in ANSWERING else 0
    healthy = reachable if row.health in FIT else 0
    in_service = healthy if row.admin is Admin.IN_SERVICE else 0
    free = 0 if row.load is Load.ALLOCATED else max(in_service - row.cards_leased - row.cards_stray, 0)
    return nominal, found, reachable, healthy, in_service, free


_SHAPE = attrgetter("cards", "cards_found", "cards_leased", "cards_stray", "reach", "health", "admin", "load")


def total(rows: Iterable[NodeRow]) -> Totals:
    """Everything about these nodes. Most of a fleet is alike in cards and states: what is alike is worked out once."""
    nodes = list(rows)
    shapes = list(map(_SHAPE, nodes))
    one_of = dict(zip(shapes, nodes, strict=True))
    reach: Counter[Reach] = Counter()
    health: Counter[Health] = Counter()
    admin: Counter[Admin] = Counter()
    load: Counter[Load] = Counter()
    rungs, leased = [0] * len(RUNGS), 0
    cards: int | None = None
    found: int | None = None
    for shape, count in Counter(shapes).items():
        row = one_of[shape]
        reach[row.reach] += count
        health[row.health] += count
        admin[row.admin] += count
        load[row.load] += count
        leased += row.cards_leased * count
        if row.cards is not None:
            cards = (cards or 0) + row.cards * count
        if row.cards_found is not None:
            found = (found or 0) + row.cards_found * count
        rungs = [rung + more * count for rung, more in zip(rungs, node_ladder(row), strict=True)]
    told = [(row.util_pct, row.cards_found) for row in nodes if row.util_pct is not None and row.cards_found]
    heat = [row.temp_c for row in nodes if row.temp_c is not None]
    powers = [row.power_w for row in nodes if row.power_w is not None]
    answers = [row.age_at for row in nodes if row.age_at is not None]
    return Totals(
        nodes=len(nodes),
        reach=reach,
        health=health,
        admin=admin,
        load=load,
        ladder=Ladder(*rungs),
        cards=cards,
        cards_found=found,
        cards_leased=leased,
        util_pct=sum(util * cards for util, cards in told) / sum(cards for _util, cards in told) if told else None,
        temp_c=max(heat, default=None),
        power_w=sum(powers) if powers else None,
        power_nodes=len(powers),
        newest_at=max(answers, default=None),
        oldest_at=min(answers, default=None),
        never=len(nodes) - len(answers),
    )


def severity(row: NodeRow) -> tuple[int, int, float, str]:
    """Sort key, worst first: health, then reach, then heat, then name."""
    return row.health.rank, _REACH_RANK[row.reach], -(row.temp_c or 0.0), row.name


_REACH_RANK = {Reach.UNREACHABLE: 0, Reach.HUNG: 1, Reach.STALE: 2, Reach.UNKNOWN: 3, Reach.FRESH: 4}
