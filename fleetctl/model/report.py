"""What one host said in one round: the batch that goes from the collector to the store.

Built for 12,500 hosts x 8 cards: values travel as blocks of plain tuples, and `devices` stays the same object from
round to round while nothing changed, so that the store finds row ids by identity instead of by hashing every device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fleetctl.model.probe import Outcome
from fleetctl.model.reading import Device, Fault, Link, ProbeFinding, Process, Value
from fleetctl.model.states import Reach


class ErrorKind(StrEnum):
    """Why a host said nothing. A host that fails is data."""

    RESOLVE = "resolve"  # its name means nothing
    UNREACHABLE = "unreachable"  # refused, no route, no answer
    TIMED_OUT = "timed_out"
    AUTH = "auth"
    HOST_KEY = "host_key"
    PROTOCOL = "protocol"  # not SSH, or cut in the handshake
    GARBLED = "garbled"  # connected, but its frames cannot be read
    CLOSED = "closed"  # the connection ended


@dataclass(frozen=True, slots=True)
class Block:
    """Values of devices of one kind.

    columns: metric names, C of them; devices: N; rows: N tuples of C values; states: words per device, sparse.
    """

    kind: str
    columns: tuple[str, ...]
    devices: tuple[Device, ...]
    rows: tuple[tuple[Value, ...], ...]
    states: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # Device.key -> name -> word


@dataclass(frozen=True, slots=True)
class ProbeState:
    """How one probe fared on one host. since: console clock when this outcome began."""

    probe: str
    outcome: Outcome
    duration_s: float | None = None
    text: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class HostReport:
    """One host, one round. at: console clock, epoch seconds, when the answer was complete (or given up)."""

    host: str
    at: float
    reach: Reach
    error: ErrorKind | None = None
    error_text: str = ""
    blocks: tuple[Block, ...] = ()
    faults: tuple[Fault, ...] = ()
    findings: tuple[ProbeFinding, ...] = ()
    processes: tuple[Process, ...] | None = None  # None: not asked this time; (): asked, none
    links: tuple[Link, ...] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[ProbeState, ...] = ()
    devices_expected: int | None = None
