"""What a facility endpoint (BMC, PDU, UPS, cooler, meter) says: measurements, states, and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Measurement(NamedTuple):  # not a frozen dataclass: ten thousand are made a second, at a quarter of the price
    """One number at one place at one moment.

    quantity: power, apparent_power, energy, current, voltage, frequency, power_factor, temperature, humidity,
    fan_speed, flow, pressure, load, charge, runtime, cooling_power ...; where: the part, as the device names it; unit: as in
    `fleetctl.facility.quantity`; source: resource path, OID, register or sensor number; raw: the device's own words;
    as_of: epoch seconds.
    """

    quantity: str
    where: str
    value: float
    unit: str
    source: str
    raw: str
    as_of: float


class PointState(NamedTuple):
    """A word instead of a number: a leak detector, a transfer switch, a battery. code: as the device says it."""

    what: str
    where: str
    word: str
    source: str
    raw: str
    as_of: float
    bad: bool | None = None  # None: the device does not tell good from bad here


class Unknown(NamedTuple):
    """A value the device names and does not have: null, absent, "Unavailable", -1, NaN. Never a zero."""

    quantity: str
    where: str
    source: str
    raw: str


class SourceTrouble(StrEnum):
    """Why an endpoint, or a part of it, could not be read."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    AUTH = "auth"
    TLS = "tls"  # the certificate is not the one that is trusted
    REFUSED = "refused"  # 503, busy, no free session
    UNREADABLE = "unreadable"  # an answer that is not JSON, not BER, not a register
    TOO_LARGE = "too_large"
    IMPLAUSIBLE = "implausible"  # a value outside what the quantity can be; left out
    UNKNOWN_DEVICE = "unknown_device"  # no map fits


@dataclass(frozen=True, slots=True)
class SourceFinding:
    kind: SourceTrouble
    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """All one endpoint said in one reading. at: epoch seconds when the answer was complete.

    total_power_w: what the whole device draws, by the order of `fleetctl.facility.total`; total_power_source says
    which value that is. device: vendor, model, serial, firmware, map ... as far as told. complete: every part that the
    device names was read (False after a partial poll or findings that hide a part).
    """

    url: str
    kind: str  # redfish, ipmi, snmp, modbus, bacnet, mqtt
    at: float
    readings: tuple[Measurement, ...] = ()
    states: tuple[PointState, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    findings: tuple[SourceFinding, ...] = ()
    total_power_w: float | None = None
    total_power_source: str = ""
    device: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class RawValue:
    """One line of `fleetctl facility explain`: the raw form beside the decoded one, so that a map can be written."""

    source: str
    raw: str
    decoded: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class EndpointResult:
    """What asking one named endpoint came to. report None: nothing came, `trouble` and `text` say why."""

    name: str
    kind: str  # bmc, pdu, ups, ats, meter, cdu, crac, chiller, shelf, sensor
    url: str
    at: float
    host: str | None = None
    site: str = ""
    report: EndpointReport | None = None
    trouble: SourceTrouble | None = None
    text: str = ""
    duration_s: float = 0.0
