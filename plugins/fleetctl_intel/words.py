"""What the names of xpu-smi mean, in tables, CSV headers and JSON, and how values of several tiles become one card's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import is_unknown, measure, whole

# Name in lower case with blanks, without its unit -> (metric, unit). "Memory util" is the share in use: left out.
_METRICS = (
    (r"^gpu utilization$", "util_pct", "%"),
    (r"^gpu power$|^power$", "power_w", "W"),
    (r"^power limit$|^tdp$|sustained power limit$", "power_cap_w", "W"),
    (r"^gpu frequency$|^gpu core frequency$", "clock_mhz", "MHz"),
    (r"^gpu core temperature$", "temp_c", "C"),
    (r"^gpu memory temperature$|^memory temperature$", "mem_temp_c", "C"),
    (r"^gpu memory used$|^memory used$", "mem_used_bytes", "MiB"),
    (r"^gpu memory bandwidth(?: utilization)?$|^memory bandwidth$", "mem_util_pct", "%"),
    (r"^(?:gpu )?energy consumed$", "energy_j", "J"),
    (r"^(?:gpu )?mem(?:ory)? errors correctable$", "ecc_corrected_total", ""),
    (r"^(?:gpu )?mem(?:ory)? errors uncorrectable$", "ecc_uncorrected_total", ""),
    (r"^memory physical size(?: byte)?$", "mem_total_bytes", "B"),
    (r"^core clock rate(?: mhz)?$", "clock_max_mhz", "MHz"),
    (r"^pcie generation$", "pcie_gen_max", ""),
    (r"^pcie max link width$", "pcie_width_max", ""),
    (r"^fan speed$", "fan_pct", "%"),
)
_COMPILED = tuple((re.compile(p), m, u) for p, m, u in _METRICS)
_NAMES = {
    "model": ("device name",),
    "uuid": ("uuid", "soc uuid"),
    "serial": ("serial number",),
    "pci": ("pci bdf address",),
    "slot": ("pci slot",),
    "driver": ("driver version",),
    "firmware": ("gfx firmware version", "firmware version"),
}
_STATES = {
    "function": ("function type", "pci function type"),
    "ecc_mode": ("ecc state", "memory ecc state"),
    "tiles": ("number of tiles",),
    "drm_device": ("drm device",),
    "firmware_status": ("gfx firmware status",),
    "throttle": ("throttle reason",),
}
# Counts that are faults as soon as they are not zero.
_RAS = {
    "reset": "reset",
    "reset counter": "reset",
    "driver errors": "driver_errors",
    "programming errors": "programming_errors",
    "cache errors uncorrectable": "cache_uncorrectable",
    "mem errors uncorrectable": "memory_uncorrectable",
    "gpu memory errors uncorrectable": "memory_uncorrectable",
}
_UNIT = re.compile(r"\s{0,16}\(([^()]{0,64})\)\s{0,16}$")
_UNITS = {"celsius degree": "C", "celsius": "C", "℃": "C", "°c": "C", "c": "C", "w": "W", "mhz": "MHz", "mib": "MiB",
          "%": "%", "j": "J", "mj": "mJ"}  # fmt: skip
_TILE = re.compile(r"(Tile|Fan|Sub-?device)\s*(\d{1,3})\s*:\s*([^;,]{1,200})", re.IGNORECASE)
_SUMS = frozenset(
    {"power_w", "mem_used_bytes", "mem_total_bytes", "ecc_corrected_total", "ecc_uncorrected_total", "energy_j"}
)


def refusal(sheet: Sheet, text: str) -> bool:
    """xpu-smi's own errors."""
    low = text[:2000].lower()
    if "no device discovered" in low or "no device" in low or "device not found" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif shell_refusal(sheet, text):
        return True
    elif (
        "level zero" in low
        or "xpum is not initialized" in low
        or low.lstrip().startswith("error")
        or "xpum service" in low
    ):
        sheet.find(FindingKind.TOOL_FAILED, "the tool refuses", text[:2000])
        sheet.fault("driver", "level_zero_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


def plain(name: str) -> str:
    """`GPU Power (W)` and `gpu_power` -> "gpu power"."""
    return _UNIT.sub("", name).replace("_", " ").strip().lower()


@lru_cache(maxsize=2048)
def meaning(name: str) -> tuple[str, str]:
    """(metric, unit) of a printed name; ("", "") for what we do not keep."""
    match = _UNIT.search(name)
    unit = _UNITS.get(match[1].strip().lower(), "") if match else ""
    words = plain(name)
    found = next(((m, u) for p, m, u in _COMPILED if p.search(words)), ("", ""))
    return found[0], (unit or found[1]) if found[0] else ""


def put(sheet: Sheet, card: Card, tiles: dict[str, Card], name: str, text: str, line: int | None = None) -> None:
    """One name and value. `0; Engine 0: 0` is its first part; `Tile 0: 143; Tile 1: 97` goes to the tiles and, summed
    or at its hottest, to the card."""
    metric, unit = meaning(name[:120])
    parts = _TILE.findall(text)
    if not metric:
        return
    if not parts:
        card.put(metric, text.split(";")[0].strip() if ";" in text else text, unit, line=line)
        return
    for kind, number, value in parts:
        if kind.lower() != "fan":
            tile(sheet, card, tiles, number).put(metric, value.strip(), unit, line=line)
    together(card, metric, [measure(metric, v.strip(), unit)[0] for _, _, v in parts])


def together(card: Card, metric: str, values: list[float | int | None]) -> None:
    """A card's value from its tiles': the sum of amounts, the mean of shares, the highest of the rest; unknown when
    one tile's amount is."""
    known = [v for v in values if v is not None]
    if card.values.get(metric) is not None:
        return
    if not known or (metric in _SUMS and len(known) < len(values)):
        card.values[metric] = None
    elif metric in _SUMS:
        card.values[metric] = sum(known)
    elif metric.endswith("util_pct"):
        card.values[metric] = round(sum(known) / len(known), 2)
    else:
        card.values[metric] = max(known)


def tile(sheet: Sheet, card: Card, tiles: dict[str, Card], number: str) -> Card:
    """The part of a card that is one tile."""
    if number not in tiles:
        piece = tiles[number] = sheet.card(index=number, model=card.fields.get("model"))
        piece.fields["partition"] = f"tile {number}"
        piece.parent = card
    return tiles[number]


def identify(card: Card, rows: Mapping[str, str]) -> None:
    """Names, addresses and words of one device."""
    low = {plain(k): v for k, v in rows.items()}
    for field, names in _NAMES.items():
        for name in names:
            card.name(field, low.get(name))
    for state, names in _STATES.items():
        for name in names:
            card.state(state, low.get(name))


def ras_faults(sheet: Sheet, card: Card, rows: Mapping[str, str]) -> None:
    """Counts of errors that should be zero."""
    for name, text in rows.items():
        code = _RAS.get(plain(name))
        if code is None or is_unknown(text):
            continue
        counts = [whole(v.strip()) for _, _, v in _TILE.findall(text)] or [whole(text.split(";")[0].split(",")[0])]
        count = sum(c for c in counts if c is not None)
        if count:
            sheet.fault(
                "ras", code, f"{name}: {text}", device=card.fields.get("pci") or card.fields.get("index"), count=count
            )
