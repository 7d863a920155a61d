"""The host's own BMC, asked on the host: watts and inlet of the host, and its sensors. Pure.

Sensors are keyed by number and entity: names repeat on real boards ("Temp" three times).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fleetctl.facility.quantity import canonical, rounded
from fleetctl.model.facility import Measurement
from fleetctl.model.probe import Output
from fleetctl.model.reading import Device, FindingKind, ProbeResult, Reading
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Sheet
from fleetctl_ipmi.sensors import SensorValue, clean, read_sensors, total_power
from fleetctl_ipmi.tool import Unread, dcmi_reading, sensor_lines

HOST = Device("host", "host")
# Entities 37h and 40h are the air inlet (IPMI 2.0 table 43-13); boards that do not say so have it in the name.
_INLET_ENTITIES = ("55.", "64.")
_INLET_NAMES = tuple(
    re.compile(p, re.IGNORECASE)
    for p in (r"inlet|intake", r"ambient|^amb[ _]", r"front[ _]?panel|^fp[ _]|^fp\d*[ _]?temp")
)
_NOT_AIR = re.compile(r"exhaust|outlet|gpu|cpu|dimm|psu|supply|water|coolant|liquid|hsc|hgx|margin|ocp|nic|raid", re.I)
_NO_DCMI = re.compile(r"invalid command|\(c1\)|not supported|does not support|\(cc\)|\(d6\)", re.IGNORECASE)


def parse_power(output: Output) -> ProbeResult:
    """`ipmitool dcmi power reading`. A BMC without DCMI is a fact about the host and no failure."""
    sheet = Sheet("ipmi")
    text = sheet.text_of(output)
    reading = dcmi_reading(text)
    if reading is None:
        if text.strip() and not _refused(sheet, text):
            if _NO_DCMI.search(text[:2000]):
                return ProbeResult(facts={"dcmi": "none"})
            sheet.unread("no power reading", text)
        return sheet.result()
    watts, measuring = reading
    known = measuring and 0 < watts < 65535
    if not known:
        return ProbeResult(findings=sheet.result().findings, facts={"dcmi": "measures nothing"})
    host = Reading(HOST, {"power_w": watts}, {"power_source": "DCMI power reading"})
    return ProbeResult(readings=(host,), findings=sheet.result().findings)


def parse_sensors(output: Output) -> ProbeResult:
    """`ipmitool sdr elist full`, `sdr list` or `sensor`. Unknown is None; a measured zero stays a zero."""
    sheet = Sheet("ipmi")
    text = sheet.text_of(output)
    sensors: list[SensorValue] = []
    odd: list[Unread] = []
    for item in sensor_lines(text):
        if isinstance(item, Unread):
            odd.append(item)
        else:
            sensors.append(item)
    if not sensors:
        if text.strip() and not _refused(sheet, text):
            sheet.unread("no sensor in it", text)
        return sheet.result()
    for line in odd:
        sheet.unread("a line that is no sensor", line.text, line.line)
    readings: list[Reading] = []
    known: list[tuple[SensorValue, Measurement]] = []
    keys: set[str] = set()
    for sensor in sensors:
        found, states, _, wrong = read_sensors([sensor], output.at or 0.0)
        for finding in wrong:
            sheet.unread(finding.text, sensor.raw)
        key = _key(sensor, keys)
        name = clean(sensor.name)
        index = f"{sensor.number:#04x}" if sensor.number >= 0 else None
        words = {"state": states[0].word} if states else {}
        if found:
            value, unit = canonical(found[0].value, found[0].unit)
            quantity = found[0].quantity
            known.append((sensor, found[0]))
            device = Device("sensor", key, index, "ipmi", quantity=quantity, unit=unit, where=name)
            readings.append(Reading(device, {"value": rounded(value)}, words))
        else:
            device = Device("sensor", key, index, "ipmi", where=name)
            readings.append(Reading(device, {"value": None}, words))
    host = _host(known)
    if host is not None:
        readings.insert(0, host)
    return ProbeResult(readings=tuple(readings), findings=sheet.result().findings)


def _refused(sheet: Sheet, text: str) -> bool:
    """What ipmitool and the kernel say instead of an answer."""
    if "could not open device" in text[:2000].lower() and "permission" not in text[:2000].lower():
        sheet.find(FindingKind.NO_DEVICES, "the host has no IPMI device", text)
        return True
    return shell_refusal(sheet, text)


def _key(sensor: SensorValue, keys: set[str]) -> str:
    """Number and entity; the `sensor` form has neither, there it is the name and how often it came."""
    name = f"{sensor.number:02x}h-{sensor.entity}" if sensor.number >= 0 else clean(sensor.name)
    key, again = f"ipmi-{name}", 2
    while key in keys:
        key, again = f"ipmi-{name}-{again}", again + 1
    keys.add(key)
    return key


def _host(known: Iterable[tuple[SensorValue, Measurement]]) -> Reading | None:
    """What the sensors tell of the whole host: the air at its inlet, and its draw by the order of ADR 0062."""
    known = list(known)
    inlet = inlet_of(known)
    total = total_power(None, [m for _, m in known], ())
    watts = total if total is not None and total[0] > 0 else None
    if inlet is None and watts is None:
        return None
    states = {"power_source": watts[1]} if watts else {}
    return Reading(HOST, {"inlet_temp_c": inlet, "power_w": watts[0] if watts else None}, states)


def inlet_of(known: Iterable[tuple[SensorValue, Measurement]]) -> float | None:
    """Degrees C at the server's inlet: the entity that says so, else the name, best word first."""
    air = [(s, m) for s, m in known if m.quantity == "temperature" and not _NOT_AIR.search(s.name)]
    ranks = [[m for s, m in air if s.entity.startswith(_INLET_ENTITIES)]]
    ranks += [[m for s, m in air if pattern.search(s.name)] for pattern in _INLET_NAMES]
    first = next((rank[0] for rank in ranks if rank), None)
    return None if first is None else rounded(canonical(first.value, first.unit)[0])
