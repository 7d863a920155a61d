"""Who asks for cards, who holds them, and from when to when."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

WHOLE = 1000  # milli-cards of a whole card
HOST_SLOT = ""  # the card name under which a node without accelerators is held


class LeaseState(StrEnum):
    ACTIVE = "active"
    ENDING = "ending"  # no longer the tenant's; epilog hooks still run, cards are still held
    ENDED = "ended"


class RequestState(StrEnum):
    QUEUED = "queued"
    GRANTED = "granted"
    CANCELLED = "cancelled"
    IMPOSSIBLE = "impossible"  # it can never fit; the nearest that could stands in its note
    LAPSED = "lapsed"  # its latest start has passed


class Latency(StrEnum):
    REALTIME = "realtime"  # at most 5 ms
    INTERACTIVE = "interactive"  # at most 20 ms
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked for: `nodes` nodes with `cards` cards of `milli` thousandths each, all at once or not at all.

    cards 0 asks for whole nodes, whatever they hold; exclusive: nobody else on those nodes. chip: pattern matched
    without case anywhere in the chip's name; chip_class: "general", "ai", "hpc"; min_fp16_tflops: dense, per card.
    same: "rack" or "site" the whole gang must share; price_ceiling: yuan per card-hour; hosts and not_hosts: only,
    or never, these.
    """

    nodes: int = 1
    cards: int = 1
    milli: int = WHOLE
    exclusive: bool = False
    chip: str = ""
    chip_class: str = ""
    min_fp16_tflops: float | None = None
    min_mem_bytes: int | None = None
    pool: str = ""
    site: str = ""
    same: str = ""
    latency: Latency = Latency.BATCH
    price_ceiling: float | None = None
    green: bool = False
    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One wish for cards. start_at: not before; latest_start_at: give up then; duration_s None: until given back.

    cls: "urgent", "normal" or "spot"; only spot may be preempted, and only by urgent. reservation: use what was held
    for later under that id. Moments are whole UTC seconds.
    """

    id: str
    tenant: str
    shape: Shape
    submitted_at: int
    who: str = ""
    cls: str = "normal"
    duration_s: int | None = None
    start_at: int | None = None
    latest_start_at: int | None = None
    reservation: str = ""
    note: str = ""
    state: RequestState = RequestState.QUEUED
    lease: str | None = None
    decided_at: int | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class Hold:
    """A part of one card under a lease. milli of 1000; index is the number the tools print, None when unknown."""

    host: str
    card: str
    milli: int
    index: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Cards given to a tenant from a time to a time; the only source of billing. end_at None: until given back."""

    id: str
    request: str
    tenant: str
    who: str
    state: LeaseState
    start_at: int
    end_at: int | None
    holds: tuple[Hold, ...]
    cls: str = "normal"
    exclusive: bool = False
    ended_at: int | None = None
    ended_why: str = ""
    version: int = 1
    shape: Shape = field(default_factory=Shape)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its hosts, each once, in order of the holds."""
        return tuple(dict.fromkeys(h.host for h in self.holds))


@dataclass(frozen=True, slots=True)
class Reservation:
    """Nodes held for later: for a tenant (kind "hold") or for work on them (kind "maint"). end_at None: open end."""

    id: str
    kind: str
    hosts: tuple[str, ...]
    start_at: int
    end_at: int | None
    tenant: str = ""
    who: str = ""
    reason: str = ""
    plan: str | None = None
    state: str = "planned"  # planned, cancelled, over
    created_at: int = 0
