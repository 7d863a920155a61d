"""The fleet as placement sees it: frozen, complete, and without any I/O behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetctl.model.lease import WHOLE, Hold
from fleetctl.scheduler.packing.limits import Limit
from fleetctl.scheduler.packing.task import TaskClass


@dataclass(frozen=True, slots=True)
class ChipFacts:
    """What the catalogue says of one chip. fp16_tflops: dense, nominal; None where it has no figure.

    classes: what it is good for, of "general", "ai", "hpc"; () when that is not known.
    """

    chip: str
    classes: tuple[str, ...] = ()
    fp16_tflops: float | None = None
    mem_bytes: int | None = None
    tdp_w: float | None = None


@dataclass(frozen=True, slots=True)
class CardView:
    """One card. free_milli: thousandths nobody holds; why_not: why it takes no new work, "" when it does.

    stray: a process that runs on it without a lease, in words; it takes no new work either, nor does its node as a whole.
    """

    key: str
    index: str | None = None
    free_milli: int = WHOLE
    why_not: str = ""
    stray: str = ""

    @property
    def open_milli(self) -> int:
        """What a new lease could get."""
        return 0 if self.why_not or self.stray else self.free_milli


def stray_words(pid: int, user: str) -> str:
    """What is said of a process that works on a card without a lease."""
    return f"process {pid}{f' of {user}' if user else ''} runs there without a lease"


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which a node is spoken for. tenant: whose reservation, "" for maintenance; id: of the reservation."""

    start_at: int
    end_at: int | None
    tenant: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node as a place for work.

    why_not: why it takes no new work at all, "" when it does; held_by: leases that hold something there;
    exclusive: one of them holds it alone; hot: too warm for more load, with the words to say so, "" when not.
    heard: it has answered at least once, so that its cards are known; declared: cards it has by fleet.toml; away: it is
    retired or another scheduler's and never takes work of ours; repair: it is away and may come back.
    """

    host: str
    site: str = ""
    rack: str | None = None
    leaf: str | None = None
    pools: tuple[str, ...] = ()
    chip: str | None = None
    cards: tuple[CardView, ...] = ()
    why_not: str = ""
    held_by: tuple[str, ...] = ()
    exclusive: bool = False
    windows: tuple[Window, ...] = ()
    hot: str = ""
    heard: bool = True
    declared: int = 0
    away: bool = False
    repair: bool = False

    @property
    def most_cards(self) -> int | None:
        """Cards it has when all of them are there; None where nobody knows."""
        return max(len(self.cards), self.declared) if self.heard or self.declared else None

    @property
    def stray(self) -> str:
        """The first process on its cards that no lease covers, "" when there is none."""
        return next((card.stray for card in self.cards if card.stray), "")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Nodes in the order of the inventory, and what is known about chips, sites and prices.

    latency_ms and green_pct by site; price by chip, yuan per card-hour. Missing means unknown. mix: what was asked for
    lately and how often, which is what free cards should stay fit for; () where nothing was. limits: what racks, feeds
    and cooling zones still bear as measured at limits_at; what is not known is left out.
    """

    now: int
    nodes: Mapping[str, NodeView]
    chips: Mapping[str, ChipFacts] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    green_pct: Mapping[str, float] = field(default_factory=dict)
    mix: tuple[tuple[TaskClass, float], ...] = ()
    limits: tuple[Limit, ...] = ()
    limits_at: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a request goes. price_per_hour: yuan for all of it, None when a chip has no price."""

    holds: tuple[Hold, ...]
    price_per_hour: float | None = None
    refused: Mapping[str, str] = field(default_factory=dict)  # every node that will not do, and why

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(h.host for h in self.holds))


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why a request has no place now. nodes: every node with its reason; why: one sentence for the whole.

    fit: nodes that would do by themselves, when the gang as a whole finds no place. for_ever: not even an empty fleet
    of these nodes could hold it; nearest: the nearest request that could, in words.
    """

    why: str
    nodes: Mapping[str, str]
    fit: tuple[str, ...] = ()
    for_ever: bool = False
    nearest: str = ""
