"""What ipmitool prints, as sensors and watts. Pure; the same text comes from a host itself and over the network.

Source: ipmitool 1.8.18 and 1.8.19, lib/ipmi_sdr.c, ipmi_sensor.c, ipmi_dcmi.c; tried on OpenIPMI's simulator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fleetctl_ipmi.sensors import SensorValue

MAX_SENSORS = 1_024
MAX_LINE = 512  # characters; ipmitool's widest form, `sensor`, has 120
# The four words for nothing, and what stands in a cell that has none.
NOTHING = frozenset(["", "na", "ns", "n/a", "no reading", "disabled", "not readable", "not available", "unknown"])
_STATUS = frozenset(["ok", "ns", "nc", "cr", "nr", "us", "lnc", "lcr", "lnr", "unc", "ucr", "unr"])
_BAD = frozenset(["cr", "nr", "lcr", "lnr", "ucr", "unr"])
_NUMBER = re.compile(r"^([-+]?\d{1,15}(?:\.\d{1,15})?(?:[eE][-+]?\d{1,3})?)\s*(.*)$")
_HEX = re.compile(r"^0x[0-9a-fA-F]{1,8}$")
_ELIST = re.compile(r"^(?P<name>.*?)\s*\|\s*(?P<number>[0-9A-Fa-f]{2})h\s*\|\s*(?P<status>\w+)\s*\|\s*(?P<entity>\d+\.\d+)\s*\|(?P<text>.*)$")  # fmt: skip
_WATTS = re.compile(r"^\s*Instantaneous power reading:\s+(\S+)\s+Watts", re.MULTILINE | re.IGNORECASE)
_ACTIVE = re.compile(r"^\s*Power reading state is:\s+(\w+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unread:
    """A line that is no sensor. line: 1-based."""

    line: int
    text: str


def sensor_lines(text: str) -> Iterator[SensorValue | Unread]:
    """Sensors of `sdr elist`, `sdr list` or `sensor`, line by line. A form without sensor numbers counts them as -1, -2."""
    count = 0
    for line_number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE:
            yield Unread(line_number, line[:MAX_LINE])
            continue
        sensor = _elist(line) if (cells := line.count("|")) == 4 or _ELIST.match(line) else None
        if sensor is None and cells:
            sensor = _cells([c.strip() for c in line.split("|")], -count - 1)
        if sensor is None:
            yield Unread(line_number, line)
            continue
        count += 1
        if count > MAX_SENSORS:
            yield Unread(line_number, f"more than {MAX_SENSORS} sensors")
            return
        yield sensor


def _elist(line: str) -> SensorValue | None:
    match = _ELIST.match(line)
    if match is None or match["status"].lower() not in _STATUS:
        return None
    return _sensor(int(match["number"], 16), match["name"], match["entity"], match["status"], match["text"].strip())


def _cells(cells: list[str], number: int) -> SensorValue | None:
    """`sdr list` has three cells (name, value, status), `sensor` ten (name, value, unit, status, six limits)."""
    if len(cells) == 3 and cells[2].lower() in _STATUS:
        return _sensor(number, cells[0], "", cells[2], cells[1])
    if len(cells) != 10:
        return None
    name, value, unit, status = cells[:4]
    if unit == "discrete":
        known = _HEX.match(value) is not None
        return SensorValue(number, name, "", "", None, value, known, (status,) if known else (), None, False)
    return _sensor(number, name, "", status, f"{value} {unit}" if value.lower() not in NOTHING else value, unit)


def _sensor(number: int, name: str, entity: str, status: str, text: str, unit: str = "") -> SensorValue:
    low = status.lower()
    bad = low in _BAD
    match = _NUMBER.match(text)
    if match is not None and not _HEX.match(text):
        there = low != "ns"
        value = float(match[1]) if there else None
        return SensorValue(number, name, entity, match[2].strip(), value, text[:80], there, (), bad, True)
    if text.lower() in NOTHING or low == "ns":
        return SensorValue(number, name, entity, unit, None, text[:80] or low, False, (), None, bool(unit))
    return SensorValue(number, name, entity, "", None, text[:80], True, (text[:80],), bad, False)


def dcmi_reading(text: str) -> tuple[int, bool] | None:
    """(watts now, measuring) of `dcmi power reading`; None where there is no such answer."""
    watts, active = _WATTS.search(text[:4096]), _ACTIVE.search(text[:4096])
    if watts is None or not watts[1].isascii() or not watts[1].isdigit() or len(watts[1]) > 9:
        return None
    return int(watts[1]), active is not None and active[1].lower() == "activated"
