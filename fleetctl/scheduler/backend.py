"""What an engine beyond this machine (Slurm, Kubernetes) must be able to do for fleetctl; plugins implement it.

Where such an engine owns a node, fleetctl only asks: its own wish is a note, the engine's answer is the state. Reads are
one bulk query each per round, kept with their age; every write is read back. Whatever fails raises a FleetctlError, and
an empty answer is never taken for an empty fleet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from fleetctl.clock import Clock
from fleetctl.config.schema import Scheduler
from fleetctl.model.lease import WHOLE
from fleetctl.model.probe import Output
from fleetctl.model.states import Admin

MARK = "fleetctl"  # every reason we give begins with [fleetctl PLAN], so that we undo only what is ours


class Capability(StrEnum):
    """What this version of the engine allows with these rights."""

    DRAIN = "drain"
    RESUME = "resume"
    RESERVE = "reserve"
    SUBMIT = "submit"
    CANCEL = "cancel"
    POWER = "power"


@dataclass(frozen=True, slots=True)
class BackendNode:
    """One node as its engine says. word: the engine's own state, for people; cards: accelerators it counts.

    busy: work of the engine runs there, None when it does not say; ours: the reason carries our mark; held: its own
    drain is set, which a node that is merely down does not have, None when `state` alone tells; parts: how its cards are
    shared there, as name:parts of a card, "" where only whole ones are given.
    """

    host: str
    state: Admin
    word: str
    reason: str = ""
    owner: str = ""
    ours: bool = False
    busy: bool | None = None
    responding: bool | None = None
    cards: int | None = None
    cards_used: int | None = None
    since_at: int | None = None
    partitions: tuple[str, ...] = ()
    held: bool | None = None
    parts: str = ""


@dataclass(frozen=True, slots=True)
class BackendJob:
    """One job. hosts: where it runs, () while it waits; cards: in all, None when it asks for none by name; nodes: how many
    it has or asks for; places: the cards it holds by host, as the indices the engine prints, without hosts where they are
    not told; mark: what we wrote on a job of ours, "" on all others; qos: its class there."""

    id: str
    name: str
    user: str
    state: str
    partition: str = ""
    account: str = ""
    hosts: tuple[str, ...] = ()
    cards: int | None = None
    submitted_at: int | None = None
    start_at: int | None = None
    end_at: int | None = None
    reason: str = ""
    nodes: int | None = None
    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    mark: str = ""
    qos: str = ""


@dataclass(frozen=True, slots=True)
class BackendReservation:
    """One reservation of the engine. ours: its name carries our mark."""

    name: str
    hosts: tuple[str, ...]
    start_at: int | None
    end_at: int | None
    users: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    ours: bool = False


@dataclass(frozen=True, slots=True)
class BackendView:
    """One round's answer. at: epoch seconds when it was complete; version: of the engine, as it says."""

    at: float
    version: str
    nodes: Mapping[str, BackendNode]
    jobs: Sequence[BackendJob] = ()
    reservations: Sequence[BackendReservation] = ()
    partitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Nodes wanted from an engine until they are given back or their time is over.

    cards: on each node, 0 for whole nodes; duration_s None: as long as it allows; not_on: nodes of the partition that
    must not be used; tenant: whom it is for; begin_at: not before; reservation: name of one to use there; milli: of the
    one card, where only a part of it is wanted, as `parts` says (shard:4); qos, nice: what its class is there.
    """

    nodes: int
    cards: int
    tenant: str
    partition: str = ""
    exclusive: bool = False
    duration_s: int | None = None
    not_on: tuple[str, ...] = ()
    begin_at: int | None = None
    reservation: str = ""
    milli: int = WHOLE
    parts: str = ""
    qos: str = ""
    nice: int | None = None


class Shell(Protocol):
    """Where an engine's own tools are run: a login node over SSH, or this machine."""

    async def run(
        self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0, max_bytes: int = 1 << 20
    ) -> Output:
        """One POSIX sh command, as `fleetctl.transport` runs it. Raises UnreachableError and AuthError."""


class Backend(Protocol):
    """One endpoint of one engine. All methods have their own time limit and raise FleetctlError."""

    @property
    def name(self) -> str:
        """Name of the endpoint: `slurm`, or `slurm@site` where there are several."""

    async def capabilities(self) -> frozenset[Capability]:
        """What may be asked of it now."""

    async def read(self) -> BackendView:
        """Nodes, jobs, partitions and reservations, one bulk query each."""

    async def read_node(self, host: str) -> BackendNode:
        """One node, fresh, for reading a write back. Raises NotFoundError when the engine does not know it."""

    async def drain(self, host: str, reason: str) -> None:
        """No new work there; running work goes on. reason carries our mark already."""

    async def resume(self, host: str) -> None:
        """Take work again."""

    async def reserve(
        self, name: str, hosts: Sequence[str], start_at: int, end_at: int | None, *, users: Sequence[str], maint: bool
    ) -> str:
        """Hold nodes; the engine's name for it."""

    async def unreserve(self, name: str) -> None:
        """Give a reservation back."""

    async def submit(
        self,
        script: str,
        *,
        name: str,
        partition: str,
        nodes: int,
        cards: int,
        duration_s: int,
        mark: str,
        milli: int = WHOLE,
        parts: str = "",
        qos: str = "",
        nice: int | None = None,
        requeue: bool | None = None,
    ) -> str:
        """Queue a job; its id. cards: per node; mark: kept with the job, `find` knows it by that; milli, parts, qos, nice:
        as in Allocation; requeue: may it begin anew after it was preempted, None: as usual there."""

    async def hold(self, wanted: Allocation, mark: str) -> str:
        """Queue a job that does nothing but hold nodes; its id."""

    async def find(self, mark: str) -> str:
        """The job with that mark, also one that ended lately; "" when there is none."""

    async def fates(self, jobs: Sequence[str]) -> Mapping[str, str]:
        """What became of jobs that are over: cancelled, preempted, timeout ... Those it forgot already are missing."""

    async def set_end(self, job: str, start_at: int, end_at: int | None) -> None:
        """Let a running job last until then; None: as long as it may."""

    async def cancel(self, job: str) -> None:
        """End or withdraw a job."""

    async def diagnose(self) -> list[Advice]:
        """What works and what does not with this version and these rights, for `doctor`. Raises nothing."""


class MakeBackend(Protocol):
    """What a plugin names in `backends`: settings of one `[[schedulers]]` table and a way to its tools -> the endpoint."""

    def __call__(self, settings: Scheduler, shell: Shell, clock: Clock) -> Backend: ...


@dataclass(frozen=True, slots=True)
class Advice:
    """One line of a diagnosis. level: "ok", "warn" or "bad"; hint: the next step."""

    level: str
    text: str
    hint: str = ""


def marked(plan: str, reason: str) -> str:
    """A reason with our mark: `[fleetctl p-abc] hw: fan`."""
    return f"[{MARK} {plan}] {reason}"


def is_ours(reason: str) -> bool:
    """Does a reason carry our mark?"""
    return reason.lstrip().startswith(f"[{MARK} ")
