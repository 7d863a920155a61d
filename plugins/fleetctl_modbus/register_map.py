"""Register maps: which register of which product means what. One JSON file per product in maps/; a new meter is a file.

    {"vendor": "...", "product": "...", "source": "where the registers are written down", "doc_base": 1,
     "gaps": "error" (undefined registers refuse the whole block) or "zero", "word_order": "big" or "little",
     "points": [{"name": "active_power_total", "addr": 3059, "type": "float32", "unit": "kW", "area": "holding",
                 "scale": 1, "nullable": true, "absent": "ffffffff", "quantity": "power", "where": "main", "total": 1}]}

addr: zero-based, as on the wire (doc_base tells what the maker's manual counts from); type: uint16 int16 uint32 int32
uint64 int64 float32 float64 string:N (registers), with "_sw" for low word first; area: holding, input or both (default);
scale, offset: value = register * scale + offset; scale_at: address of a signed register whose power of ten is the scale
(SunSpec), same area; absent: bytes that mean nothing, beside the usual all-ones, 8000h and NaN;
quantity: from unit and name unless given; total: 1 is the first choice for the device's total power.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fleetctl.errors import ConfigError

FOLDER = Path(__file__).parent / "maps"
WIDTHS = {"uint16": 1, "int16": 1, "uint32": 2, "int32": 2, "uint64": 4, "int64": 4, "float32": 2, "float64": 4}
AREAS = ("holding", "input", "both")
MAX_POINTS = 2_000


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    addr: int
    type: str  # without _sw
    words: int
    swapped: bool
    area: str
    unit: str
    scale: float
    quantity: str
    where: str
    absent: bytes
    total: int
    offset: float = 0.0
    scale_at: int | None = None  # register with a power of ten


@dataclass(frozen=True, slots=True)
class RegisterMap:
    name: str
    vendor: str
    product: str
    source: str
    gaps: str
    points: tuple[Point, ...]


def parse_map(text: str, name: str) -> RegisterMap:
    """A map from its JSON text. Raises ConfigError naming the point."""
    try:
        data = json.loads(text)
        points = data["points"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"register map {name}: {error}", hint="docs/how-to/facility.md shows one") from None
    if not isinstance(points, list) or len(points) > MAX_POINTS:
        raise ConfigError(f"register map {name}: points must be a list of at most {MAX_POINTS}", hint="split it")
    little = data.get("word_order") == "little"
    guess = not any(isinstance(p, dict) and p.get("total") for p in points)
    return RegisterMap(
        name=name,
        vendor=str(data.get("vendor", "")),
        product=str(data.get("product", "")),
        source=str(data.get("source", "")),
        gaps=str(data.get("gaps", "error")),
        points=tuple(_point(p, name, little, guess) for p in points),
    )


def _point(data: Any, name: str, little: bool, guess: bool) -> Point:
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise ConfigError(
            f"register map {name}: a point without a name", hint='{"name": ..., "addr": ..., "type": ...}'
        )
    where = f"register map {name}, point {data['name']}"
    kind = str(data.get("type", ""))
    swapped = kind.endswith("_sw") or little
    kind = kind.removesuffix("_sw")
    if kind.startswith("string:") and kind[7:].isdigit() and 0 < int(kind[7:]) <= 100:
        words = int(kind[7:])
    elif kind in WIDTHS:
        words = WIDTHS[kind]
    else:
        raise ConfigError(f"{where}: no type {kind!r}", hint=f"{', '.join(WIDTHS)} or string:N")
    addr = data.get("addr")
    if not isinstance(addr, int) or isinstance(addr, bool) or not 0 <= addr <= 65_536 - words:
        raise ConfigError(f"{where}: no address {addr!r}", hint="zero-based, as on the wire")
    area = str(data.get("area", "both"))
    if area not in AREAS:
        raise ConfigError(f"{where}: no area {area!r}", hint=", ".join(AREAS))
    try:
        absent = bytes.fromhex(str(data.get("absent", "")))
        scale, offset = float(data.get("scale", 1)), float(data.get("offset", 0))
        scale_at = None if data.get("scale_at") is None else int(data["scale_at"])
        if scale_at is not None and not 0 <= scale_at <= 65_535:
            raise ValueError(f"no address {scale_at}")
        total = int(data.get("total", 1 if guess and data["name"].lower() in TOTAL_NAMES else 0))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}", hint="scale is a number, absent is hex") from None
    unit = UNITS.get(str(data.get("unit", "")), str(data.get("unit", "")))
    return Point(
        name=data["name"],
        addr=addr,
        type=kind,
        words=words,
        swapped=swapped,
        area="holding" if area == "both" else area,
        unit=unit,
        scale=scale,
        quantity=str(data.get("quantity") or quantity_of(data["name"], unit, kind)),
        where=str(data.get("where") or data["name"]),
        absent=absent,
        total=total,
        offset=offset,
        scale_at=scale_at,
    )


TOTAL_NAMES = ("active_power_total", "total_active_power", "power_total", "total_power", "active_power", "power")
UNITS = {"degC": "C", "°C": "C", "l/min": "L/min", "VAR": "var", "kVAR": "kvar", "RPM": "rpm"}
_BY_UNIT = {
    "W": "power",
    "kW": "power",
    "MW": "power",
    "VA": "apparent_power",
    "kVA": "apparent_power",
    "var": "reactive_power",
    "kvar": "reactive_power",
    "V": "voltage",
    "kV": "voltage",
    "mV": "voltage",
    "A": "current",
    "mA": "current",
    "Hz": "frequency",
    "Wh": "energy",
    "kWh": "energy",
    "MWh": "energy",
    "kvarh": "reactive_energy",
    "C": "temperature",
    "degF": "temperature",
    "F": "temperature",
    "K": "temperature",
    "L/min": "flow",
    "L/s": "flow",
    "m3/h": "flow",
    "kPa": "pressure",
    "Pa": "pressure",
    "bar": "pressure",
    "psi": "pressure",
    "min": "runtime",
    "L": "volume",
    "m3": "volume",
}


def quantity_of(name: str, unit: str, kind: str) -> str:
    """What a point measures, from its unit and its name; `state` for bits, codes and anything without a unit."""
    low = name.lower()
    if kind.startswith("string"):
        return "text"
    if unit == "rpm":
        return "pump_speed" if "pump" in low else "fan_speed"
    if unit == "%":
        if "humid" in low or low.endswith("_rh"):
            return "humidity"
        if "pwm" in low or "fan" in low or "pump" in low:
            return "fan_duty"
        return "valve" if "valve" in low else "level" if "level" in low else "percent"
    quantity = _BY_UNIT.get(unit, "")
    if quantity == "temperature" and "setpoint" in low.replace("_", ""):
        return "temperature_setpoint"
    if quantity == "power" and "cool" in low:
        return "cooling_power"
    if not quantity and ("power_factor" in low or low.startswith("pf")):
        return "power_factor"
    return quantity or "state"


@cache
def shipped_maps() -> tuple[RegisterMap, ...]:
    """All maps of the maps folder, by name."""
    return tuple(parse_map(p.read_text(encoding="utf-8"), p.stem) for p in sorted(FOLDER.glob("*.json")))


@cache
def known_maps(folder: Path | None) -> tuple[RegisterMap, ...]:
    """The operator's own maps, then the shipped ones that they do not replace by name. Raises ConfigError."""
    if folder is None:
        return shipped_maps()
    if not folder.is_dir():
        raise ConfigError(f"no folder of maps {folder}", hint="facility.maps in fleet.toml, or $FLEETCTL_MAPS")
    try:
        own = [parse_map(p.read_text(encoding="utf-8"), p.stem) for p in sorted(folder.glob("*.json"))]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"a map in {folder} cannot be read: {error}", hint="UTF-8 text, readable") from None
    names = {m.name for m in own}
    return (*own, *(m for m in shipped_maps() if m.name not in names))


def load_map(name_or_path: str, folder: Path | None = None) -> RegisterMap:
    """A shipped map by name, or a file. Raises ConfigError."""
    for register_map in known_maps(folder):
        if register_map.name == name_or_path:
            return register_map
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        names = ", ".join(m.name for m in known_maps(folder))
        raise ConfigError(f"no register map {name_or_path!r}", hint=f"a file, or one of: {names}")
    return parse_map(path.read_text(encoding="utf-8"), path.stem)
