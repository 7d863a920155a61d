"""Numbers as people read them: bytes, watts, shares, temperatures, ages; and the way back, for filters.

Unknown never comes here: a column shows None as "-" by itself. Text is ASCII and short, so that columns stay aligned.
"""

from __future__ import annotations

import math
import re
import time

UNKNOWN = "-"

_BYTES = ("B", "K", "M", "G", "T", "P", "E")
_WATTS = ("W", "kW", "MW", "GW")
AGE_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# What a number in a filter may carry: decimal for watts, hertz and counts, binary where followed by "i" or "B".
_FACTORS = {
    "": 1.0,
    "%": 1.0,
    "c": 1.0,
    "w": 1.0,
    "b": 1.0,
    "kw": 1e3,
    "mw": 1e6,
    "gw": 1e9,
    "k": 1024.0,
    "m": 1024.0**2,
    "g": 1024.0**3,
    "t": 1024.0**4,
    "p": 1024.0**5,
}
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z%°]*)$", re.IGNORECASE)


def show_bytes(value: float) -> str:
    """1536 -> 1.5K; powers of 1024, three digits at most."""
    size, step = float(value), 0
    while abs(size) >= 999.5 and step < len(_BYTES) - 1:
        size, step = size / 1024, step + 1
    return f"{_short(size) if step else f'{size:.0f}'}{_BYTES[step]}"


def show_watts(value: float) -> str:
    """640 -> 640W, 10240 -> 10.2kW."""
    watts, step = float(value), 0
    # A server's 9800 W reads better than 9.8 kW; from there on three digits are enough.
    while abs(watts) >= (999.5 if step else 9999.5) and step < len(_WATTS) - 1:
        watts, step = watts / 1000, step + 1
    return f"{watts:.0f}W" if step == 0 else f"{_short(watts)}{_WATTS[step]}"


def show_pct(value: float) -> str:
    return f"{value:.0f}%"


def show_temp(value: float) -> str:
    """71C: the degree sign has an ambiguous width and stays out of aligned columns."""
    return f"{value:.0f}C"


def show_count(value: float) -> str:
    """12500 -> 12,500."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def show_number(value: float) -> str:
    """Three digits that matter, no exponent for everyday sizes."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


def show_unit(value: float, unit: str) -> str:
    """A value in the unit of its metric: B and W scale, °C prints as C, the rest is appended."""
    if unit == "B":
        return show_bytes(value)
    if unit == "W":
        return show_watts(value)
    if unit == "s":
        return show_duration(value)
    return f"{show_number(value)}{'C' if unit == '°C' else unit}"


def show_duration(seconds: float) -> str:
    """8 -> 8s, 95 -> 1m35s, 5400 -> 1h30m, 200000 -> 2d7h; a negative one keeps its sign."""
    if seconds < 0:
        return f"-{show_duration(-seconds)}"
    whole = int(seconds)
    for size, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size}{unit}{f'{rest}{small}' if rest else ''}"
    return f"{whole}s"


def show_age(at: float, now: float) -> str:
    """How long ago `at` was, one unit: 8s, 5m, 3h, 12d. A moment ahead of us (a wrong clock) shows as +8s."""
    age = now - at
    sign = "+" if age < -1 else ""
    age = abs(age)
    for unit, size, limit in (("s", 1.0, 120), ("m", 60.0, 120), ("h", 3600.0, 48)):
        if age < size * limit:
            return f"{sign}{int(age / size)}{unit}"
    return f"{sign}{int(age / 86400)}d"


def show_moment(at: float) -> str:
    """Local time for people: 2026-05-01 13:45:10."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):  # a host clock may say anything
        return UNKNOWN


def iso_moment(at: float | None) -> str | None:
    """UTC for machines: 2026-05-01T05:45:10Z; None when unknown or not a moment."""
    if at is None:
        return None
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return None


def parse_number(text: str) -> float | None:
    """A number with an optional unit (`80`, `80C`, `5.6kW`, `10G`, `90%`); None when it is not one."""
    found = _NUMBER.match(text.strip())
    if found is None:
        return None
    unit = found[2].lower().replace("°", "").removesuffix("ib") if found[2].lower() != "b" else "b"
    unit = unit if unit in _FACTORS else unit.removesuffix("b")
    if unit not in _FACTORS:
        return None
    value = float(found[1]) * _FACTORS[unit]
    return value if math.isfinite(value) else None


def parse_duration(text: str) -> float | None:
    """Seconds in `90`, `5m`, `1h30m`, `2d`; None when it is not a span of time."""
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        return None
    return sum(float(n) * AGE_UNITS[u] for n, u in re.findall(r"(\d+(?:\.\d+)?)([smhd])", text))


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.1f}"
