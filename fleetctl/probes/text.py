"""How the text of a tool becomes a number, an address or an honest "unknown". Pure functions, shared by all parsers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache

from fleetctl.model.reading import Value

MAX_CHARS = 2 * 1024 * 1024  # the longest honest answer known is 16 desktop cards in XML, 1.2 MB
RAW_CHARS = 2048

_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[@-_]?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

# What tools write where they know nothing. Compared in lower case, brackets and blanks removed.
_UNKNOWN = frozenset(
    {
        "", "n/a", "na", "n.a.", "none", "null", "nil", "nan", "+nan", "-nan", "inf", "+inf", "-inf", "-", "--", "---",
        "unknown", "unknown error", "not supported", "unsupported", "not available", "not applicable", "err!", "error",
        "not supported on this device", "insufficient permissions", "no permission", "redacted", "gpu is lost", "gpu is lost.",
        "gpu requires reset", "requested functionality has been deprecated", "deprecated", "not present", "/",
    }
)  # fmt: skip
_MASKED = re.compile(r"(?i)[x*#?]{3,}(?:[^a-z0-9]*[a-z%]*)?$")
_ALL_ZERO_ID = re.compile(r"(?i)(?:gpu-|mig-)?[0\-:. ]{8,}$")
_NUMBER = re.compile(r"([-+]?(?:\d{1,25}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][-+]?\d{1,3})?)\s*(\S.{0,31})?$")
_DIGITS = re.compile(r"[0-9]{1,18}$")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,16}$")
_PCI = re.compile(
    r"(?i)^(?:pci:)?(?:([0-9a-f]{2}|[0-9a-f]{4}|[0-9a-f]{8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?$"
)


def clean(text: str) -> str:
    """Text without terminal escapes and control characters, with plain line ends."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    return _CONTROL.sub(" ", text)


def excerpt(text: str, limit: int = RAW_CHARS) -> str:
    """The start of a raw text for a finding: escapes removed, at most 2 KiB."""
    return clean(text[: limit * 2]).strip()[:limit]


def is_unknown(text: str | None) -> bool:
    """True where a tool wrote a word, dash or mask in place of a value. `0` is a value."""
    if text is None:
        return True
    word = text.strip().strip("[]<>\"'").strip()[:64].lower()
    return word in _UNKNOWN or word.startswith(("n/a", "not supported", "[n/a]")) or bool(_MASKED.match(word))


def word(text: str | None) -> str | None:
    """A printed word, or None where the tool knows none."""
    return None if text is None or is_unknown(text) else text.strip()


def identifier(text: str | None) -> str | None:
    """A serial or UUID; None where it is unknown or masked with zeros (a card has no serial 0000000000000)."""
    value = word(text)
    if (
        value is None
        or _ALL_ZERO_ID.match(value)
        or value.strip("0-: ") == ""
        or value.lower().startswith("0x0000000000")
    ):
        return None
    return value


def pci_address(text: str | None) -> str | None:
    """`00000000:1A:00.0`, `0000:1A:00`, `1a:00.0` -> `0000:1a:00.0`; None when it is no address. The domain stays."""
    match = _PCI.match(text.strip()) if text else None
    if match is None:
        return None
    domain, bus, slot, function = match.groups()
    number = int(domain or "0", 16)
    return f"{number:04x}:{bus.lower()}:{slot.lower()}.{function or '0'}"


def whole(text: str | None) -> int | None:
    """A plain count of ASCII digits (`str.isdigit` also accepts what `int` refuses), else None."""
    text = (text or "").strip()
    return int(text) if _DIGITS.match(text) else None


def total(texts: Iterable[str | None]) -> int | None:
    """The sum of the counts that are known; None when none is."""
    known = [n for n in map(whole, texts) if n is not None]
    return sum(known) if known else None


def split_number(text: str) -> tuple[float | int, str] | None:
    """`"62.5 W"` -> (62.5, "W"); whole numbers stay whole; None when it does not start with a number."""
    match = _NUMBER.match(text.strip())
    if match is None:
        return None
    digits, unit = match.groups()
    number: float | int = int(digits) if _DIGITS.match(digits.lstrip("+-")) else float(digits)
    return number, (unit or "").strip()


# unit as printed, lower case -> (dimension, factor to the catalogue's unit). Tools write KB, MB and GB for 1024s.
_UNITS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("b", "byte", "bytes"), ("bytes", 1.0)),
    **dict.fromkeys(("k", "kb", "kib", "kbytes"), ("bytes", 1024.0)),
    **dict.fromkeys(("m", "mb", "mib", "mbytes"), ("bytes", 1024.0**2)),
    **dict.fromkeys(("g", "gb", "gib", "gbytes"), ("bytes", 1024.0**3)),
    **dict.fromkeys(("t", "tb", "tib"), ("bytes", 1024.0**4)),
    **dict.fromkeys(
        ("c", "°c", "℃", "deg c", "degc", "celsius", "º c", "° c", "°", "ºc", "'c", "degrees c"), ("c", 1.0)
    ),
    **dict.fromkeys(("w", "watt", "watts"), ("w", 1.0)),
    **dict.fromkeys(("mw", "milliwatt", "milliwatts"), ("w", 0.001)),
    **dict.fromkeys(("kw",), ("w", 1000.0)),
    **dict.fromkeys(("mhz",), ("mhz", 1.0)),
    **dict.fromkeys(("ghz",), ("mhz", 1000.0)),
    **dict.fromkeys(("khz",), ("mhz", 0.001)),
    **dict.fromkeys(("hz",), ("mhz", 1e-06)),
    **dict.fromkeys(("%", "percent", "pct"), ("pct", 1.0)),
    **dict.fromkeys(("rpm",), ("rpm", 1.0)),
    **dict.fromkeys(("j", "joule", "joules"), ("j", 1.0)),
    **dict.fromkeys(("mj",), ("j", 0.001)),
    **dict.fromkeys(("kwh",), ("j", 3600000.0)),
    **dict.fromkeys(("x", "lanes"), ("lanes", 1.0)),
}
_DIMENSIONS = {"bytes": "bytes", "c": "c", "w": "w", "mhz": "mhz", "pct": "pct", "rpm": "rpm", "j": "j"}

