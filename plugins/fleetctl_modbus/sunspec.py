"""SunSpec devices list what they are: behind "SunS" stands a chain of models, each with its number and its length.

A register map is made of the chain, so that everything behind it is as with any other map: blocks, scales, codes for
nothing. Layouts of the models stand in sunspec.json; models without one are passed over by their length.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fleetctl_modbus.decode import text_of
from fleetctl_modbus.register_map import RegisterMap, parse_map

BASES = (40_000, 50_000, 0)  # where the specification lets the chain begin, zero-based
MARK = [0x5375, 0x6E53]  # "SunS"
MAX_MODELS = 64
COMMON, END = 1, 0xFFFF
_INVERTERS = ("inverter",)  # what the device itself feeds; a meter beside it measures something else

Read = Callable[[str, int, int], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True)
class Model:
    number: int
    start: int  # address of the model's number
    length: int  # registers behind number and length


@cache
def _layouts() -> dict[int, Mapping[str, Any]]:
    data = json.loads(Path(__file__).with_name("sunspec.json").read_text(encoding="utf-8"))
    return {number: layout for layout in data["layouts"] for number in layout["models"]}


async def find_chain(read: Read, refused: type[Exception]) -> list[Model]:
    """The models of the device, [] where it is none of SunSpec's. Holding registers only, as the specification says."""
    for base in BASES:
        try:
            if await read("holding", base, 2) != MARK:
                continue
        except refused:
            continue
        at, out = base + 2, list[Model]()
        while at < 65_535 and len(out) < MAX_MODELS:
            try:
                number, length = await read("holding", at, 2)
            except refused:
                break  # a chain without its end
            if number == END or length == 0:
                break
            out.append(Model(number, at, length))
            at += 2 + length
        return out
    return []


async def find_map(read: Read, refused: type[Exception]) -> RegisterMap | None:
    """A map of what the device lists, None where it is none of SunSpec's or lists nothing that is known here."""
    chain = await find_chain(read, refused)
    known = [m for m in chain if m.number in _layouts()]
    if not known:
        return None
    vendor = product = serial = ""
    for model in chain:
        if model.number == COMMON and model.length >= 64:
            registers = await read("holding", model.start + 2, 64)
            vendor, product, serial = (text_of(registers[i : i + 16]) for i in (0, 16, 48))
            break
    points = _points(known)
    data = {"vendor": vendor, "product": f"{product} {serial}".strip(), "gaps": "zero", "points": points}
    return parse_map(json.dumps(data | {"source": "SunSpec information models"}), "sunspec")


def _points(known: list[Model]) -> list[dict[str, Any]]:
    """Points of a register map for these models, one name each. The total is the inverter's power, else the only meter's."""
    titles = [_layouts()[m.number]["where"] for m in known]
    telling = [t for t in titles if t in _INVERTERS] or [t for t in titles if t == "meter"]
    out: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for model, title in zip(known, titles, strict=True):
        seen[title] = seen.get(title, 0) + 1
        name = title if titles.count(title) == 1 else f"{title} {seen[title]}"
        for row in _layouts()[model.number]["points"]:
            last = max(row["at"], row.get("scale_at", 0))
            if last >= model.length + 2:
                continue  # an older, shorter form of the model
            where = f"{name} {row['part']}".strip()
            point = {k: row[k] for k in ("quantity", "unit", "type", "scale", "absent") if k in row}
            point |= {"name": f"{row['quantity']} of {where}", "where": where, "addr": model.start + row["at"]}
            point |= {"area": "holding", "total": 0}
            if "scale_at" in row:
                point["scale_at"] = model.start + row["scale_at"]
            if row["quantity"] == "power" and not row["part"] and telling == [title]:
                point["total"] = 1
            out.append(point)
    return out
