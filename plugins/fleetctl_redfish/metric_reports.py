"""Telemetry reports: many sensors in one answer. Used for polls where they tell of sensors the walk has read.

A value goes where its MetricProperty points, so it keeps the sensor's own name, unit and source. Reports that are a
history of few sensors (Lenovo: 1,440 inlet temperatures in 288 kB) cost more than they tell and are not asked again.
Source: DMTF DSP8010 MetricReport; NVIDIA's MetricValueStale marks a value that was not measured anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fleetctl_redfish.values import text_of, type_of

if TYPE_CHECKING:
    from fleetctl_redfish.tree import Walk

Json = dict[str, Any]
MAX_REPORTS = 6  # read once, in the complete reading
MAX_VALUES = 10_000
LAG_S = 120.0  # a value that much older than the newest of its report is history
_TELLING = re.compile(r"environment|power|thermal|temp|sensor|inlet|fan|energy", re.IGNORECASE)
_NOT_FACILITY = re.compile(r"port|gpm|reset|utili[sz]ation", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reported:
    """What one report says now. sensors: path -> resource with the new reading; newest: epoch seconds of the BMC's
    clock, None without times; history: most of it repeats earlier values of the same sensors."""

    sensors: Mapping[str, Json]
    newest: float | None
    history: bool


async def find_reports(walk: Walk) -> dict[str, frozenset[str]]:
    """The reports worth polling, the fullest first, each with the sensors it tells of. Unreadable ones become
    findings of the walk."""
    service = await _linked(walk, walk.tree.get("/redfish/v1", {}), "TelemetryService")
    if service is None or service.get("ServiceEnabled") is False:
        return {}
    collection = await _linked(walk, service, "MetricReports")
    found: dict[str, frozenset[str]] = {}
    for path in list(_members(collection or {}))[:MAX_REPORTS]:
        report = await walk.fetch(path)
        if walk.failing:
            break  # a telemetry service that hangs costs one time limit, not six
        if report is not None:
            said = read_report(report, walk.tree)
            if said.sensors and not said.history:
                found[path] = frozenset(said.sensors)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


async def _linked(walk: Walk, resource: Mapping[str, Any], name: str) -> Json | None:
    target = resource.get(name)
    link = target.get("@odata.id") if isinstance(target, Mapping) else None
    return await walk.fetch(link.rstrip("/")) if isinstance(link, str) and link.startswith("/redfish/") else None


def _members(collection: Mapping[str, Any]) -> Iterator[str]:
    members = collection.get("Members")
    for member in members if isinstance(members, list) else ():
        link = member.get("@odata.id") if isinstance(member, dict) else None
        if isinstance(link, str) and link.startswith("/redfish/"):
            name = link.rstrip("/").rpartition("/")[2]
            if _TELLING.search(name) and not _NOT_FACILITY.search(name):
                yield link.rstrip("/")


def is_report(resource: Mapping[str, Any]) -> bool:
    return type_of(resource) == "MetricReport" or isinstance(resource.get("MetricValues"), list)


def read_report(report: Mapping[str, Any], tree: Mapping[str, Json]) -> Reported:
    """The newest value of every sensor in `tree`. Stale values and those of other resources are left out."""
    values = report.get("MetricValues")
    known: list[tuple[float | None, str, Any]] = []
    for entry in (values if isinstance(values, list) else [])[:MAX_VALUES]:
        path = entry.get("MetricProperty") if isinstance(entry, dict) else None
        if not isinstance(path, str) or _is_stale(entry):
            continue
        base, _, pointer = path.partition("#")
        base = base.rstrip("/")
        if pointer.strip("/") in ("", "Reading") and _is_sensor(base, tree):
            known.append((_moment(entry.get("Timestamp")), base, entry.get("MetricValue")))
    times = [at for at, _, _ in known if at is not None]
    newest = max(times, default=None)
    latest: dict[str, tuple[float, Any]] = {}
    for at, base, value in known:
        when = newest if at is None else at
        if when is not None and newest is not None and newest - when > LAG_S:
            continue
        if base not in latest or (when or 0.0) >= latest[base][0]:
            latest[base] = (when or 0.0, value)
    sensors = {base: {**tree[base], "Reading": value} for base, (_, value) in latest.items()}
    return Reported(sensors, newest, history=len(known) > 2 * len({base for _, base, _ in known}))


def _is_sensor(path: str, tree: Mapping[str, Json]) -> bool:
    return "/Sensors/" in path and "Reading" in tree.get(path, {})


def _is_stale(entry: Mapping[str, Any]) -> bool:
    oem = entry.get("Oem")
    vendor = oem.get("Nvidia") if isinstance(oem, Mapping) else None
    return isinstance(vendor, Mapping) and vendor.get("MetricValueStale") is True


def _moment(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(text_of(value, 40)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def with_report(targets: Sequence[str], reports: Sequence[str], keep: int, limit: int) -> list[str]:
    """The questions of a poll with the fullest report among them. keep: how many at the front must stay (the total's
    parts); beyond the limit the report takes the place of a sensor collection or of the last question."""
    out = list(targets)
    if not reports or reports[0] in out:
        return out
    if len(out) >= limit:
        place = next((i for i in range(keep, len(out)) if "/Sensors" in out[i]), None)
        if place is None:
            return out
        del out[place]
    return [*out, reports[0]]
