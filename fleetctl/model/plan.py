"""What an operator is about to do, in full, before it is done; and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleetctl.model.admin import Actor, DrainMode, Reason, Wish
from fleetctl.model.states import Admin


class PlanState(StrEnum):
    SCHEDULED = "scheduled"  # confirmed; its window has not begun
    HELD = "held"  # confirmed; a guard or the breaker holds it back, tried again each tick
    RUNNING = "running"  # wishes are saved; work still ends
    DONE = "done"
    UNDONE = "undone"
    CANCELLED = "cancelled"  # taken back before anything happened


class StepState(StrEnum):
    PENDING = "pending"
    DOING = "doing"  # handed to an outside scheduler; read back before it is tried again
    WAITING = "waiting"  # the wish is saved; work still runs
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"  # somebody wished otherwise meanwhile
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node of a plan. skip: why it is left out ("" when it is not); cards: only these, () for the whole node.

    version: of the node's record when the plan was made; leases: ids of what runs there; cards_busy and cards count
    accelerators, None when the node was never seen; processes: on its cards, None when unknown; to_end: of these, the
    ones that are ended with the drain, as `4242 python3 of alice`.
    """

    host: str
    before: Admin
    after: Admin
    version: int
    leases: tuple[str, ...] = ()
    cards: tuple[str, ...] = ()
    cards_total: int | None = None
    cards_busy: int | None = None
    processes: int | None = None
    power_w: float | None = None
    skip: str = ""
    warnings: tuple[str, ...] = ()
    to_end: tuple[str, ...] = ()
    already: bool = False  # left out because it is where the verb wants it


@dataclass(frozen=True, slots=True)
class GuardTouch:
    """One limit a plan comes near. Counts are nodes. ok: the limit holds after the plan."""

    scope: str  # "pool", "site", "rack", "power", "plan"
    name: str
    out_now: int
    out_after: int
    total: int
    limit: int
    ok: bool

    def __str__(self) -> str:
        verdict = "within" if self.ok else "over"
        return (
            f"{self.scope} {self.name}: {self.out_now} -> {self.out_after} of {self.total} nodes out, "
            f"{verdict} the limit of {self.limit}"
        )


@dataclass(frozen=True, slots=True)
class CapacityLeft:
    """Cards in service of one chip, pool or site, before and after. name "-" gathers nodes whose chip is unknown."""

    by: str  # "chip", "pool", "site"
    name: str
    nodes_before: int
    nodes_after: int
    cards_before: int
    cards_after: int
    cards_free_after: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A reviewable change. `nodes` will change, `skipped` will not and say why.

    confirm_count: the number that must be typed, None when a yes suffices; power_freed_w: None when not metered;
    power_freed_by_feed_w: of it, what leaves each feed, () where none is declared.
    steps: sentences in order, for people. evidence: what the change rests on (finding, check result).
    """

    id: str
    verb: str
    wish: Wish
    created_at: int
    nodes: tuple[PlanNode, ...]
    skipped: tuple[PlanNode, ...] = ()
    reason: Reason | None = None
    mode: DrainMode = DrainMode.WAIT
    start_at: int | None = None
    end_at: int | None = None
    deadline_at: int | None = None
    expected_return_at: int | None = None
    ticket: str = ""
    evidence: str = ""
    guards: tuple[GuardTouch, ...] = ()
    capacity: tuple[CapacityLeft, ...] = ()
    power_freed_w: float | None = None
    power_freed_by_feed_w: tuple[tuple[str, float], ...] = ()
    confirm_count: int | None = None
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    undo_of: str | None = None
    take_over: bool = False  # the person says in so many words that somebody else's drain is undone
    end_processes: bool = False  # what holds a card without a lease is ended with the leases

    @property
    def refusals(self) -> tuple[GuardTouch, ...]:
        """Guards that say no."""
        return tuple(g for g in self.guards if not g.ok)

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(n.host for n in self.nodes)

    @property
    def leases_hit(self) -> tuple[str, ...]:
        """Ids of all leases on the plan's nodes, each once, in order."""
        return tuple(dict.fromkeys(lease for node in self.nodes for lease in node.leases))


@dataclass(frozen=True, slots=True)
class Action:
    """A confirmed plan and how far it is. done + waiting + failed + superseded = total, unless it was
    cancelled: then nothing waits."""

    plan: str
    verb: str
    state: PlanState
    who: Actor
    created_at: int
    applied_at: int | None
    total: int
    done: int = 0
    waiting: int = 0
    failed: int = 0
    superseded: int = 0
    start_at: int | None = None
    end_at: int | None = None
    deadline_at: int | None = None
    reason: str = ""
    note: str = ""
    hosts: tuple[str, ...] = ()
    undo_of: str | None = None
