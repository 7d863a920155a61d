"""A Redfish resource as measurements, states and unknowns. Pure; anything may stand anywhere in a BMC's JSON.

Source: DMTF DSP8010 schemas (Sensor, Power, Thermal, EnvironmentMetrics, PowerSupplyMetrics, PowerDistributionMetrics,
Circuit, Outlet, CoolantConnector, Pump, Fan, LeakDetector), DSP0268 for the meaning of excerpts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fleetctl.facility.quantity import NOTHING_NUMBERS, QUANTITIES, number, plausible
from fleetctl.model.facility import Measurement, PointState, SourceFinding, SourceTrouble, Unknown
from fleetctl_redfish.vocabulary import (
    COLLECTIONS,
    EXCERPT_EXTRAS,
    EXCERPT_WORDS,
    EXCERPTS,
    READING_TYPES,
    UNIT_QUANTITY,
    UNITS,
)

Json = Mapping[str, Any]

_GONE = ("Absent", "Disabled", "UnavailableOffline")
_ABSENT = frozenset((*NOTHING_NUMBERS, -1.0))
_ABSENT_TEMPERATURE = frozenset(NOTHING_NUMBERS)  # minus one degree is a temperature
_REMEMBERED = 100_000  # names of points; BMCs of one model share theirs
_MARGIN = re.compile(r"(?i)margin|mgn|mrgn|tjmax|dts")
# Margins by another name where they are negative. Intel: "P2 DIMM Thrm 1" is -68 on a cool board; Lenovo's ThermalMetrics
# repeat "CPU 1 DTS" as one more temperature of a CPU.
_BELOW = re.compile(r"(?i)\bthrm\b|/[cg]pu$")
_MAX_DEPTH = 6
_MAX_RAW = 80


@dataclass
class Found:
    """What one resource or one whole tree says; filled resource by resource."""

    readings: list[Measurement] = field(default_factory=list)
    states: list[PointState] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)

    def add(
        self, quantity: str, where: str, raw: Any, unit: str, source: str, at: float, *, gone: bool = False
    ) -> None:
        """One number, or one unknown where the BMC has none."""
        quantity, absent, least, most = _rules(quantity, where, unit)
        if type(raw) in _NUMBERS:
            shown = repr(raw)
            if not gone and least <= raw <= most and raw not in absent:  # nearly all: the rest is for the odd ones
                self.readings.append(Measurement(quantity, where, float(raw), unit, source, shown[:_MAX_RAW], at))
                return
        else:
            shown = raw if isinstance(raw, str) else json.dumps(raw, default=str)
        if quantity == "temperature" and _BELOW.search(where) and _negative(raw):
            quantity = "temperature_margin"
        value = None if gone else number(raw, absent)
        if value is None:
            self.unknown.append(Unknown(quantity, where, source, shown[:_MAX_RAW]))
        elif not plausible(quantity, value, unit):
            text = f"{where}: {quantity} of {shown[:_MAX_RAW]} {unit} cannot be"
            self.findings.append(SourceFinding(SourceTrouble.IMPLAUSIBLE, text, source))
        else:
            self.readings.append(Measurement(quantity, where, value, unit, source, shown[:_MAX_RAW], at))


def _negative(raw: Any) -> bool:
    return (number(raw) or 0.0) < 0


_NUMBERS = frozenset((int, float))  # bool is neither


@lru_cache(_REMEMBERED)
def _rules(quantity: str, where: str, unit: str) -> tuple[str, frozenset[float], float, float]:
    """(quantity, numbers that mean nothing, least and most that need no second look) of a point."""
    if quantity == "temperature" and _MARGIN.search(where):
        quantity = "temperature_margin"  # degrees below the limit: negative on Intel boards
    absent = _ABSENT_TEMPERATURE if quantity.startswith("temperature") else _ABSENT
    known, least, most = QUANTITIES.get(quantity, (unit, -1e300, 1e300))
    if known != unit:
        least, most = 1.0, 0.0
    elif quantity == "temperature" and _BELOW.search(where):
        least = 0.0
    return quantity, absent, least, most


@lru_cache(_REMEMBERED)
def _names(path: str, group: str, i: int, key: str, name: str, word: str = "") -> tuple[str, str]:
    """(where, source) of one number of one part in a list."""
    return f"{_owner(path)}/{name}{word}", f"{path}#/{group}/{i}/{key}"


def text_of(value: Any, limit: int = 120) -> str:
    """A short printable text from whatever stands there."""
    if type(value) is str and len(value) <= limit and value.isprintable():
        return value.strip()
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    return "".join(c for c in str(value) if c.isprintable())[:limit].strip()


def type_of(resource: Json) -> str:
    """`Power` from `#Power.v1_7_0.Power`; empty when there is none."""
    name = resource.get("@odata.type")
    return name.rpartition(".")[2] if isinstance(name, str) else ""


def is_gone(resource: Json) -> bool:
    """True where the part says that it is not there: its readings are then unknown, whatever number stands there."""
    return state_of(resource) in _GONE


def state_of(resource: Json) -> str:
    """`Enabled`, `Absent` ...; empty when it does not tell."""
    status = resource.get("Status")
    return text_of(status.get("State"), 40) if isinstance(status, dict) else ""


def _dicts(value: Any) -> Iterator[tuple[int, Json]]:
    for i, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            yield i, item


def place_of(path: str) -> str:
    """`Chassis/1U/PowerSubsystem/PowerSupplies/Bay1/Metrics` as `1U/Bay1`: the ids without the collections."""
    parts = [p for p in path.split("#")[0].split("/") if p][2:]
    return "/".join(p for p in parts if p not in COLLECTIONS) or "/".join(parts)


def read_resource(resource: Json, path: str, at: float, found: Found) -> None:
    """Everything one resource tells, into `found`. Never raises for odd content."""
    kind = type_of(resource)
    if kind == "Power" or isinstance(resource.get("PowerControl"), list):
        _power(resource, path, at, found)
    elif kind == "Thermal" or isinstance(resource.get("Temperatures"), list):
        _thermal(resource, path, at, found)
    elif kind == "Sensor" or ("Reading" in resource and ("ReadingType" in resource or "ReadingUnits" in resource)):
        _sensor(resource, path, at, found)
    elif kind == "LeakDetector":
        _leak(resource, path, at, found)
    elif kind in ("ComputerSystem", "Chassis"):
        state = text_of(resource.get("PowerState"))
        if state:
            found.states.append(PointState("power", place_of(path) or path, state.lower(), path, state, at))
    elif "Collection" not in kind:
        base = _place(resource, path)
        _excerpts(resource, path, base, at, found, gone=is_gone(resource), depth=0)


def _place(resource: Json, path: str) -> str:
    """`chassis/part`: the first id of the path and the part's own name or id."""
    parts = [p for p in path.split("/") if p][2:]
    owner = parts[1] if len(parts) > 1 else ""
    rest = place_of(path)
    return rest or owner or text_of(resource.get("Name")) or path


