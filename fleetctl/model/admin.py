"""Who wants what of a node, why, and until when: the wish side of the admin axis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleetctl.model.states import Admin, ReasonClass


class ActorKind(StrEnum):
    PERSON = "person"
    RULE = "rule"  # automation of fleetctl itself
    OUTSIDE = "outside"  # another scheduler, or somebody who spoke to it


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. name: a login, the name of a rule, or `backend:user`."""

    kind: ActorKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}"


class Wish(StrEnum):
    """What is wanted of a node. DRAINING and DRAINED are no wishes: they are derived from `drain` and what runs."""

    STAGE = "stage"
    BURN_IN = "burn_in"
    SERVE = "serve"
    CORDON = "cordon"
    DRAIN = "drain"
    MAINT = "maint"
    VERIFY = "verify"
    QUARANTINE = "quarantine"
    RMA = "rma"
    RETIRE = "retire"


class DrainMode(StrEnum):
    """How running work is treated when a node leaves service."""

    WAIT = "wait"  # work ends by itself, however long it takes
    DEADLINE = "deadline"  # work that still runs at the deadline is ended
    NOW = "now"  # work is ended at the next step of the engine


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: always a class and a text, written `class: text`."""

    cls: ReasonClass
    text: str

    def __str__(self) -> str:
        return f"{self.cls.value}: {self.text}"


@dataclass(frozen=True, slots=True)
class NodeAdmin:
    """What is wanted of one node and what was last observed. A node without a record is in service, version 0.

    version: grows by one with each change; every change names the version it saw (compare-and-set).
    observed: the admin state the engine last recorded; released: what brought the node back, kept until it leaves again.
    Moments are whole UTC seconds.
    """

    host: str
    wish: Wish = Wish.SERVE
    version: int = 0
    owner: Actor | None = None
    reason: Reason | None = None
    ticket: str = ""
    mode: DrainMode = DrainMode.WAIT
    deadline_at: int | None = None
    expected_return_at: int | None = None
    evidence: str = ""
    plan: str | None = None
    since_at: int | None = None
    observed: Admin = Admin.IN_SERVICE
    observed_at: int | None = None
    released: str = ""


@dataclass(frozen=True, slots=True)
class CardAdmin:
    """The same for one card of a node: one bad card of eight leaves, the other seven go on."""

    host: str
    card: str  # Device.key
    wish: Wish = Wish.SERVE
    version: int = 0
    owner: Actor | None = None
    reason: Reason | None = None
    mode: DrainMode = DrainMode.WAIT
    deadline_at: int | None = None
    plan: str | None = None
    since_at: int | None = None


@dataclass(frozen=True, slots=True)
class OutsideState:
    """What an outside scheduler says of a node; seen_at tells how old that is.

    word: its own state, for people; cards: accelerators it counts, cards_used: of these given to its jobs; parts: how
    they are shared there, as name:parts of a card, "" where only whole ones are given.
    """

    host: str
    backend: str
    state: Admin
    owner: str = ""
    reason: str = ""
    ours: bool = False  # it carries fleetctl's own marker
    busy: bool | None = None  # work of that scheduler runs there; None: not known
    since_at: int | None = None
    seen_at: int | None = None
    word: str = ""
    responding: bool | None = None
    cards: int | None = None
    cards_used: int | None = None
    partitions: tuple[str, ...] = ()
    parts: str = ""
