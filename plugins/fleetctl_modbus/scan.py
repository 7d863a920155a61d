"""Registers of a meter that no map knows: where it answers at all, and what stands there in every type."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

from fleetctl.errors import FleetctlError
from fleetctl.model.facility import RawValue
from fleetctl_modbus.decode import blocks, guesses
from fleetctl_modbus.register_map import RegisterMap

LIMIT_S = 60.0
MAX_ROWS = 400
RUN = 64  # registers read on from a place that answers
STEP = 8
Read = Callable[[str, int, int], Awaitable[list[int]]]
# Where makers begin, zero-based; 40000 and 50000 are SunSpec's, which tells itself by "SunS".
_USUAL = (
    0, 1, 50, 99, 100, 199, 200, 256, 299, 300, 400, 499, 500, 512, 600, 700, 768, 800, 899, 999, 1000, 1023, 1024, 1099,
    1280, 1499, 1999, 2000, 2048, 2499, 2699, 2999, 3000, 3026, 3053, 3200, 3999, 4000, 4096, 4352, 4999, 5000, 5999,
    6000, 7000, 8000, 8192, 8448, 9000, 9999, 10000, 11000, 12288, 16384, 19000, 20000, 20480, 23296, 30000, 32768,
    36864, 40000, 40069, 50000, 50069,
)  # fmt: skip


def places(maps: tuple[RegisterMap, ...]) -> Iterator[tuple[str, int]]:
    """(area, register) to knock at, the usual ones first, then where the known maps begin."""
    seen: set[tuple[str, int]] = set()
    known = [(area, first) for one in maps for area, first, _ in blocks(one.points, one.gaps)]
    for place in [("holding", n) for n in _USUAL] + known + [("input", n) for n in _USUAL]:
        if place not in seen:
            seen.add(place)
            yield place


async def scan(read: Read, maps: tuple[RegisterMap, ...], refused: type[FleetctlError]) -> list[RawValue]:
    """What answers, for at most a minute and 400 rows. Registers that are zero with all their neighbours are left out.

    Raises what `read` raises besides `refused`.
    """
    memory: dict[tuple[str, int], int] = {}
    until = time.monotonic() + LIMIT_S
    for area, first in places(maps):
        if time.monotonic() > until or len(memory) > 20 * MAX_ROWS:
            break
        if (area, first) in memory:
            continue
        await _run(read, refused, area, first, memory)
    rows = list(_rows(memory))
    cut = len(rows) > MAX_ROWS or time.monotonic() > until
    if cut:
        rows = [*rows[:MAX_ROWS], RawValue("", "", "", "there is more: ?start=ADDRESS&count=N&area=holding reads on")]
    return rows


async def _run(
    read: Read, refused: type[FleetctlError], area: str, first: int, memory: dict[tuple[str, int], int]
) -> None:
    """Read on from one register while it answers; a block that is refused is tried register by register."""
    addr, misses = first, 0
    while addr < min(first + RUN, 65_536) and misses < 3:
        count = min(STEP, 65_536 - addr) if addr > first else 1
        try:
            for i, value in enumerate(await read(area, addr, count)):
                memory[area, addr + i] = value
            addr += count
            misses = 0
            continue
        except refused:
            if count == 1:
                return
        for one in range(addr, addr + count):
            try:
                memory[area, one] = (await read(area, one, 1))[0]
                misses = 0
            except refused:
                misses += 1
        addr += count


def _rows(memory: Mapping[tuple[str, int], int]) -> Iterator[RawValue]:
    for area, addr in sorted(memory):
        registers = []
        for at in range(addr, addr + 4):
            if (area, at) not in memory:
                break
            registers.append(memory[area, at])
        near = [memory.get((area, addr + d), 0) for d in range(-3, 4)]
        if not any(near):
            continue
        yield register_row(area, addr, registers)


def register_row(area: str, addr: int, registers: list[int]) -> RawValue:
    """One register, with what it and those behind it would be in every type."""
    found = {k: v for k, v in guesses(registers).items() if abs(float(v)) < 1e12}
    order = sorted(found, key=lambda k: (not k.startswith("float"), "64" in k, "32" in k))
    decoded = ", ".join(f"{k} {found[k]}" for k in order)
    text = b"".join(r.to_bytes(2, "big") for r in registers)
    note = "SunSpec: models follow, each with its number and length" if text[:4] == b"SunS" else ""
    if not note and len(text) == 8 and all(32 <= b < 127 for b in text):
        note = f"text? {text.decode('ascii')!r}"
    return RawValue(f"{area} {addr} (0x{addr:04x})", f"{registers[0]:04x}", decoded, note)