def _owner(path: str) -> str:
    parts = [p for p in path.split("/") if p]
    return parts[3] if len(parts) > 3 else ""


def quantity_and_unit(sensor: Json) -> tuple[str, str]:
    """What a sensor measures. Where its type and its unit disagree the unit is right (Lenovo XCC: fans in rpm as
    AirFlow, watts as Current; NVIDIA: pascals as Altitude), but a "kW" that counts energy is a kWh without its hours."""
    reading_type = text_of(sensor.get("ReadingType"))
    quantity, usual = READING_TYPES.get(reading_type, ("", ""))
    named = text_of(sensor.get("ReadingUnits"), 24)
    unit = UNITS.get(named, named) or usual
    told = UNIT_QUANTITY.get(unit, "")
    if not quantity:
        return told or reading_type.lower() or "value", unit
    if told and told != quantity:
        if quantity == "energy" and unit in ("W", "kW"):
            return quantity, f"{unit}h"
        if quantity not in _SHARED_UNITS.get(unit, ()):
            return told, unit
    return quantity, unit


_SHARED_UNITS = {"kW": ("cooling_power",), "W": ("cooling_power",), "Hz": ("fan_speed",), "C": ("temperature_margin",)}


def _sensor(sensor: Json, path: str, at: float, found: Found) -> None:
    quantity, unit = quantity_and_unit(sensor)
    name = text_of(sensor.get("Name")) or text_of(sensor.get("Id")) or path.rpartition("/")[2]
    where = f"{_owner(path)}/{name}"
    if quantity == "percent":
        low = name.lower()
        quantity = "fan_duty" if "fan" in low or "pwm" in low or "pump" in low else "utilization"
        quantity, unit = _percent_or_rpm(quantity, sensor.get("Reading"), unit)
    if sensor.get("ReadingUnits") == "" and (sensor.get("Reading") == 0 or not sensor.get("ReadingType")):
        return  # Lenovo XCC: the code of a discrete sensor, "PCIe 5 OverTemp" is no temperature of 0 C
    if "Reading" in sensor:
        found.add(quantity, where, sensor["Reading"], unit, path, at, gone=is_gone(sensor))
        if quantity == "power":
            for key, (extra, extra_unit) in EXCERPT_EXTRAS.items():
                if sensor.get(key) is not None:
                    found.add(extra, where, sensor[key], extra_unit, f"{path}#/{key}", at, gone=is_gone(sensor))
            if sensor.get("PowerFactor") is not None:
                found.add("power_factor", where, sensor["PowerFactor"], "", f"{path}#/PowerFactor", at)
    if sensor.get("SpeedRPM") is not None and quantity != "fan_speed":
        found.add("fan_speed", where, sensor["SpeedRPM"], "rpm", f"{path}#/SpeedRPM", at, gone=is_gone(sensor))


