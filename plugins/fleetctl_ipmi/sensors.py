"""What sensor readings and DCMI answers mean. Pure.

Source: IPMI v2.0 tables 43-1 and 43-15 (units), 42-3 (types); DCMI 1.5 section 6.6.1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleetctl.facility.quantity import plausible
from fleetctl.model.facility import Measurement, PointState, SourceFinding, SourceTrouble, Unknown

QUANTITIES = {
    "C": "temperature",
    "F": "temperature",
    "K": "temperature",
    "V": "voltage",
    "A": "current",
    "W": "power",
    "J": "energy",
    "RPM": "fan_speed",
    "rpm": "fan_speed",
    "Hz": "frequency",
    "%": "percent",
    "VA": "apparent_power",
    "CFM": "air_flow",
    "kPa": "pressure",
}
# Units as pyghmi and ipmitool write them, in lower case.
_UNITS = {
    "rpm": "rpm",
    "watts": "W",
    "volts": "V",
    "amps": "A",
    "degrees c": "C",
    "degrees f": "F",
    "degrees k": "K",
    "percent": "%",
    "joules": "J",
    "hertz": "Hz",
    "cfm": "CFM",
    "unspecified": "",
}
# Sensor names that vendors use for the draw of the whole machine, best first.
TOTAL_NAMES = tuple(
    re.compile(p, re.IGNORECASE)
    for p in (
        r"^(pwr|power)[ _]?consumption",
        r"^system[ _]board[ _](pwr|power)[ _]?consumption",
        r"^(sys(tem)?|total|node|chassis|platform)[ _]?(input[ _]?)?(pwr|power)([ _](consumption|in|total))?$",
        r"^(total|sys)_?pwr$",
        r"^power[ _]meter$",
        r"^pwr_system$",
    )
)
_SUPPLY_INPUT = re.compile(
    r"^(psu?|power supply|pwr supply)[ _]?\d+[ _-]?(input|in|pin|ac|power[ _]in)?([ _]?(power|pwr|watts|pin))?$", re.I
)
_SUPPLY_OUT = re.compile(r"out|dc|volt|cur|temp|fan|status", re.I)


@dataclass(frozen=True, slots=True)
class SensorValue:
    """One sensor as the library decoded it. value None: not available. words: states, for discrete sensors."""

    number: int
    name: str
    entity: str
    units: str
    value: float | None
    raw: str
    available: bool
    words: tuple[str, ...] = ()
    bad: bool | None = None
    numeric: bool = True


def clean(name: str) -> str:
    """A sensor's name without what a terminal must not see."""
    return "".join(c for c in name if c.isprintable()).strip() or "?"


def unit_of(suffix: str) -> str:
    """`°C`, ` W`, ` RPM` as our units."""
    text = suffix.strip().replace("°", "")
    return _UNITS.get(text.lower(), text)


def read_sensors(
    sensors: Iterable[SensorValue], at: float
) -> tuple[list[Measurement], list[PointState], list[Unknown], list[SourceFinding]]:
    """Names repeat on real BMCs ("Temp" three times), so a repeated one carries its sensor number."""
    known = list(sensors)
    repeated = {name for name, count in Counter(s.name for s in known).items() if count > 1}
    readings: list[Measurement] = []
    states: list[PointState] = []
    unknown: list[Unknown] = []
    findings: list[SourceFinding] = []
    for sensor in known:
        where = clean(sensor.name) + (f" [{sensor.number:#04x}]" if sensor.name in repeated else "")
        source = f"sensor {sensor.number:#04x}" + (f" {sensor.entity}" if sensor.entity else "")
        unit = unit_of(sensor.units)
        quantity = QUANTITIES.get(unit, "value")
        if quantity == "percent":
            quantity = "fan_duty" if "fan" in sensor.name.lower() else "utilization"
        if not sensor.numeric:
            if not sensor.available:
                unknown.append(Unknown("state", where, source, sensor.raw))
            elif sensor.words:
                states.append(PointState("sensor", where, ", ".join(sensor.words), source, sensor.raw, at, sensor.bad))
        elif sensor.value is None or not sensor.available:
            unknown.append(Unknown(quantity, where, source, sensor.raw))
        elif not plausible(quantity, sensor.value, unit):
            text = f"{where}: {quantity} of {sensor.value:g} {unit} cannot be"
            findings.append(SourceFinding(SourceTrouble.IMPLAUSIBLE, text, source))
        else:
            readings.append(Measurement(quantity, where, sensor.value, unit, source, sensor.raw, at))
    return readings, states, unknown, findings


def dcmi_power(data: Sequence[int]) -> tuple[int, bool] | None:
    """(watts now, measuring) from a Get Power Reading answer without its completion code, None when it is none."""
    if len(data) < 18 or data[0] != 0xDC:
        return None
    return data[1] | data[2] << 8, bool(data[17] & 0x40)


def total_power(
    dcmi: tuple[int, bool] | None, readings: Iterable[Measurement], unknown: Iterable[Unknown]
) -> tuple[float, str] | None:
    """DCMI, then a named sensor, then the sum of all supply inputs that are there; None rather than a guess."""
    if dcmi is not None and dcmi[1] and 0 < dcmi[0] < 65535:
        return float(dcmi[0]), "DCMI power reading"
    watts = [r for r in readings if r.quantity == "power" and r.unit == "W"]
    for pattern in TOTAL_NAMES:
        for r in watts:
            if pattern.search(r.where):
                return r.value, f"{r.source} ({r.where})"
    inputs = [r for r in watts if _SUPPLY_INPUT.search(r.where) and not _SUPPLY_OUT.search(r.where)]
    if inputs:
        return sum(r.value for r in inputs), "sum of " + ", ".join(r.where for r in inputs)
    return None
