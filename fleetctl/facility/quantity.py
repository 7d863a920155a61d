"""What units mean, which numbers are possible, and which of a device's words mean "nothing"."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

# quantity -> (canonical unit, lowest, highest possible value in that unit). Wide on purpose: outside is a wrong map or
# a broken sensor, inside is not proven right.
QUANTITIES: dict[str, tuple[str, float, float]] = {
    "power": ("W", -1e8, 1e8),
    "apparent_power": ("VA", -1e8, 1e8),
    "reactive_power": ("var", -1e8, 1e8),
    "power_factor": ("", -2.0, 2.0),
    "power_limit": ("W", 0.0, 1e8),
    "energy": ("kWh", -1e12, 1e12),
    "current": ("A", -1e5, 1e5),
    "voltage": ("V", -1e5, 1e5),
    "frequency": ("Hz", 0.0, 1e11),
    "temperature": ("C", -60.0, 200.0),
    "humidity": ("%", 0.0, 100.0),
    "fan_speed": ("rpm", 0.0, 1e5),
    "fan_duty": ("%", 0.0, 120.0),
    "pump_speed": ("rpm", 0.0, 1e5),
    "flow": ("L/min", -1e5, 1e6),
    "air_flow": ("m3/h", -1e6, 1e6),
    "pressure": ("kPa", -1e4, 1e5),
    "load": ("%", 0.0, 1000.0),
    "charge": ("%", 0.0, 100.0),
    "runtime": ("min", 0.0, 1e7),
    "cooling_power": ("kW", -1e5, 1e5),
    "cooling_demand": ("kW", -1e5, 1e5),
    "level": ("%", 0.0, 100.0),
    "valve": ("%", 0.0, 100.0),
    "utilization": ("%", 0.0, 1000.0),
    "efficiency": ("%", 0.0, 110.0),
    "stored_energy": ("kWh", 0.0, 1e6),
    "battery_health": ("%", 0.0, 120.0),
}

# unit as devices write it -> (canonical unit, factor, offset): canonical = value * factor + offset
_UNITS: dict[str, tuple[str, float, float]] = {
    "W": ("W", 1, 0),
    "kW": ("W", 1e3, 0),
    "MW": ("W", 1e6, 0),
    "mW": ("W", 1e-3, 0),
    "0.1 kW": ("W", 100, 0),
    "VA": ("VA", 1, 0),
    "kVA": ("VA", 1e3, 0),
    "var": ("var", 1, 0),
    "VAR": ("var", 1, 0),
    "kvar": ("var", 1e3, 0),
    "kVAR": ("var", 1e3, 0),
    "Wh": ("kWh", 1e-3, 0),
    "kWh": ("kWh", 1, 0),
    "MWh": ("kWh", 1e3, 0),
    "J": ("kWh", 1 / 3.6e6, 0),
    "kJ": ("kWh", 1 / 3600, 0),
    "A": ("A", 1, 0),
    "mA": ("A", 1e-3, 0),
    "V": ("V", 1, 0),
    "mV": ("V", 1e-3, 0),
    "kV": ("V", 1e3, 0),
    "Hz": ("Hz", 1, 0),
    "kHz": ("Hz", 1e3, 0),
    "MHz": ("Hz", 1e6, 0),
    "C": ("C", 1, 0),
    "Cel": ("C", 1, 0),
    "degC": ("C", 1, 0),
    "F": ("C", 5 / 9, -160 / 9),
    "degF": ("C", 5 / 9, -160 / 9),
    "K": ("C", 1, -273.15),
    "%": ("%", 1, 0),
    "rpm": ("rpm", 1, 0),
    "RPM": ("rpm", 1, 0),
    "L/min": ("L/min", 1, 0),
    "l/min": ("L/min", 1, 0),
    "L/s": ("L/min", 60, 0),
    "m3/h": ("L/min", 1000 / 60, 0),
    "gal/min": ("L/min", 3.785411784, 0),
    "kPa": ("kPa", 1, 0),
    "Pa": ("kPa", 1e-3, 0),
    "bar": ("kPa", 100, 0),
    "mbar": ("kPa", 0.1, 0),
    "psi": ("kPa", 6.894757, 0),
    "s": ("min", 1 / 60, 0),
    "min": ("min", 1, 0),
    "": ("", 1, 0),
}

# Words that devices print where a number should be.
NOTHING = frozenset(
    [
        "none",
        "null",
        "n/a",
        "na",
        "nan",
        "inf",
        "-inf",
        "unavailable",
        "notavailable",
        "unknown",
        "absent",
        "ns",
        "disabled",
        "--",
        "-",
        "not.available",
        "nosuchobject",
        "nosuchinstance",
        "endofmibview",
        "noreading",
        "unsupported",
        "notsupported",
        "invalid",
    ]
)
NOTHING_NUMBERS = (65535.0, -32768.0, 4294967295.0, -2147483648.0, 2147483647.0)

_NUMBER = re.compile(
    r"^\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z°º%µ][A-Za-z°%/³-]{0,11}(?: (?:RH|C|F|of maximum))?)?\s*$"
)


def canonical(value: float, unit: str) -> tuple[float, str]:
    """The same amount in the canonical unit; an unknown unit stays as it is."""
    known = _UNITS.get(unit)
    if known is None:
        return value, unit
    name, factor, offset = known
    return value * factor + offset, name


def number(raw: object, absent: Collection[float] = NOTHING_NUMBERS) -> float | None:
    """A device's own form as a number, or None where it means nothing. Text may carry a unit behind the number.

    Booleans are not numbers. NaN and infinity are nothing.
    """
    if raw is None or raw is True or raw is False:
        return None
    if isinstance(raw, bytes):
        raw = raw.decode("latin-1")
    if isinstance(raw, str):
        text = raw.strip().strip("\x00").strip()
        if not text or text.lower().replace(" ", "") in NOTHING:
            return None
        match = _NUMBER.match(text[:64])
        if match is None:
            return None
        value = float(match.group(1))
    elif isinstance(raw, int | float):
        try:
            value = float(raw)
        except OverflowError:
            return None
    else:
        return None
    if not math.isfinite(value) or value in absent:
        return None
    return value


def plausible(quantity: str, value: float, unit: str) -> bool:
    """False where the quantity cannot have that value. Of unknown quantities anything below a million billions can be."""
    if not math.isfinite(value):
        return False
    limits = QUANTITIES.get(quantity)
    if limits is None:
        return abs(value) < 1e15
    if unit == limits[0]:
        return limits[1] <= value <= limits[2]
    amount, canonical_unit = canonical(value, unit)
    return canonical_unit != limits[0] or limits[1] <= amount <= limits[2]


def rounded(value: float) -> float:
    """Without the noise of binary scaling: 12 significant digits."""
    return float(f"{value:.12g}")
