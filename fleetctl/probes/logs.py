"""Lines of a kernel log in every shape they are printed: what was said and when, and repeats folded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from fleetctl.probes.text import whole

_LEVEL = re.compile(r"^(?:<\d{1,3}>\s*|[a-z]+\s*:[a-z]+\s*:\s*)")
_SINCE_BOOT = re.compile(r"^\[\s*\d+\.\d+\]\s*(?:\[[TC]\d+\]\s*)?")
_CTIME = re.compile(
    r"^\[?(?:[^\W\d]{2,4}\.?\s+)?([^\W\d]{3,4})\.?\s+(\d{1,2})\s+(\d{2}):(\d{2}):(\d{2})\s+(\d{4})\]?\s*"
)
_ISO = re.compile(
    r"^\[?(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?\s?(Z|[+-]\d{2}:?\d{2})?\]?\s*"
)
_SYSLOG = re.compile(r"^([^\W\d]{3,4})\.?\s+(\d{1,2})\s+(\d{2}):(\d{2}):(\d{2})(?:\.\d+)?\s+")
_HOST = re.compile(r"^\S{1,253}\s+kernel:\s*")
_KMSG = re.compile(r"^\d{1,4},\d+,\d+,[^;]{0,64};")
# English and German short months: a host's locale leaks into its syslog.
_SHORT = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {m: i for i, m in enumerate(_SHORT, 1)} | {
    "jän": 1,
    "mär": 3,
    "mrz": 3,
    "mai": 5,
    "juni": 6,
    "juli": 7,
    "sept": 9,
    "okt": 10,
    "dez": 12,
}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: its number, the message alone, and when (epoch seconds UTC) where the line says so usably."""

    number: int
    message: str
    at: float | None


def log_lines(text: str, *, now: float | None = None, wanted: tuple[str, ...] = ()) -> Iterator[LogLine]:
    """Every line with its prefix read off. now: host clock, gives the year to formats without one. wanted: only lines
    that hold one of these words (cheap filter). Times without a zone are UTC: our commands run with TZ=UTC.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if not line or (wanted and not any(w in line for w in wanted)):
            continue
        at, message = _prefix(line, now)
        yield LogLine(number, message, at)


def _prefix(line: str, now: float | None) -> tuple[float | None, str]:
    if line.startswith(('{"', "{ ")):
        return _journal(line)
    at: float | None = None
    rest = line.strip()
    if match := _KMSG.match(rest):
        return None, rest[match.end() :]
    if match := _LEVEL.match(rest):
        rest = rest[match.end() :]
    if match := _SINCE_BOOT.match(rest):
        rest = rest[match.end() :]
    elif match := _ISO.match(rest):
        at, rest = _iso(match), rest[match.end() :]
    elif match := _CTIME.match(rest):
        month = _MONTHS.get(match[1].lower())
        at = _moment(int(match[6]), month, int(match[2]), int(match[3]), int(match[4]), int(match[5]))
        rest = rest[match.end() :]
    elif match := _SYSLOG.match(rest):
        at = _syslog(match, now)
        rest = rest[match.end() :]
    if match := _HOST.match(rest):
        rest = rest[match.end() :]
    if match := _SINCE_BOOT.match(rest):
        rest = rest[match.end() :]
    return at, rest


def _journal(line: str) -> tuple[float | None, str]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None, line
    if not isinstance(entry, dict) or not isinstance(entry.get("MESSAGE"), str):
        return None, line
    stamp = whole(str(entry.get("__REALTIME_TIMESTAMP", "")))
    return (stamp / 1e6 if stamp is not None else None), entry["MESSAGE"]


def _moment(year: int, month: int | None, day: int, hour: int, minute: int, second: int) -> float | None:
    if month is None:
        return None
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _iso(match: re.Match[str]) -> float | None:
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    at = _moment(year, month, day, hour, minute, second)
    if at is None:
        return None
    if match[7]:
        at += float(f"0.{match[7]}")
    zone = match[8]
    if zone and zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        at -= sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return at


def _syslog(match: re.Match[str], now: float | None) -> float | None:
    if now is None:
        return None
    month = _MONTHS.get(match[1].lower())
    year = datetime.fromtimestamp(now, UTC).year
    clock = (int(match[2]), int(match[3]), int(match[4]), int(match[5]))
    at = _moment(year, month, *clock)
    if at is not None and at > now + 86400:  # December's lines read in January
        at = _moment(year - 1, month, *clock)
    return at