def _percent_or_rpm(quantity: str, raw: Any, unit: str) -> tuple[str, str]:
    """AMI (DGX H100) and Lenovo XCC write revolutions a minute where the schema says percent."""
    value = number(raw)
    if quantity == "fan_duty" and unit == "%" and value is not None and value > 200:
        return "fan_speed", "rpm"
    return quantity, unit


def _leak(detector: Json, path: str, at: float, found: Found) -> None:
    state = text_of(detector.get("DetectorState"))
    name = text_of(detector.get("Name")) or text_of(detector.get("Id"))
    where = f"{_owner(path)}/{name}"
    if state and not is_gone(detector):
        found.states.append(PointState("leak", where, state.lower(), path, state, at, bad=state != "OK"))
    elif "DetectorState" in detector:
        found.unknown.append(Unknown("leak", where, path, state or "null"))


def _power(power: Json, path: str, at: float, found: Found) -> None:
    for i, control in _dicts(power.get("PowerControl")):
        name = text_of(control.get("Name")) or text_of(control.get("MemberId")) or str(i)
        if "PowerConsumedWatts" in control:
            where, source = _names(path, "PowerControl", i, "PowerConsumedWatts", name)
            gone = state_of(control) == "Absent"  # "Disabled" is said of the limit (Gigabyte), not of the meter
            found.add("power", where, control["PowerConsumedWatts"], "W", source, at, gone=gone)
        limit = control.get("PowerLimit")
        if isinstance(limit, dict) and limit.get("LimitInWatts") is not None:
            where, source = _names(path, "PowerControl", i, "PowerLimit/LimitInWatts", name)
            found.add("power_limit", where, limit["LimitInWatts"], "W", source, at)
    for i, voltage in _dicts(power.get("Voltages")):
        name = text_of(voltage.get("Name")) or text_of(voltage.get("MemberId")) or str(i)
        if "ReadingVolts" in voltage:
            where, source = _names(path, "Voltages", i, "ReadingVolts", name)
            found.add("voltage", where, voltage["ReadingVolts"], "V", source, at, gone=is_gone(voltage))
    for i, supply in _dicts(power.get("PowerSupplies")):
        name = text_of(supply.get("Name")) or text_of(supply.get("MemberId")) or str(i)
        for key, quantity, unit, word in _SUPPLY:
            if key in supply:
                where, source = _names(path, "PowerSupplies", i, key, name, f" #{i}{word}")
                found.add(quantity, where, supply[key], unit, source, at, gone=is_gone(supply))


