"""From registers to values, and from points to the blocks that are read. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

from fleetctl_modbus.register_map import Point, RegisterMap

MAX_BLOCK = 100  # registers; the protocol allows 125, several gateways less
MAX_GAP = 12  # undefined registers read along where the product answers them with zeros
_FORMATS = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "uint64": ">Q",
    "int64": ">q",
    "float32": ">f",
    "float64": ">d",
}
_LOWEST = {"int16": -(2**15), "int32": -(2**31), "int64": -(2**63)}

Block = tuple[str, int, int]  # area, first register, count


def blocks(points: Sequence[Point], gaps: str) -> list[Block]:
    """Reads that cover all points: neighbours together, over gaps only where the product allows it."""
    out: list[Block] = []
    allowed = MAX_GAP if gaps == "zero" else 0
    for area in ("holding", "input"):
        spans = [(p.addr, p.words) for p in points if p.area == area]
        spans += [(p.scale_at, 1) for p in points if p.area == area and p.scale_at is not None]
        for addr, words in sorted(set(spans)):
            end = addr + words
            if out and out[-1][0] == area:
                _, first, count = out[-1]
                if addr <= first + count + allowed and end - first <= MAX_BLOCK:
                    out[-1] = (area, first, max(count, end - first))
                    continue
            out.append((area, addr, words))
    return out


def registers_of(point: Point, memory: Mapping[tuple[str, int], int]) -> list[int] | None:
    """The point's registers in the order they were read; None when one is missing."""
    out = []
    for i in range(point.words):
        value = memory.get((point.area, point.addr + i))
        if value is None:
            return None
        out.append(value)
    return out


def power_of_ten(point: Point, memory: Mapping[tuple[str, int], int]) -> int | None:
    """The scale that a register of the device holds; 0 where the point has none, None where it means nothing."""
    if point.scale_at is None:
        return 0
    raw = memory.get((point.area, point.scale_at))
    power = None if raw is None else raw - 65_536 if raw >= 32_768 else raw
    return power if power is not None and -10 <= power <= 10 else None  # SunSpec: 8000h is "not implemented"


def decode(point: Point, registers: Sequence[int], power: int | None = 0) -> float | str | None:
    """The value in the point's unit, text for strings, None where the registers mean nothing.

    Nothing is: the map's own code, all ones in an unsigned type, the lowest number of a signed one, NaN and infinity.
    """
    if point.type.startswith("string"):
        return text_of(registers)
    ordered = list(registers)[::-1] if point.swapped else list(registers)
    raw = struct.pack(f">{len(ordered)}H", *ordered)
    if point.absent and raw == point.absent:
        return None
    value: float = struct.unpack(_FORMATS[point.type], raw)[0]
    if point.type == "float32" and math.isfinite(value):
        value = float(f"{value:.7g}")  # what four bytes can tell: 230.4, not 230.399993896
    if point.type.startswith("uint") and raw == b"\xff" * len(raw):
        return None
    if value == _LOWEST.get(point.type) or not math.isfinite(value):
        return None
    if power is None:
        return None
    value = value * point.scale * 10.0**power + point.offset
    if point.quantity == "power_factor" and point.name.endswith("_4q") and 1 < abs(value) <= 2:
        value = math.copysign(2 - abs(value), value)  # Schneider's four-quadrant form: above one is leading
    elif point.quantity == "power_factor" and 2 < abs(value) <= 100:
        value /= 100  # SunSpec writes percent, some of its makers the ratio
    return value


def text_of(registers: Sequence[int]) -> str:
    """Printable text of registers, two characters each."""
    raw = struct.pack(f">{len(registers)}H", *registers)
    return "".join(c for c in raw.split(b"\0")[0].decode("latin-1") if c.isprintable()).strip()


def hex_of(registers: Sequence[int]) -> str:
    return " ".join(f"{r:04x}" for r in registers)


def guesses(registers: Sequence[int]) -> dict[str, str]:
    """What one to four registers would be in every type, for `explain`."""
    out: dict[str, str] = {}
    for name, form in _FORMATS.items():
        words = struct.calcsize(form) // 2
        if len(registers) < words:
            continue
        part = list(registers[:words])
        for suffix, ordered in (("", part), ("_sw", part[::-1])):
            if suffix and words == 1:
                continue
            value = struct.unpack(form, struct.pack(f">{words}H", *ordered))[0]
            if isinstance(value, float) and (not math.isfinite(value) or (value != 0 and not 1e-6 < abs(value) < 1e12)):
                continue
            out[name + suffix] = f"{value:g}" if isinstance(value, float) else str(value)
    return out


def score(register_map: RegisterMap, memory: Mapping[tuple[str, int], int]) -> float:
    """How well a map fits what was read: 0 does not fit, 1 every number is one that such a point can have.

    Only points whose value can be wrong count: frequency 45 to 65 Hz, voltage 40 to 1000 V, power factor, temperature.
    """
    fits = wrong = 0
    for point in register_map.points:
        registers = registers_of(point, memory)
        if registers is None:
            return 0.0
        value = decode(point, registers, power_of_ten(point, memory))
        if not isinstance(value, int | float):
            continue
        limits = _TELLING.get(point.quantity)
        if limits is None:
            if point.type.startswith("float") and value != 0 and not 1e-3 < abs(value) < 1e11:
                wrong += 1
            continue
        if limits[0] <= value <= limits[1]:
            fits += 1
        else:
            wrong += 1
    return fits / (fits + wrong) if fits else 0.0


_TELLING = {
    "frequency": (45.0, 65.0),
    "voltage": (40.0, 1000.0),
    "power_factor": (-1.0, 1.0),
    "temperature": (1.0, 90.0),
    "temperature_setpoint": (10.0, 100.0),
}
