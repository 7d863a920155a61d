"""What the answers to a device map mean: pure, from columns and scalars to measurements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from fleetctl.facility.quantity import NOTHING_NUMBERS, canonical, number, plausible
from fleetctl.model.facility import Measurement, PointState, SourceFinding, SourceTrouble, Unknown
from fleetctl_snmp.device_map import DeviceMap, Point

Value = None | str | bytes | int | float
Columns = Mapping[str, Mapping[str, Value]]  # column OID -> index -> value
MAX_TEXT = 80


@dataclass
class Decoded:
    readings: list[Measurement] = field(default_factory=list)
    states: list[PointState] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)
    totals: dict[int, list[tuple[float | None, str]]] = field(default_factory=dict)  # order -> (watts, OID)


def text(value: Value) -> str:
    """Printable text of whatever came; latin-1 where it is not UTF-8."""
    if type(value) is int:
        return str(value)[:MAX_TEXT]
    if value is None:
        return ""
    if isinstance(value, bytes):
        cut = value[:1024]
        try:
            plain = cut.decode("utf-8")
        except UnicodeDecodeError:
            plain = cut.decode("latin-1")
    else:
        plain = str(value)
    return "".join(c for c in plain if c.isprintable()).strip()[:MAX_TEXT]


def columns_of(device_map: DeviceMap) -> set[str]:
    """Every column the map needs to be read."""
    out: set[str] = set()
    for point in device_map.points:
        if point.is_column:
            out.add(point.oid)
            out.update(oid for _, oid in _beside(point) if not oid.endswith(".0"))
            if point.unless:
                out.add(point.unless)
    return out


def scalars_of(device_map: DeviceMap) -> set[str]:
    """Every single value the map needs."""
    out: set[str] = set()
    for point in device_map.points:
        if not point.is_column:
            out.add(point.oid)
        out.update(oid for _, oid in _beside(point) if not point.is_column or oid.endswith(".0"))
        if point.rows:
            out.add(point.rows)
    out.update((device_map.facts or {}).values())
    return out


class Spot(NamedTuple):
    """One value of a device with all that stays as the complete reading found it: name, unit, digits, scale.

    index: rest of the OID in a column, "" for a single value; absent: numbers that mean nothing; lacks: why it cannot
    be scaled. Agents of one family share theirs.
    """

    point: Point
    oid: str
    index: str
    quantity: str
    unit: str
    where: str
    scale: float
    total: int
    absent: frozenset[float]
    lacks: str


def find_spots(device_map: DeviceMap, columns: Columns, scalars: Mapping[str, Value]) -> list[Spot]:
    """What there is to read of one map, in the order of the map and of the rows."""
    out: list[Spot | None] = []
    for point in device_map.points:
        if point.unless and columns.get(point.unless):
            continue
        beside = _beside(point)
        if point.is_column:
            real = number(scalars.get(point.rows)) if point.rows else None
            for index in columns.get(point.oid, {}):
                row = index.partition(".")[0]
                if real is not None and row.isdigit() and int(row) > real:
                    continue  # a single-phase UPS that repeats itself three times
                values = tuple(
                    (key, scalars.get(oid) if oid.endswith(".0") else _row(columns.get(oid, {}), index))
                    for key, oid in beside
                )
                out.append(_find_spot(point, f"{point.oid}.{index}", index, values))
        elif point.oid in scalars:
            out.append(_find_spot(point, point.oid, "", tuple((key, scalars.get(oid)) for key, oid in beside)))
    return [spot for spot in out if spot is not None]


def decode(device_map: DeviceMap, columns: Columns, scalars: Mapping[str, Value], at: float) -> Decoded:
    """Measurements, states and unknowns of one map."""
    out = Decoded()
    for spot in find_spots(device_map, columns, scalars):
        raw = columns[spot.point.oid][spot.index] if spot.point.is_column else scalars[spot.oid]
        take(spot, raw, at, out)
    return out


def _beside(point: Point) -> list[tuple[str, str]]:
    pairs = (
        ("name", point.name),
        ("digits", point.digits),
        ("divisor", point.divisor),
        ("exponent", point.exponent),
        ("unit", point.unit_column),
        ("type", "" if point.type == "index" else point.type),
        ("only", point.only_column),
        ("power", point.power),
    )
    return [(k, v) for k, v in pairs if v]


def _row(column: Mapping[str, Value], index: str) -> Value:
    """The row with that index, or with the longest leading part of it (names often stand in the parent table)."""
    parts = index.split(".")
    while parts:
        value = column.get(".".join(parts))
        if value is not None:
            return value
        parts.pop()
    return None


@lru_cache(100_000)
def _find_spot(point: Point, oid: str, index: str, values: tuple[tuple[str, Value], ...]) -> Spot | None:
    """None where the map leaves that row out. values: what stands beside it (name, digits, unit ...)."""
    beside = dict(values)
    if point.index is not None and index.rpartition(".")[2] != str(point.index):
        return None
    if point.only_column and text(beside.get("only")) not in point.only_values:
        return None
    name = text(beside.get("name"))
    if point.name_words is not None:
        name = point.name_words.get(name, name)
    if (point.skip and re.search(point.skip, name)) or (point.only_name and not re.search(point.only_name, name)):
        return None
    parts = index.split(".")
    code = parts[-1] if point.type == "index" else text(beside.get("type"))
    quantity, unit, scale = point.quantity, point.unit, point.scale
    if point.quantities is not None:
        if code not in point.quantities:
            return None
        quantity, _, inline = point.quantities[code].partition("/")
        unit = inline or unit
    if point.scales is not None:
        scale *= point.scales.get(code, 1.0)
    if point.unit_column:
        named = text(beside.get("unit")) or point.unit_default
        if point.units is not None and named in point.units.values() and not text(beside.get("unit")):
            unit = named
        elif point.units is not None:
            mapped = point.units.get(named)
            if mapped is None:
                return None
            mapped_unit, _, factor = mapped.partition("*")
            unit = mapped_unit or unit
            scale *= float(factor) if factor else 1.0
        else:
            unit = named or unit
        if point.quantity == "by-unit":
            quantity = BY_UNIT.get(unit, "")
            if not quantity:
                return None
    where = point.where.format(index=index, name=name or index, parent=".".join(parts[:-1]))
    where = where.strip() or index or "device"
    total = point.total if not point.total_type or point.total_type == code else 0
    lacks = ""
    if point.digits:
        digits = number(beside.get("digits"))
        if digits is None or not 0 <= digits <= 9:
            lacks = "digits unknown"
        else:
            scale *= 10 ** -int(digits)
    if point.divisor:
        divisor = number(beside.get("divisor"))
        if divisor is None or divisor <= 0:
            lacks = lacks or "divisor unknown"
        else:
            scale /= divisor
    if point.exponent:
        exponent = number(beside.get("exponent"))
        if exponent is None or not -9 <= exponent <= 9:
            lacks = lacks or "exponent unknown"
        else:
            scale *= 10.0 ** int(exponent)
    if point.power:
        power = number(beside.get("power"))
        if power is None or not 1 <= power <= 17:
            lacks = lacks or "scale unknown"
        else:
            scale *= 1000.0 ** (int(power) - 9)
    absent = frozenset((*NOTHING_NUMBERS, *point.absent))
    return Spot(point, oid, index, quantity, unit, where, scale, total, absent, lacks)


def take(spot: Spot, raw: Value, at: float, out: Decoded) -> None:
    """What the device says there now, into `out`; nothing where it says nothing any more."""
    if raw is None:
        return
    point, oid, _, quantity, unit, where, scale, total, absent, lacks = spot
    shown = text(raw)
    if point.words is not None:
        word = point.words.get(shown)
        if word is not None:
            bad = shown in point.bad if point.bad else None
            out.states.append(PointState(quantity or "state", where, word, oid, shown, at, bad=bad))
        return
    value = number(raw if isinstance(raw, int | float) else shown, absent)
    if value == 0 and quantity == "humidity":
        value = None  # no air is that dry: a probe for temperature alone
    if value is None:
        if shown or total:
            out.unknown.append(Unknown(quantity, where, oid, shown))
        if total:
            out.totals.setdefault(total, []).append((None, oid))
        return
    if lacks:
        out.unknown.append(Unknown(quantity, where, oid, f"{shown} ({lacks})"))
        return
    if point.tenths_above is not None and value > point.tenths_above:
        scale *= 0.1
    value = value * scale + point.offset
    if unit in ("F", "degF", "K"):  # temperatures leave in Celsius; the raw value stands beside
        value, unit = canonical(value, unit)
    out_of_range = (point.least is not None and value < point.least) or (point.most is not None and value > point.most)
    if out_of_range or not plausible(quantity, value, unit):
        finding = f"{where}: {quantity} of {value:g} {unit} cannot be (raw {shown})"
        out.findings.append(SourceFinding(SourceTrouble.IMPLAUSIBLE, finding, oid))
        return
    out.readings.append(Measurement(quantity, where, value, unit, oid, shown, at))
    if total:
        out.totals.setdefault(total, []).append((canonical(value, unit)[0], oid))


# Units that devices write out, where the map says quantity = "by-unit".
BY_UNIT = {
    "deg C": "temperature",
    "deg F": "temperature",
    "C": "temperature",
    "F": "temperature",
    "% RH": "humidity",
    "%RH": "humidity",
    "W": "power",
    "kW": "power",
    "VA": "apparent_power",
    "kVA": "apparent_power",
    "A": "current",
    "V": "voltage",
    "Hz": "frequency",
    "kWh": "energy",
    "Wh": "energy",
    "rpm": "fan_speed",
    "%": "percent",
    "min": "runtime",
    "kPa": "pressure",
    "L/min": "flow",
    "m3/h": "air_flow",
    "psi": "pressure",
    "Pa": "pressure",
    "bar": "pressure",
}


def total_power(decoded: Decoded) -> tuple[float, str] | None:
    """The first order of totals in which every input told its power: inputs of one level are added, levels never.

    A zero gives way to a later order above zero: several UPSes fill the table they do not measure with zeros;
    a zero beside a load above zero is no measurement at all.
    """
    zero: tuple[float, str] | None = None
    for order in sorted(decoded.totals):
        inputs = decoded.totals[order]
        if inputs and all(w is not None for w, _ in inputs):
            found = sum(w for w, _ in inputs if w is not None), " + ".join(o for _, o in inputs)
            if found[0] > 0:
                return found
            zero = zero or found
    loaded = any(r.quantity == "load" and r.value > 0 for r in decoded.readings)
    return None if loaded else zero