_SUPPLY = (
    ("PowerInputWatts", "power", "W", " input"),
    ("PowerOutputWatts", "power", "W", " output"),
    ("LastPowerOutputWatts", "power", "W", " last output"),
    ("LineInputVoltage", "voltage", "V", " input"),
    ("EfficiencyPercent", "efficiency", "%", ""),
)


def _thermal(thermal: Json, path: str, at: float, found: Found) -> None:
    for i, sensor in _dicts(thermal.get("Temperatures")):
        name = text_of(sensor.get("Name")) or text_of(sensor.get("MemberId")) or str(i)
        if "ReadingCelsius" in sensor:
            where, source = _names(path, "Temperatures", i, "ReadingCelsius", name)
            raw = sensor["ReadingCelsius"]
            # 0 with no health at all is how several BMCs write an empty slot
            empty = raw == 0 and isinstance(sensor.get("Status"), dict) and not sensor["Status"].get("Health")
            found.add("temperature", where, raw, "C", source, at, gone=is_gone(sensor) or empty)
    for i, fan in _dicts(thermal.get("Fans")):
        name = text_of(fan.get("Name")) or text_of(fan.get("FanName")) or text_of(fan.get("MemberId")) or str(i)
        for key, unit_key in (("Reading", "ReadingUnits"), ("ReadingRPM", ""), ("CurrentReading", "Units")):
            if key in fan:
                unit = UNITS.get(text_of(fan.get(unit_key)), "rpm") if unit_key else "rpm"
                if unit_key and not fan.get(unit_key):  # HPE before 2016 and some AMI: percent without a unit
                    continue
                quantity = "fan_duty" if unit == "%" else "fan_speed"
                where, source = _names(path, "Fans", i, key, name)
                found.add(quantity, where, fan[key], unit, source, at, gone=is_gone(fan))
                break


def _excerpts(node: Any, path: str, where: str, at: float, found: Found, *, gone: bool, depth: int) -> None:
    """All sensor excerpts (`{"Reading": ..., "DataSourceUri": ...}`) below a resource, known by their property name."""
    if depth > _MAX_DEPTH or not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in ("Links", "Oem", "Actions", "Status", "Location", "Thresholds") or key.startswith("@"):
            continue
        rule = next(((q, u) for pattern, q, u in EXCERPTS if pattern.search(key)), None)
        if rule is None:
            if isinstance(value, list):
                for i, item in _dicts(value):
                    name = text_of(item.get("GroupName")) or text_of(item.get("Name")) or f"{key} {i}"
                    _leak_entry(item, _pointer(path, f"{key}/{i}"), f"{where}/{name}", at, found)
                    _excerpts(
                        item, _pointer(path, f"{key}/{i}"), f"{where}/{name}", at, found, gone=gone, depth=depth + 1
                    )
            elif isinstance(value, dict) and "@odata.id" not in value:
                _excerpts(value, _pointer(path, key), where, at, found, gone=gone, depth=depth + 1)
            continue
        _excerpt(rule, key, value, path, where, at, found, gone=gone, depth=depth)


def _pointer(source: str, key: str) -> str:
    """One step further into a resource: `path#/a/b`, with one `#` however deep."""
    return f"{source}/{key}" if "#" in source else f"{source}#/{key}"


