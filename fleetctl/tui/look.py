"""How values look: tones, symbols, state words, levels. One place, so that every screen says the same thing alike.

A tone is the name of a component class of the app (`tone--crit`); what it looks like in true colour, 16 colours and without
colour is written in styles/tones.tcss. Every tone that means something also differs by a symbol or a word.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from fleetctl.i18n import _

TONES = (
    "plain", "muted", "ok", "warn", "crit", "blind", "info", "accent", "strong", "head", "sorted", "rule",
    "cursor", "cursor-off", "mark", "changed", "track",
    "heat0", "heat1", "heat2", "heat3", "heat4", "heat5", "heat6", "heat7",
)  # fmt: skip
TONE_CLASSES = {f"tone--{tone}" for tone in TONES}


@dataclass(frozen=True, slots=True)
class Symbols:
    """Glyphs of certain width: none of them is ambiguous in East Asian terminals (Unicode EAW is N or Na)."""

    ok: str
    warn: str
    crit: str
    blind: str
    busy: str
    out: str
    mark: str
    more: str
    bar: str  # from empty to full, one cell
    levels: str  # rising, for sparklines
    heat: str  # eight rising levels, for monochrome heat maps
    rule: str
    thumb: str  # where we are in a long list


BRAILLE = Symbols(
    ok="✓", warn="!", crit="✗", blind="?", busy="↻", out="⊘", mark="❯", more="›",
    bar="⠀⡀⡄⡆⡇⣇⣧⣷⣿", levels="⢀⢠⢰⢸⣀⣠⣰⣸", heat="⡀⣀⣄⣤⣦⣶⣷⣿", rule="⠒", thumb="⢸",
)  # fmt: skip
ASCII = Symbols(
    ok="+", warn="!", crit="X", blind="?", busy="~", out="=", mark="*", more=">",
    bar=" .:-=+*##", levels="_.-=+*#@", heat=".:-=+*%#", rule="-", thumb="|",
)  # fmt: skip


def symbols() -> Symbols:
    """The set in force: FLEETCTL_SYMBOLS=ascii, or a locale that is not UTF-8, asks for plain ASCII."""
    wanted = os.environ.get("FLEETCTL_SYMBOLS", "")
    if wanted == "ascii":
        return ASCII
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "UTF-8"
    return BRAILLE if wanted == "unicode" or "utf" in locale.lower() else ASCII


# State key -> (tone, name of a symbol or "", English message id). Keys are those of fleetctl.model.states and of the
# lists of plans, leases and requests; a key that is not here is shown as it is.
STATES: dict[str, tuple[str, str, str]] = {
    "ok": ("ok", "ok", "ok"),
    "warn": ("warn", "warn", "warn"),
    "crit": ("crit", "crit", "crit"),
    "unknown": ("blind", "blind", "unknown"),
    "fresh": ("ok", "", "fresh"),
    "stale": ("warn", "warn", "stale"),
    "hung": ("warn", "warn", "hung"),
    "unreachable": ("crit", "crit", "unreachable"),
    "staged": ("muted", "out", "staged"),
    "burn_in": ("info", "busy", "burn in"),
    "in_service": ("plain", "", "in service"),
    "cordoned": ("warn", "out", "cordoned"),
    "draining": ("info", "busy", "draining"),
    "drained": ("info", "out", "drained"),
    "maintenance": ("info", "out", "maintenance"),
    "verify": ("info", "busy", "verify"),
    "quarantined": ("crit", "out", "quarantined"),
    "rma": ("warn", "out", "rma"),
    "retired": ("muted", "out", "retired"),
    "idle": ("muted", "", "idle"),
    "mixed": ("plain", "", "mixed"),
    "allocated": ("accent", "", "allocated"),
    "firing": ("crit", "crit", "firing"),
    "pending": ("muted", "", "pending"),
    "resolved": ("muted", "ok", "resolved"),
    "acknowledged": ("muted", "", "acknowledged"),
    "active": ("ok", "", "active"),
    "running": ("info", "busy", "running"),
    "waiting": ("warn", "", "waiting"),
    "queued": ("warn", "", "queued"),
    "placed": ("ok", "", "placed"),
    "planned": ("muted", "", "planned"),
    "done": ("ok", "ok", "done"),
    "failed": ("crit", "crit", "failed"),
    "cancelled": ("muted", "", "cancelled"),
    "released": ("muted", "", "released"),
    "expired": ("muted", "", "expired"),
    "timeout": ("warn", "warn", "timeout"),
    "missing": ("muted", "", "missing"),
    "cut": ("warn", "warn", "cut"),
    "lost": ("warn", "warn", "lost"),
    "info": ("info", "", "info"),
    "silent": ("blind", "blind", "silent"),
    "never": ("muted", "", "never asked"),
    "leak": ("crit", "crit", "leak"),
    "no flow": ("crit", "crit", "no flow"),
    "too warm": ("warn", "warn", "too warm"),
    "dry": ("ok", "", "dry"),
}


def state_text(key: str, glyphs: Symbols) -> tuple[str, str]:
    """(text, tone) of a state word in the language in force, its symbol before it."""
    tone, symbol, word = STATES.get(key, ("plain", "", key))
    word = _(word)
    return (f"{getattr(glyphs, symbol)} {word}" if symbol else word), tone


@dataclass(frozen=True, slots=True)
class Level:
    """From which value on a figure is a warning and critical. Config and catalogue decide findings; this only tints."""

    warn: float
    crit: float


LEVELS: dict[str, Level] = {
    "temp_c": Level(80.0, 90.0),
    "mem_temp_c": Level(90.0, 100.0),
    "hotspot_temp_c": Level(95.0, 105.0),
    "inlet_temp_c": Level(27.0, 32.0),
    "disk_used_pct": Level(85.0, 95.0),
    "disk_pct": Level(85.0, 95.0),
    "used_pct": Level(95.0, 100.01),  # of a power budget
    "load_pct": Level(80.0, 100.01),  # of a breaker
}
# Counts of something unwanted: zero steps back, anything else stands out.
COUNTS = {
    "crit": "crit",
    "warn": "warn",
    "silent": "blind",
    "out": "info",
    "findings_open": "warn",
    "allocated": "plain",
    "over": "crit",
}
METERS = frozenset({"util_pct", "mem_pct", "used_pct", "load_pct"})


def level_tone(name: str, value: Any) -> str:
    """Tone of a figure by its column's name; plain when nothing is known about it."""
    if not isinstance(value, (int, float)):
        return "plain"
    if name in COUNTS:
        return COUNTS[name] if value else "muted"
    level = LEVELS.get(name)
    if level is None:
        return "plain"
    return "crit" if value >= level.crit else "warn" if value >= level.warn else "plain"


def clean(text: str) -> str:
    """Text that can't move the cursor or change the screen: control characters become a visible box."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def fit(text: str, width: int, right: bool = False) -> str:
    """Exactly `width` cells: padded, or cut with a tilde; a double-width character is never halved."""
    cells = len(text) if text.isascii() else cell_len(text)
    if cells <= width:
        pad = " " * (width - cells)
        return pad + text if right else text + pad
    if width <= 0:
        return ""
    kept, used = [], 0
    for char in text:
        size = 1 if char.isascii() else cell_len(char)
        if used + size > width - 1:
            break
        kept.append(char)
        used += size
    return "".join(kept) + "~" + " " * (width - 1 - used)


def meter(value: float | None, width: int, glyphs: Symbols) -> tuple[str, str]:
    """A horizontal bar for 0 to 100, two steps a cell: (filled, rest), together `width` cells."""
    if value is None:
        return "", " " * width
    halves = round(max(0.0, min(100.0, value)) / 100.0 * width * 2)
    full, half = divmod(halves, 2)
    solid, partial, empty = ("⠶", "⠆", "⠒") if glyphs is BRAILLE else ("#", "-", ".")
    filled = solid * full + partial * half
    return filled, empty * (width - len(filled))
