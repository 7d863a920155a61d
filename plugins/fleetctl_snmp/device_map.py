"""Device maps: which OIDs of which family mean what. One TOML file per family in maps/; a new device is a new file.

title = "APC rack PDU, first tables"        name = the file's name
source = "PowerNet-MIB 4.5.7"               where the meaning is written down
base = "1.3.6.1.4.1.318.1.1.12"             OIDs that begin with a dot continue this one
object_ids = ["1.3.6.1.4.1.318.1.3.4"]      prefixes of sysObjectID: no other device, unless it does not tell
present = [".1", ".2"]                      the map is tried where one of these subtrees is there
absent = [9999]                             numbers that mean nothing in every point
replaces = ["ups-mib"]                      maps that must not be used beside this one
vendor = "APC"

[[point]]                                   one value, or one column of a table
oid = "1.3.6.1.4.1.318.1.1.12.1.16.0"       a scalar ends in its instance
quantity = "power"
unit = "W"
where = "device"

[[point]]
column = "1.3.6.1.4.1.318.1.1.12.2.3.1.1.2"
where = "phase or bank {index}"             {index}: the rest of the OID; {name}: from `name`
name = "1.3..."                             column with names, same index
scale = 0.1                                 value = raw * scale + offset
offset = 0
digits = "1.3..."                           column with the number of decimal digits, same index
divisor = "1.3..."                          column with what the value is divided by (10 for tenths)
exponent = "1.3..."                         column with the power of ten (-1 for tenths)
unit_column = "1.3..."                      column with the unit as code or text; `units` gives its meaning
units = { "1" = "C", "2" = "F" }
quantities = { "8" = "temperature" }        with `type`: column whose code names the quantity
type = "1.3..."                             or "index": the last number of the index
only = { column = "1.3...", values = [1] }  rows to take
absent = [-1]                               numbers that mean nothing, beyond the usual ones
total = 1                                   adds to the device's total power: first choice 1, second 2 ...
total_type = "5"                            with `type`: only rows of that code add to the total
power = "1.3..."                            column with the decimal power as ENTITY-SENSOR codes it (9 is one)
tenths_above = 1000                         raw values above are tenths, against the MIB
unless = "1.3..."                           left out where that column has rows
unit_default = "C"                          where the unit column has no row
skip, only_name = "regular expression"      rows left out, or taken, by their name
name_words = { "6" = "CPU" }                names given as codes
least, most = numbers                       outside: implausible, left out
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from fleetctl.errors import ConfigError

FOLDER = Path(__file__).parent / "maps"


@dataclass(frozen=True, slots=True, eq=False)  # the same point is the same line of the same map
class Point:
    """One value or column of a map."""

    oid: str
    is_column: bool
    quantity: str
    unit: str
    where: str
    name: str = ""
    scale: float = 1.0
    offset: float = 0.0
    digits: str = ""
    divisor: str = ""
    exponent: str = ""
    unit_column: str = ""
    units: Mapping[str, str] | None = None
    type: str = ""
    quantities: Mapping[str, str] | None = None
    scales: Mapping[str, float] | None = None
    only_column: str = ""
    only_values: tuple[str, ...] = ()
    absent: tuple[float, ...] = ()
    total: int = 0  # 1: first choice for the total power, 2: second ...; 0: not a total
    words: Mapping[str, str] | None = None  # a state: code -> word
    bad: tuple[str, ...] = ()
    index: int | None = None  # only this last part of the index
    power: str = ""
    total_type: str = ""
    tenths_above: float | None = None
    unless: str = ""
    rows: str = ""
    unit_default: str = ""
    skip: str = ""
    only_name: str = ""
    name_words: Mapping[str, str] | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceMap:
    """All points of one family."""

    name: str
    title: str
    source: str
    points: tuple[Point, ...]
    vendor: str = ""
    object_ids: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    standard: bool = False
    facts: Mapping[str, str] | None = None


def _oid(text: Any, where: str, base: str = "") -> str:
    told = str(text).strip()
    oid = base + told if base and told.startswith(".") else told.lstrip(".")
    if not oid or not all(part.isdigit() for part in oid.split(".")):
        raise ConfigError(f"{where}: {text!r} is not an OID", hint="digits and dots only")
    return oid


# What a number where a table should be, a word where a number should be, or an infinite count raises.
_WRONG_VALUES = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


def _point(data: Mapping[str, Any], where: str, base: str, absent: tuple[float, ...]) -> Point:
    known = {
        "oid", "column", "quantity", "unit", "where", "name", "scale", "offset", "digits", "unit_column", "units", "type",
        "quantities", "scales", "only", "absent", "total", "words", "bad", "index", "least", "most",
        "power", "divisor", "exponent", "total_type", "tenths_above", "unless", "rows", "unit_default", "skip", "only_name", "name_words",
    }  # fmt: skip
    wrong = set(data) - known
    if wrong:
        raise ConfigError(f"{where}: unknown key {sorted(wrong)[0]!r}", hint=f"known: {', '.join(sorted(known))}")
    if ("oid" in data) == ("column" in data):
        raise ConfigError(f"{where}: one of oid and column is needed", hint="oid is one value, column is a table's")
    only = data.get("only") or {}

    def beside(key: str) -> str:
        return _oid(data[key], where, base) if data.get(key) else ""

    return Point(
        oid=_oid(data.get("oid") or data.get("column"), where, base),
        is_column="column" in data,
        quantity=str(data.get("quantity", "state" if "words" in data else "")),
        unit=str(data.get("unit", "")),
        where=str(data.get("where", "{index}")),
        name=beside("name"),
        scale=float(data.get("scale", 1.0)),
        offset=float(data.get("offset", 0.0)),
        digits=beside("digits"),
        divisor=beside("divisor"),
        exponent=beside("exponent"),
        unit_column=beside("unit_column"),
        units={str(k): str(v) for k, v in data["units"].items()} if "units" in data else None,
        type="index" if data.get("type") == "index" else beside("type"),
        quantities={str(k): str(v) for k, v in data["quantities"].items()} if "quantities" in data else None,
        scales={str(k): float(v) for k, v in data["scales"].items()} if "scales" in data else None,
        only_column=_oid(only["column"], where, base) if only else "",
        only_values=tuple(str(v) for v in only.get("values", ())),
        absent=(*absent, *(float(v) for v in data.get("absent", ()))),
        total=int(data.get("total", 0)),
        words={str(k): str(v) for k, v in data["words"].items()} if "words" in data else None,
        bad=tuple(str(v) for v in data.get("bad", ())),
        index=data.get("index"),
        least=data.get("least"),
        most=data.get("most"),
        power=beside("power"),
        total_type=str(data.get("total_type", "")),
        tenths_above=data.get("tenths_above"),
        unless=beside("unless"),
        rows=beside("rows"),
        unit_default=str(data.get("unit_default", "")),
        skip=str(data.get("skip", "")),
        only_name=str(data.get("only_name", "")),
        name_words={str(k): str(v) for k, v in data["name_words"].items()} if "name_words" in data else None,
    )


def parse_map(text: str, name: str) -> DeviceMap:
    """A map from its TOML text. Raises ConfigError with the point's number."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is one; so is a number of 5,000 digits
        raise ConfigError(f"device map {name}: {error}", hint="docs/how-to/facility.md shows one") from None
    where = f"device map {name}"
    try:
        base = _oid(data["base"], name) if data.get("base") else ""
        absent = tuple(float(v) for v in data.get("absent", ()))
        points = []
        for number, point in enumerate(data.get("point", ()), 1):
            where = f"device map {name}, point {number}"
            points.append(_point(point, where, base, absent))
        where = f"device map {name}"
        return _device_map(data, name, base, tuple(points))
    except _WRONG_VALUES as error:
        raise ConfigError(
            f"{where}: a value of a wrong kind ({error})", hint="docs/how-to/facility.md shows a map"
        ) from None