# What no card has. Beyond these a printed number is a broken sensor or a blank value, not a reading.
_LIMITS: dict[str, tuple[float, float]] = {
    "bytes": (0, 64 * 1024.0**4),
    "c": (0, 150),
    "w": (0, 20_000),
    "mhz": (0, 50_000),
    "pct": (0, 100),
    "rpm": (0, 100_000),
    "j": (0, 1e15),
    "": (0, 2.0**53),
}
_LIMITS_OF = {
    "fan_pct": (0.0, 300.0),
    "pcie_gen": (0.0, 9.0),
    "pcie_gen_max": (0.0, 9.0),
    "pcie_width": (0.0, 64.0),
    "pcie_width_max": (0.0, 64.0),
    "procs": (0.0, 1e6),
    "links_up": (0.0, 4096.0),
    "links_total": (0.0, 4096.0),
    # of hosts: a counter of traffic passes any memory's size within an hour
    "net_rx_bytes_total": (0.0, 2.0**63),
    "net_tx_bytes_total": (0.0, 2.0**63),
    "disk_free_bytes": (0.0, 2.0**60),
    "load1": (0.0, 1e6),
    "cores": (0.0, 1e5),
    "uptime_s": (0.0, 1e10),
    "procs_d": (0.0, 1e7),
}
# Blank values of DCGM (64-bit, 32-bit, double) and the all-ones of counters that are not there.
_BLANKS = frozenset(
    [0x7FFFFFFFFFFFFFF0 + i for i in range(16)]
    + [0x7FFFFFF0 + i for i in range(16)]
    + [140737488355328 + i for i in range(16)]
    + [2**64 - 1, 2**64 - 2, 2**32 - 1]
)
_FLAGS = {"yes": 1, "no": 0, "true": 1, "false": 0, "active": 1, "not active": 0, "enabled": 1, "disabled": 0}
_WORDS = frozenset({*_FLAGS, "on", "off"})  # a mode in the place of a number (ECC off) counts nothing
_FLAG_METRICS = frozenset({"row_remap_pending", "row_remap_failed", "pages_pending", "throttled"})


def dimension(metric: str) -> str:
    """The dimension a metric's name ends in: `power_cap_w` -> "w"; "" for counts and flags."""
    return _DIMENSIONS.get(metric.rsplit("_", 1)[-1], "")


def is_blank(number: float) -> bool:
    """True for the numbers that mean "not supported" in DCGM and in counters of 32 and 64 ones."""
    return number in _BLANKS or 2.0**63 - 2048 <= number <= 2.0**64


def limits(metric: str) -> tuple[float, float]:
    """The least and the most that a card or a host can say of it."""
    return _LIMITS_OF.get(metric) or _LIMITS[dimension(metric)]


def plausible(metric: str, number: float) -> bool:
    """False for what no card can say: below zero, above any chip made, not a number."""
    low, high = limits(metric)
    return low <= number <= high  # NaN compares false


_CACHED_CHARS = 48  # cells repeat from card to card and round to round; longer texts are not kept


def measure(metric: str, text: str | None, unit: str = "") -> tuple[Value, str]:
    """(value in the catalogue's unit, "") or (None, why it could not be read); (None, "") is an honest unknown.

    unit: the unit of a number printed without one ("MiB", "W"), from the tool's header or manual.
    """
    if text is None:
        return None, ""
    if len(text) > _CACHED_CHARS:
        return _measure(metric, text, unit)
    return _measured(metric, text, unit)


@lru_cache(maxsize=8192)
def _measured(metric: str, text: str, unit: str) -> tuple[Value, str]:
    return _measure(metric, text, unit)


def _measure(metric: str, text: str, unit: str) -> tuple[Value, str]:
    if metric in _FLAG_METRICS:
        flag = _FLAGS.get(text.strip().lower())
        if flag is not None:
            return flag, ""
    if is_unknown(text) or text.strip().lower() in _WORDS:
        return None, ""
    if _HEX.match(text.strip()):
        parsed: tuple[float | int, str] | None = (int(text.strip(), 16), "")
    else:
        parsed = split_number(text)
    if parsed is None:
        return None, f"{metric}: not a number"
    number, printed = parsed
    return scaled(metric, number, printed or unit)


def scaled(metric: str, number: float | int, unit: str = "") -> tuple[Value, str]:
    """A number with its unit in the catalogue's unit, or None and why not."""
    if is_blank(number):
        return None, ""
    wanted = dimension(metric)
    value: float | int = number
    if unit:
        known = _UNITS.get(unit.lower())
        if known is None:
            if wanted:
                return None, f"{metric}: unit {unit[:16]!r} is not known"
        elif wanted and known[0] != wanted:
            return None, f"{metric}: {unit[:16]!r} is not a unit of it"
        elif known[1] != 1.0:
            value = number * known[1]
            value = round(value) if wanted == "bytes" and math.isfinite(value) else round(value, 6)
    if not plausible(metric, value):
        return None, f"{metric}: {number!r} {unit} cannot be"
    if wanted == "bytes" or (isinstance(value, float) and not wanted and value.is_integer()):
        return round(value), ""
    return value, ""
