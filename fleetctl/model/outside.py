"""What schedulers beside ours say: their endpoints, their jobs, and what was asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetctl.model.admin import Actor
from fleetctl.model.plan import StepState


@dataclass(frozen=True, slots=True)
class OutsideEndpoint:
    """How one endpoint fares. nodes: it owns; strangers: of these, not in fleet.toml; trouble: why the last try failed.

    Moments are epoch seconds. ok_at: of its last whole answer, which is what is shown, with that age.
    """

    name: str
    kind: str
    site: str
    version: str = ""
    nodes: int | None = None
    strangers: int | None = None
    tried_at: int | None = None
    ok_at: int | None = None
    trouble: str = ""
    hint: str = ""
    trouble_since: int | None = None


@dataclass(frozen=True, slots=True)
class OutsideJob:
    """One job of an outside scheduler that waits or runs. cards: in all, None when it does not say; places: the cards it
    holds by host, as their indices, without hosts where they are not told; qos: its class there."""

    backend: str
    id: str
    name: str
    user: str
    account: str
    state: str
    partition: str
    hosts: tuple[str, ...]
    cards: int | None
    nodes: int | None
    submitted_at: int | None
    start_at: int | None
    end_at: int | None
    reason: str
    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    qos: str = ""


@dataclass(frozen=True, slots=True)
class OutsideWindow:
    """One reservation of an outside scheduler. ours: fleetctl made it."""

    backend: str
    name: str
    hosts: tuple[str, ...]
    start_at: int | None
    end_at: int | None
    users: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    ours: bool = False


@dataclass(frozen=True, slots=True)
class OutsideOrder:
    """Something asked of an endpoint. verb: cancel or submit; answer: the job's id, or why not; moved_at: begun or ended."""

    id: str
    backend: str
    verb: str
    who: Actor
    created_at: int
    body: Mapping[str, Any] = field(default_factory=dict)
    state: StepState = StepState.PENDING
    attempts: int = 0
    answer: str = ""
    moved_at: int | None = None


OPEN_END = 0  # an end that is to be told: none


@dataclass(frozen=True, slots=True)
class OutsideRequest:
    """A request of ours that another scheduler serves.

    mark: written on its job there, by which the job is found again after a crash; state: wanted, doing (its submit was
    begun), told (`job` is known), ending (its job must go), over; told_at: when it was submitted, epoch seconds; end_at:
    an end that is still to be told, OPEN_END for none; answer: what it said last.
    """

    request: str
    backend: str
    mark: str
    body: Mapping[str, Any] = field(default_factory=dict)
    job: str = ""
    state: str = "wanted"
    attempts: int = 0
    told_at: int | None = None
    end_at: int | None = None
    answer: str = ""
