"""What the screens may ask: one object between them and store, views and operations.

Every method reads or writes the store and may take a while, so screens call them in a worker thread, never in the
event loop. Errors are those of fleetctl.errors; the screen turns them into words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # the questions stand here; what answers them loads with the screen that asks
    from fleetctl.tui.widgets.heat_map import CardGrid
    from fleetctl.tui.widgets.plot import Series
    from fleetctl.views.column import Table
    from fleetctl.views.nodes import NodeRow
    from fleetctl.views.power_places import PowerPlace, PowerView


@dataclass(frozen=True, slots=True)
class Pulse:
    """How alive the data is. Moments in epoch seconds, None unknown or never."""

    data_at: float | None = None
    beat_at: float | None = None
    stopped_at: float | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class FleetView:
    """What the overview shows. findings: worst first; waiting, leased: counts of queue and leases."""

    nodes: Table[NodeRow]
    findings: Table[Any]
    waiting: int | None = None
    leased: int | None = None


@dataclass(frozen=True, slots=True)
class NodeView:
    """All about one node. jobs: of the scheduler that owns it, (who, what they hold and draw); facts: (name, text);
    plots: what is worth drawing, most telling first."""

    row: NodeRow
    cards: Table[Any]
    findings: Table[Any]
    events: Table[Any]
    leases: Table[Any]
    probes: Table[Any]
    facts: Sequence[tuple[str, str]] = ()
    plots: Sequence[Series] = ()
    jobs: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class PlanPreview:
    """A plan as it would be carried out, before anybody confirmed it.

    lines: (text, tone) a person should read before saying yes; count: nodes it changes; must_type: the count has to
    be typed; refused: why nothing can be done, "" when it can; needs: what is still to be typed before it can be
    confirmed, "" when nothing is; token: what `apply` takes.
    """

    verb: str
    nodes: str
    count: int
    lines: Sequence[tuple[str, str]]
    must_type: bool = False
    refused: str = ""
    needs: str = ""
    token: Any = None


@dataclass(frozen=True, slots=True)
class QueueView:
    requests: Table[Any]
    leases: Table[Any]


@dataclass(frozen=True, slots=True)
class CoolingView:
    """coolers: one row per cooler of a zone; endpoints: every BMC, PDU, cooler and meter."""

    coolers: Table[Any]
    endpoints: Table[Any]


@dataclass(frozen=True, slots=True)
class PlansView:
    """steps: plan id -> its nodes or steps as a table."""

    plans: Table[Any]
    steps: Callable[[str], Table[Any]]


@dataclass(frozen=True, slots=True)
class Places:
    """Names one may jump to, sorted: hosts, then racks, pools, sites and groups."""

    hosts: Sequence[str] = ()
    racks: Mapping[str, str] = field(default_factory=dict)  # rack -> site
    pools: Sequence[str] = ()
    sites: Sequence[str] = ()


class Source(Protocol):
    """See the module. `stale_s`: age from which a value counts as old."""

    fleet: str
    stale_s: float
    places: Places

    def now(self) -> float: ...

    def version(self) -> int: ...

    def pulse(self) -> Pulse: ...

    def nodes(self) -> Table[NodeRow]: ...

    def overview(self, *, figures: bool = True) -> FleetView:
        """figures=False leaves utilisation, heat and power unknown, for a first look at once."""

    def node(self, name: str, hours: float) -> NodeView: ...

    def cards(self, metric: str) -> CardGrid: ...

    def queue(self) -> QueueView: ...

    def plans(self) -> PlansView: ...

    def events(self) -> Table[Any]: ...

    def power(self, place: PowerPlace | None = None) -> PowerView:
        """None: from the outermost level that has more than one row."""

    def power_plots(self, kind: str, name: str, hours: float) -> Sequence[Series]:
        """Power over time of a site, hall, rack, feed, node or endpoint, with its limit; of sites also PUE by day."""

    def cooling_plots(self, kind: str, name: str, hours: float) -> Sequence[Series]:
        """Supply, return, flow and heat over time of a "cooler", or what an "endpoint" has kept."""

    def feed_fails(self, feed: str) -> Sequence[tuple[str, str]]:
        """(text, tone) lines: what the loss of one feed would do."""

    def cooling(self) -> CoolingView: ...

    def record(self, noun: str, key: str) -> Any:
        """Everything stored about one thing, as JSON takes it."""

    def fold(self, names: Iterable[str]) -> str: ...

    def select(self, nodeset: str) -> list[str]: ...

    def plan(
        self,
        verb: str,
        nodes: Sequence[str],
        reason: str,
        how: str = "wait",
        undo: str = "",
        *,
        begin: str = "",
        until: str = "",
        cards: str = "",
    ) -> PlanPreview:
        """What a verb would do. how: wait, now, or a length of time after which work is ended; undo: id of the plan to
        take back, with verb "undo"; begin, until: times as people write them, `2h`, `22:00`; cards: `0,3`, only these."""

    def apply(self, preview: PlanPreview) -> str:
        """Save the confirmed plan; its id."""

    def acknowledge(self, noun: str, keys: Sequence[str]) -> int:
        """Mark open findings as seen by this user: of nodes, or findings themselves. How many."""

    def close(self) -> None: ...