def _device_map(data: Mapping[str, Any], name: str, base: str, points: tuple[Point, ...]) -> DeviceMap:
    return DeviceMap(
        name=name,
        title=str(data.get("title", name)),
        source=str(data.get("source", "")),
        points=points,
        vendor=str(data.get("vendor", "")),
        object_ids=tuple(_oid(o, name, base) for o in data.get("object_ids", ())),
        present=tuple(_oid(o, name, base) for o in data.get("present", ())),
        replaces=tuple(data.get("replaces", ())),
        standard=bool(data.get("standard", False)),
        facts={str(k): _oid(v, name, base) for k, v in data.get("facts", {}).items()},
    )


@cache
def shipped_maps() -> tuple[DeviceMap, ...]:
    """All maps of the maps folder, by name."""
    return tuple(parse_map(p.read_text(encoding="utf-8"), p.stem) for p in sorted(FOLDER.glob("*.toml")))


@cache
def known_maps(folder: Path | None) -> tuple[DeviceMap, ...]:
    """The operator's own maps, then the shipped ones that they do not replace by name. Raises ConfigError."""
    if folder is None:
        return shipped_maps()
    if not folder.is_dir():
        raise ConfigError(f"no folder of maps {folder}", hint="facility.maps in fleet.toml, or $FLEETCTL_MAPS")
    try:
        own = [parse_map(p.read_text(encoding="utf-8"), p.stem) for p in sorted(folder.glob("*.toml"))]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"a map in {folder} cannot be read: {error}", hint="UTF-8 text, readable") from None
    names = {m.name for m in own}
    return (*own, *(m for m in shipped_maps() if m.name not in names))


def load_map(name_or_path: str, folder: Path | None = None) -> DeviceMap:
    """A shipped map by name, or a file. Raises ConfigError."""
    for device_map in known_maps(folder):
        if device_map.name == name_or_path:
            return device_map
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        names = ", ".join(m.name for m in known_maps(folder))
        raise ConfigError(f"no device map {name_or_path!r}", hint=f"a file, or one of: {names}")
    return _load_file(path, path.stat().st_mtime_ns)


@lru_cache(1_000)
def _load_file(path: Path, _changed: int) -> DeviceMap:
    """One map for the thousand PDUs that name it."""
    return parse_map(path.read_text(encoding="utf-8"), path.stem)