def _leak_entry(item: Json, source: str, where: str, at: float, found: Found) -> None:
    """Detectors that stand inside LeakDetection groups instead of in a collection of their own."""
    state = text_of(item.get("DetectorState"))
    if state:
        name = text_of(item.get("DeviceName")) or where
        found.states.append(PointState("leak", name, state.lower(), source, state, at, bad=state != "OK"))


def _excerpt(
    rule: tuple[str, str],
    key: str,
    value: Any,
    path: str,
    where: str,
    at: float,
    found: Found,
    *,
    gone: bool,
    depth: int,
) -> None:
    quantity, unit = rule
    source = _pointer(path, key)
    word = EXCERPT_WORDS.get(key, "")
    place = f"{where} {word}".rstrip()
    if isinstance(value, list):
        for i, item in _dicts(value):
            name = text_of(item.get("DeviceName")) or text_of(item.get("PhysicalContext")) or str(i)
            _one_excerpt(quantity, unit, item, f"{source}/{i}", f"{place}/{name}", at, found, gone)
    elif isinstance(value, dict) and ("Reading" in value or "SetPoint" in value or "SpeedRPM" in value):
        _one_excerpt(quantity, unit, value, source, place, at, found, gone)
    elif isinstance(value, dict) and depth < _MAX_DEPTH:
        for part, inner in value.items():
            if isinstance(inner, dict) and "Reading" in inner:
                _one_excerpt(quantity, unit, inner, f"{source}/{part}", f"{place} {part}", at, found, gone)
            elif isinstance(inner, dict):
                _excerpt(rule, part, inner, source, f"{place} {part}", at, found, gone=gone, depth=depth + 1)


def _one_excerpt(
    quantity: str, unit: str, excerpt: Json, source: str, where: str, at: float, found: Found, gone: bool
) -> None:
    quantity, unit = _percent_or_rpm(quantity, excerpt.get("Reading"), unit)
    if "Reading" in excerpt or not excerpt.keys() & {"SetPoint", "SpeedRPM"}:
        found.add(quantity, where, excerpt.get("Reading"), unit, f"{source}/Reading", at, gone=gone)
    if excerpt.get("SetPoint") is not None:  # an excerpt of a Control: what it is held to
        kind = "power_limit" if quantity == "power" else f"{quantity}_setpoint"
        found.add(kind, where, excerpt["SetPoint"], unit, f"{source}/SetPoint", at, gone=gone)
    if quantity == "power":
        for key, (extra, extra_unit) in EXCERPT_EXTRAS.items():
            if excerpt.get(key) is not None:
                found.add(extra, where, excerpt[key], extra_unit, f"{source}/{key}", at, gone=gone)
        if excerpt.get("PowerFactor") is not None:
            found.add("power_factor", where, excerpt["PowerFactor"], "", f"{source}/PowerFactor", at, gone=gone)
    if excerpt.get("SpeedRPM") is not None:
        found.add("fan_speed", where, excerpt["SpeedRPM"], "rpm", f"{source}/SpeedRPM", at, gone=gone)


def rename_repeated(readings: list[Measurement]) -> list[Measurement]:
    """Readings whose (quantity, where) repeats get the last part of their path behind the name: keys stay unique."""
    if len({r[:2] for r in readings}) == len(readings):
        return readings
    seen = Counter(r[:2] for r in readings)
    return [r._replace(where=f"{r.where} [{_tail(r.source)}]") if seen[r[:2]] > 1 else r for r in readings]


@lru_cache(_REMEMBERED)
def _tail(source: str) -> str:
    path, _, pointer = source.partition("#")
    parts = [path.rpartition("/")[2], *pointer.split("/")[-3:]]
    return "/".join(p for p in parts if p and p not in ("Power", "Thermal", "Metrics", "Reading"))
