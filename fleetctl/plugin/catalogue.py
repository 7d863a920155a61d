"""The data files of all plugins: the chip catalogue and the fault ladder, with the operators' own file on top."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from fleetctl.errors import ConfigError
from fleetctl.model.chip import PRECISIONS, Catalogue, Chip, Confidence
from fleetctl.model.fault import FaultEntry, Ladder
from fleetctl.model.reading import FaultAction, ProbeResult
from fleetctl.plugin.loading import load_plugins

CHIP_COLUMNS = (
    "vendor", "chip", "names", "memory_gb", "memory_mib", "power_w", "power_caps_w", "rows",
    *(f"{p}_{'tops' if p == 'int8' else 'tflops'}" for p in PRECISIONS), "confidence", "source", "note",
)  # fmt: skip
FAULT_COLUMNS = ("family", "code", "name", "meaning", "action", "advice", "level", "source")


def read_chips(path: Path, *, own: bool = False) -> list[Chip]:
    """Entries of one CSV file; lists in a cell are separated by `|`. Raises ConfigError with the line."""
    chips = []
    for line, row in _rows(path, ("chip",)):
        try:
            chips.append(_chip(row, own))
        except ValueError as error:
            raise ConfigError(f"{path}:{line}: {error}", hint="numbers with a dot, lists separated by |") from error
    return chips


def _rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(line for line in file if not line.startswith("#"))
            missing = [c for c in needed if c not in (reader.fieldnames or ())]
            if missing:
                raise ConfigError(f"{path}: no column {missing[0]!r}", hint="docs/reference/chips.md names the columns")
            return [(n, {k: (v or "").strip() for k, v in row.items() if k}) for n, row in enumerate(reader, 2)]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="see docs/reference/chips.md") from error


def _chip(row: dict[str, str], own: bool) -> Chip:
    peaks = {p: float(v) for p in PRECISIONS if (v := row.get(f"{p}_{'tops' if p == 'int8' else 'tflops'}"))}
    confidence = Confidence.OWN if own else Confidence(row.get("confidence") or ("high" if peaks else "none"))
    return Chip(
        vendor=row.get("vendor", "").lower(),
        chip=row["chip"],
        names=tuple(n.strip() for n in row.get("names", "").split("|") if n.strip()),
        memory_gb=_number(row.get("memory_gb")),
        memory_mib=tuple(float(n) for n in row.get("memory_mib", "").split("|") if n.strip()),
        power_w=_number(row.get("power_w")),
        power_caps_w=tuple(float(n) for n in row.get("power_caps_w", "").split("|") if n.strip()),
        rows=int(row.get("rows") or 1),
        peaks=peaks,
        confidence=confidence,
        source=row.get("source", ""),
        note=row.get("note", ""),
    )


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def read_faults(vendor: str, path: Path) -> list[FaultEntry]:
    """Entries of one vendor's ladder. Raises ConfigError."""
    entries = []
    for line, row in _rows(path, ("family", "code")):
        action = row.get("action", "")
        try:
            rung = FaultAction(action) if action else None
        except ValueError as error:
            raise ConfigError(f"{path}:{line}: {error}", hint=f"one of {', '.join(FaultAction)}") from error
        words = {k: row.get(k, "") for k in ("family", "code", "name", "meaning", "advice", "level", "source")}
        entries.append(FaultEntry(vendor=vendor, action=rung, **words))
    return entries


_own: Path | None = None


def set_own_chips(path: Path) -> None:
    """The operators' file, from the setting `chips`; used wherever no other is named."""
    global _own
    _own = path


def catalogue(own: Path | None = None) -> Catalogue:
    """Every plugin's chips, then the operators' own file. Raises ConfigError when that file cannot be read."""
    return _catalogue(own or _own)


@cache
def _catalogue(own: Path | None) -> Catalogue:
    chips: list[Chip] = []
    for plugin in load_plugins()[0]:
        if plugin.chips is not None:
            chips += [replace(c, vendor=c.vendor or plugin.name) for c in read_chips(plugin.chips)]
    if own is not None:
        chips += read_chips(own, own=True)
    return Catalogue(chips)


@cache
def ladder() -> Ladder:
    """Every plugin's fault ladder."""
    entries: list[FaultEntry] = []
    for plugin in load_plugins()[0]:
        if plugin.faults is not None:
            entries += read_faults(plugin.name, plugin.faults)
    return Ladder(entries)


def enrich(result: ProbeResult, *, chips: Catalogue | None = None, faults: Ladder | None = None) -> ProbeResult:
    """The same result with each device's chip and each fault's meaning and action filled in from the catalogues."""
    chips = chips if chips is not None else catalogue()
    faults = faults if faults is not None else ladder()
    readings = []
    for reading in result.readings:
        device = reading.device
        if device.kind == "card" and device.chip is None and device.model is not None:
            memory = None if device.parent else reading.values.get("mem_total_bytes")
            cap = reading.values.get("power_cap_w")
            found = chips.resolve(device.model, vendor=device.vendor, memory_bytes=memory, power_cap_w=cap)
            if found.chip is not None:
                reading = replace(reading, device=replace(device, chip=found.chip.chip))
        readings.append(reading)
    return replace(result, readings=tuple(readings), faults=tuple(faults.judge(f) for f in result.faults))
