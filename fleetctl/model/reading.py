"""What a probe says about the things on a host: devices, their values, faults, and what could not be read.

The shapes every vendor's parser returns and every store, rule and screen takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Value = float | int | None


@dataclass(frozen=True, slots=True)
class Device:
    """Who it is. `key` is stable across reboots and renumbering: UUID, else serial, else PCI address, else index.

    kind: "card", "host", "sensor"; index: the number or id the tool prints, as text; pci: lower case with a 4-digit
    domain (`0000:1a:00.0`); parent: key of the card this is a part of (MIG slice, die, partition); shares: names of
    quantities whose value belongs to the whole board and is repeated or absent here ("power_w"), so that sums can
    leave repetitions out; quantity, unit and where only for sensors.
    """

    kind: str
    key: str
    index: str | None = None
    vendor: str | None = None
    model: str | None = None  # as the tool prints it
    chip: str | None = None  # as the catalogue calls it; None when nothing matches
    serial: str | None = None
    uuid: str | None = None
    pci: str | None = None
    slot: str | None = None
    firmware: str | None = None
    driver: str | None = None
    parent: str | None = None
    partition: str | None = None  # "1g.10gb", "CPX 3", "vir04"
    shares: tuple[str, ...] = ()
    quantity: str | None = None
    unit: str | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """One process that holds a card. Host facts: pid on the host, user and name may be hidden from us."""

    pid: int
    device: str  # Device.key
    name: str | None = None
    user: str | None = None
    mem_used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One card-to-card (or card-to-fabric) link. kind: nvlink, hccs, mlulink, metaxlink, xgmi, roce ..."""

    device: str  # Device.key
    index: str
    kind: str
    up: bool | None
    speed_gbps: float | None = None
    errors_total: int | None = None
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The values of one device at one moment. A missing name and None both mean unknown; 0 means a measured zero."""

    device: Device
    values: Mapping[str, Value]
    states: Mapping[str, str] = field(default_factory=dict)  # health, throttle reasons, ecc mode: words, by name


class FaultAction(StrEnum):
    """The ladder of what a fault asks for, mildest first. One vocabulary for every vendor."""

    OBSERVE = "observe"
    RESTART_WORK = "restart_work"
    RESET_WHEN_IDLE = "reset_when_idle"
    RESET_NOW = "reset_now"
    STOP_NEW_WORK = "stop_new_work"
    ISOLATE = "isolate"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault a tool or the kernel log named. count > 1 when repeats were folded.

    device: Device.key, PCI address or index as far as the line tells, else None (the whole host).
    at: epoch seconds, UTC, of the last occurrence; None when the source has no usable time.
    """

    vendor: str
    family: str  # xid, sxid, npu, ras, remap, link, driver, bus ...
    code: str
    text: str
    device: str | None = None
    action: FaultAction | None = None
    meaning: str | None = None
    at: float | None = None
    count: int = 1


class FindingKind(StrEnum):
    """Why there is no reading. Five findings, never one (see notes on accelerators, rule 9)."""

    MISSING_TOOL = "missing_tool"  # not installed: no accelerator of that vendor, or no tool
    TOOL_FAILED = "tool_failed"  # it ran and said no (driver absent, library mismatch ...)
    NOT_PERMITTED = "not_permitted"  # it may not be read with the rights we have: blind there, not broken
    TOOL_HUNG = "tool_hung"  # it did not end in time
    NO_DEVICES = "no_devices"  # it ran well and found nothing
    UNREADABLE = "unreadable"  # a line, cell or whole text that could not be read
    TOO_LARGE = "too_large"  # output over the limit was cut


@dataclass(frozen=True, slots=True)
class ProbeFinding:
    """One thing a probe could not read, with enough raw text (at most 2 KiB, escapes removed) to see why."""

    kind: FindingKind
    text: str
    line: int | None = None  # 1-based line of the output
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """All a probe's parse says. Never raises for bad input: what cannot be read is in `findings`."""

    readings: tuple[Reading, ...] = ()
    faults: tuple[Fault, ...] = ()
    findings: tuple[ProbeFinding, ...] = ()
    processes: tuple[Process, ...] = ()
    links: tuple[Link, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)  # about the host: kernel, os, boot_id, driver ...
    devices_expected: int | None = None  # how many the tool says exist, where it says so
