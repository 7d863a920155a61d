"""Telemetry reports: values go to the sensors they point at; old, stale and foreign ones go nowhere."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import ParseError
from fleetctl.facility.endpoint import parse_url
from fleetctl.model.facility import SourceTrouble
from fleetctl_redfish.metric_reports import read_report, with_report
from fleetctl_redfish.session import MissingError
from fleetctl_redfish.source import RedfishSource

CH = "/redfish/v1/Chassis/1"
REPORTS = "/redfish/v1/TelemetryService/MetricReports"
SENSOR = {"@odata.type": "#Sensor.v1.Sensor", "Name": "Inlet", "Reading": 20, "ReadingType": "Temperature"}
TREE: dict[str, Any] = {f"{CH}/Sensors/{n}": {**SENSOR, "Name": n} for n in ("Inlet", "Exhaust", "Board")}


def value(name: str, number: Any, second: int = 40, **more: Any) -> dict[str, Any]:
    moment = f"2026-11-21T22:16:{second:02d}+00:00"
    return {"MetricProperty": f"{CH}/Sensors/{name}", "MetricValue": number, "Timestamp": moment, **more}


def report(*values: Any) -> dict[str, Any]:
    return {"@odata.type": "#MetricReport.v1_4_2.MetricReport", "MetricValues": list(values)}


def readings(*values: Any) -> dict[str, Any]:
    return {k.rpartition("/")[2]: v["Reading"] for k, v in read_report(report(*values), TREE).sensors.items()}


def test_the_newest_value_of_each_known_sensor() -> None:
    got = readings(value("Inlet", "21.5", 30), value("Inlet", "22.5", 40), value("Exhaust", 33), value("Other", 1), 7)
    assert got == {"Inlet": "22.5", "Exhaust": 33}


def test_stale_values_and_history_are_left_out() -> None:
    old = {**value("Exhaust", 33), "Timestamp": "2026-11-21T21:00:00+00:00"}
    stale = value("Board", 30, Oem={"Nvidia": {"MetricValueStale": True}})
    assert readings(value("Inlet", 21), old, stale) == {"Inlet": 21}
    assert read_report(report(*(value("Inlet", n, n) for n in range(40))), TREE).history
    assert not read_report(report(value("Inlet", 21), value("Board", 22)), TREE).history


def test_properties_of_other_resources_are_not_guessed() -> None:
    entry = {"MetricProperty": f"{CH}/Thermal#/Temperature/0/ReadingCelsius", "MetricValue": "20"}
    assert not read_report(report(entry), TREE).sensors


def test_a_report_takes_a_free_place_or_that_of_a_collection_but_never_the_total() -> None:
    assert with_report(["a"], ["r"], 1, 3) == ["a", "r"]
    assert with_report(["a/Sensors", "b/Sensors", "c"], ["r"], 1, 3) == ["a/Sensors", "c", "r"]
    assert with_report(["a/Sensors", "b", "c"], ["r"], 1, 3) == ["a/Sensors", "b", "c"]
    assert with_report(["a"], [], 1, 3) == ["a"]


@given(st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda s: st.lists(s) | st.dictionaries(
    st.sampled_from(["MetricValues", "MetricProperty", "MetricValue", "Timestamp", "Oem", "Nvidia"]), s)))  # fmt: skip
def test_any_report_is_read_without_raising(anything: Any) -> None:
    read_report({"MetricValues": anything}, TREE)


class Service:
    """Resources by path; a text in place of one is a body that is no JSON."""

    base = "https://bmc1"

    def __init__(self) -> None:
        names = ("PowerMetrics", "Thermals", "PortGPM")
        self.tree: dict[str, Any] = {
            "/redfish/v1": {
                "Chassis": {"@odata.id": "/redfish/v1/Chassis"},
                "TelemetryService": {"@odata.id": "/redfish/v1/TelemetryService"},
            },
            "/redfish/v1/Chassis": {"Members": [{"@odata.id": CH}]},
            CH: {
                "@odata.type": "#Chassis.v1.Chassis",
                "ChassisType": "RackMount",
                "Power": {"@odata.id": f"{CH}/Power"},
                "Sensors": {"@odata.id": f"{CH}/Sensors"},
            },
            f"{CH}/Power": {"@odata.type": "#Power.v1.Power", "PowerControl": [{"PowerConsumedWatts": 614}]},
            f"{CH}/Sensors": {"Members": [{"@odata.id": path} for path in TREE]},
            "/redfish/v1/TelemetryService": {"MetricReports": {"@odata.id": REPORTS}},
            REPORTS: {"Members": [{"@odata.id": f"{REPORTS}/{n}"} for n in names]},
            f"{REPORTS}/PowerMetrics": '{"MetricValues": [{"MetricValue": 1,},]}',
            f"{REPORTS}/Thermals": report(value("Inlet", "23.5"), value("Exhaust", 41)),
            **TREE,
        }
        self.asked: list[str] = []

    @contextlib.asynccontextmanager
    async def two_sockets(self) -> AsyncIterator[None]:
        yield

    async def get(self, target: str) -> dict[str, Any]:
        self.asked.append(target)
        path = target.partition("?")[0].rstrip("/")
        if path not in self.tree:
            raise MissingError(f"{path}: status 404")
        if isinstance(self.tree[path], str):
            raise ParseError(f"{path}: the body is no JSON")
        return dict(self.tree[path])


async def test_one_broken_report_is_a_finding_and_the_others_are_polled() -> None:
    service, source = Service(), RedfishSource(parse_url("https://bmc1"))
    source.session = service  # type: ignore[assignment]
    whole = await source.read()
    assert [(f.kind, f.source) for f in whole.findings] == [(SourceTrouble.UNREADABLE, f"{REPORTS}/PowerMetrics")]
    assert whole.complete
    assert not any("PortGPM" in asked for asked in service.asked)
    service.asked.clear()
    polled = await source.poll()
    assert len(service.asked) <= 3
    got = {r.source.rpartition("/")[2]: r.value for r in polled.readings if "/Sensors/" in r.source}
    assert got == {"Inlet": 23.5, "Exhaust": 41}
    assert polled.total_power_w == 614
    again = await source.poll()
    assert not any("/Sensors/" in r.source for r in again.readings), "the same report is nothing new"
    service.tree[f"{REPORTS}/Thermals"] = "{,}"
    broken = await source.poll()
    assert [f.kind for f in broken.findings] == [SourceTrouble.UNREADABLE]
    assert broken.total_power_w == 614
