"""Recordings of real BMCs, PDUs, UPSes, coolers and meters, read in place: every expected value, no invented one.

The trees and walks are read from their files by small stand-ins for the network; what is tested is everything behind it.
The recordings of GPL sources are not part of this project, so they are never copied here.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fleetctl.errors import ParseError
from fleetctl.facility.endpoint import parse_url
from fleetctl.model.facility import EndpointReport, Measurement
from fleetctl_modbus.register_map import load_map as load_register_map
from fleetctl_redfish.session import MissingError
from fleetctl_redfish.source import RedfishSource
from fleetctl_snmp.source import SnmpSource

_NAMED = os.environ.get("FLEETCTL_SHARED")
_PLACES = [Path(_NAMED)] if _NAMED else [p / "shared" for p in Path(__file__).resolve().parents]
SHARED = next((p for p in _PLACES if (p / "recordings/redfish").is_dir()), Path("/nowhere"))
REDFISH, SNMP = SHARED / "recordings/redfish", SHARED / "recordings/snmp"
pytestmark = pytest.mark.conformance
TOLERANCE = 0.03


def index(folder: Path, key: str) -> list[dict[str, str]]:
    file = folder / "INDEX.tsv"
    return list(csv.DictReader(file.read_text().splitlines(), delimiter="\t")) if file.exists() else []


class Tree:
    """A recorded Redfish service in place of the session: GET reads the file, as the testbed's server does."""

    base = "https://recorded"
    gets = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.asynccontextmanager
    async def two_sockets(self) -> AsyncIterator[None]:
        yield

    async def get(self, target: str) -> dict[str, Any]:
        self.gets += 1
        path, _, query = target.partition("?")
        skip = re.search(r"\$skip=(\d+)", query)
        name = path.strip("/") + (f"?$skip={skip[1]}" if skip else "")
        file = self.folder / name / "index.json"
        if not file.is_file():
            raise MissingError(f"{path}: 404")
        try:
            answer: dict[str, Any] = json.loads(file.read_bytes())
        except ValueError as error:
            raise ParseError(str(error)) from None
        if "$expand" in query:
            members = []
            for member in answer.get("Members", ()):
                inner = self.folder / str(member.get("@odata.id", "")).strip("/") / "index.json"
                members.append(json.loads(inner.read_bytes()) if inner.is_file() else member)
            answer["Members"] = members
        return answer

    async def close(self) -> None:
        return None


async def read_tree(folder: Path) -> EndpointReport:
    source = RedfishSource(parse_url("https://recorded"))
    source.session = Tree(folder)  # type: ignore[assignment]
    return await source.read()


def numbers_in(folder: Path) -> set[float]:
    """Every number that stands anywhere in a tree, as a number or as text."""
    out: set[float] = set()
    for file in folder.rglob("index.json"):
        text = file.read_text(errors="replace")
        out.update(float(n) for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", text))
    return out


@pytest.mark.parametrize("row", index(REDFISH, "name"), ids=lambda r: r["name"])
async def test_redfish_total_power(row: dict[str, str]) -> None:
    report = await read_tree(REDFISH / row["name"])
    if row["total_power_w"]:
        assert report.total_power_w == pytest.approx(float(row["total_power_w"]), rel=TOLERANCE)
        assert report.total_power_source
    else:
        assert report.total_power_w is None
    assert len(report.readings) >= 30


@pytest.mark.parametrize("row", index(REDFISH, "name"), ids=lambda r: r["name"])
async def test_redfish_invents_nothing(row: dict[str, str]) -> None:
    folder = REDFISH / row["name"]
    report = await read_tree(folder)
    there = numbers_in(folder)
    assert [r for r in report.readings if r.value not in there] == []
    names = [(r.quantity, r.where) for r in report.readings]
    assert len(names) == len(set(names)), "two readings of one name"


async def test_the_leak_that_was_recorded_is_seen() -> None:
    report = await read_tree(REDFISH / "nvidia-gb200-nvl-compute")
    leaks = [s for s in report.states if s.what == "leak"]
    assert len(leaks) >= 4
    assert [s.where for s in leaks if s.bad] == ["Chassis_0/Chassis 0 LeakDetector 1 ColdPlate"]


async def test_a_poll_of_a_tray_takes_three_questions() -> None:
    source = RedfishSource(parse_url("https://recorded"))
    tree = Tree(REDFISH / "nvidia-dgx-h100-ami")
    source.session = tree  # type: ignore[assignment]
    await source.read()
    before = tree.gets
    report = await source.poll()
    assert tree.gets - before <= 3
    assert report.total_power_w == 1950


# -- SNMP ----------------------------------------------------------------------------------------------------------------


def load_walk(file: Path) -> dict[str, Any]:
    """OID -> value of a .snmprec (tag and hex forms) or .snmpwalk file; what is no value line is left out."""
    out: dict[str, Any] = {}
    for line in file.read_text(errors="replace").splitlines():
        if file.suffix == ".snmprec":
            parts = line.split("|", 2)
            if len(parts) != 3 or not parts[0].lstrip(".")[:1].isdigit():
                continue
            oid, tag, raw = parts[0].lstrip("."), parts[1], parts[2]
            if tag.startswith(("2:numeric", "66:numeric")):
                found = re.search(r"initial=(\d+)", raw)
                out[oid] = int(found[1]) if found else 0
            elif ":" in tag:
                continue
            elif tag.endswith("x"):
                out[oid] = bytes.fromhex(raw)
            elif tag in ("2", "65", "66", "67", "70"):
                out[oid] = int(raw)
            else:
                out[oid] = raw.encode() if tag == "4" else raw
        else:
            found = re.match(r"\.?([\d.]+) = (?:(\w[\w-]*): )?(.*)$", line)
            if not found or found[3] == "NULL":
                continue
            kind, raw = found[2] or "", found[3].strip('"')
            number = re.search(r"-?\d+", raw)
            is_number = kind in ("INTEGER", "Gauge32", "Counter32", "Counter64") or (not kind and raw.isdigit())
            out[found[1]] = int(number[0]) if is_number and number else raw.lstrip(".").encode()
    return out


def order(oid: str) -> tuple[int, ...]:
    return tuple(int(p) for p in oid.split("."))


class Walk:
    """A recorded agent in place of the client."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = dict(sorted(values.items(), key=lambda kv: order(kv[0])))

    async def get(self, oids: list[str]) -> dict[str, Any]:
        return {o: self.values[o] for o in oids if o in self.values}

    async def column(self, oid: str) -> dict[str, Any]:
        return {o[len(oid) + 1 :]: v for o, v in self.values.items() if o.startswith(oid + ".")}

    async def first_below(self, oid: str) -> tuple[str, Any] | None:
        return next(((o, v) for o, v in self.values.items() if o.startswith(oid + ".")), None)

    async def close(self) -> None:
        return None


async def read_walk(file: Path) -> EndpointReport:
    source = SnmpSource(parse_url("snmp://recorded"))
    source._client = Walk(load_walk(file))  # type: ignore[assignment]
    return await source.read()


# Where the oracle is wrong and the MIB is right: its number, and what the value is.
DISPUTED = {
    "1.3.6.1.4.1.705.1.7.2.1.4": "MG-SNMP-UPS-MIB: the load of a phase in percent, taken for kVA",
    "1.3.6.1.4.1.3808.1.1.1.4.2.4.0": "CPS-MIB: tenths of an ampere (6.5 A), taken for amperes",
    "1.3.6.1.4.1.705.1.5.1.0": "seconds in the recording, minutes here",
    "1.3.6.1.4.1.318.1.1.10.4.2.3.1.6.0": "-1 is no humidity",
}
NOT_READ = ("state", "eer", "nut", "delay")


@pytest.mark.parametrize("row", index(SNMP, "file"), ids=lambda r: r["file"])
async def test_snmp_values(row: dict[str, str]) -> None:
    file = SNMP / row["file"]
    report = await read_walk(file)
    got = {r.source: r for r in report.readings}
    expected = SNMP / "expected" / (file.stem + ".tsv")
    wrong = []
    for want in csv.DictReader(expected.read_text().splitlines(), delimiter="\t"):
        oid = want["oid"]
        if want["class"] in NOT_READ or not oid or any(oid.startswith(d) for d in DISPUTED):
            continue
        if oid == "1.3.6.1.2.1.33.1.2.2.0":  # seconds on battery: an event, not a reading
            continue
        reading = got.get(oid)
        value = float(want["value"])
        if reading is None or not close(reading, value, want["unit"]):
            wrong.append((want["label"], oid, value, reading))
    assert wrong == []


def close(reading: Measurement, value: float, unit: str) -> bool:
    factor = 1000.0 if (reading.unit, unit) == ("kW", "W") else 1.0
    return abs(reading.value * factor - value) <= max(TOLERANCE * abs(value), 0.06)


@pytest.mark.parametrize("row", index(SNMP, "file"), ids=lambda r: r["file"])
async def test_snmp_readings_can_be(row: dict[str, str]) -> None:
    """No reading that the device did not give: its raw text is the walk's own value."""
    file = SNMP / row["file"]
    values = load_walk(file)
    for r in (await read_walk(file)).readings:
        raw = values[r.source]
        shown = raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
        assert r.raw.split()[0] in shown


# -- Modbus and PUE --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted((SHARED / "testbed/facility/modbus/maps").glob("*.json")), ids=lambda f: f.stem)
def test_our_maps_are_the_sourced_ones(file: Path) -> None:
    ours, theirs = load_register_map(file.stem), load_register_map(str(file))
    assert [(p.name, p.addr, p.type, p.scale, p.unit) for p in ours.points] == [
        (p.name, p.addr, p.type, p.scale, p.unit) for p in theirs.points
    ]


@pytest.mark.parametrize("name", ["nvidia-dgx-h100-ami", "nvidia-gb200-nvl-compute"])
async def test_a_metric_report_is_one_of_the_three_questions(name: str) -> None:
    source = RedfishSource(parse_url("https://recorded"))
    tree = Tree(REDFISH / name)
    source.session = tree  # type: ignore[assignment]
    whole = await source.read()
    assert not whole.findings
    before = tree.gets
    report = await source.poll()
    assert tree.gets - before <= 3
    assert report.total_power_w == pytest.approx(whole.total_power_w, rel=TOLERANCE)
    recorded = json.loads(
        (
            REDFISH / name / "redfish/v1/TelemetryService/MetricReports/HGX_PlatformEnvironmentMetrics_0/index.json"
        ).read_bytes()
    )
    got = {r.source: r for r in report.readings}
    known = {r.source for r in whole.readings}
    anew = {
        e["MetricProperty"]: float(e["MetricValue"])
        for e in recorded["MetricValues"]
        if not e["Oem"]["Nvidia"]["MetricValueStale"] and e["MetricProperty"] in known
    }
    assert len(anew) > 10
    assert {path: got[path].value for path in anew if path in got} == pytest.approx(anew)


async def test_reports_that_are_no_json_are_findings_and_histories_are_not_polled() -> None:
    source = RedfishSource(parse_url("https://recorded"))
    source.session = Tree(REDFISH / "lenovo-sr650v2-xcc")  # type: ignore[assignment]
    whole = await source.read()
    assert {f.source.rpartition("/")[2] for f in whole.findings} == {"PowerMetrics", "PowerSupplyStats"}
    assert whole.complete
    assert whole.total_power_w == pytest.approx(708, rel=TOLERANCE)
    assert not (await source.poll()).findings
