"""A ProbeResult as JSON: the catalogue's names and units, null where the tool printed nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from fleetctl.model.metric import metrics_of
from fleetctl.model.reading import Device, ProbeResult, Reading

_WHO = tuple(f.name for f in fields(Device) if f.name not in ("quantity", "unit", "where"))


def result_dict(result: ProbeResult) -> dict[str, Any]:
    """The shape `probe parse` prints: devices, faults, findings, and processes, links, facts beside them."""
    return {
        "devices": [_device(r) for r in result.readings],
        "faults": [{f.name: getattr(x, f.name) for f in fields(x)} for x in result.faults],
        "findings": [{f.name: getattr(x, f.name) for f in fields(x)} for x in result.findings],
        "processes": [{f.name: getattr(x, f.name) for f in fields(x)} for x in result.processes],
        "links": [{f.name: getattr(x, f.name) for f in fields(x)} for x in result.links],
        "facts": dict(result.facts),
        "devices_expected": result.devices_expected,
    }


def _device(reading: Reading) -> dict[str, Any]:
    who: dict[str, Any] = {name: getattr(reading.device, name) for name in _WHO}
    who["shares"] = list(reading.device.shares)
    values = {m.name: reading.values.get(m.name) for m in metrics_of(reading.device.kind)}
    extra = {k: v for k, v in reading.values.items() if k not in values}
    return {**who, **values, **extra, "states": dict(reading.states)}


def result_json(result: ProbeResult, *, parser: str = "") -> str:
    """Indented JSON, text as it is, one document."""
    return json.dumps({**result_dict(result), "parser": parser or None}, ensure_ascii=False, indent=2)


def merged(results: Sequence[ProbeResult]) -> ProbeResult:
    """Several probes' answers as one: cards with the same key are one card, the first probe's values win."""
    cards: dict[str, Reading] = {}
    facts: dict[str, str] = {}
    for result in results:
        for reading in result.readings:
            old = cards.get(reading.device.key)
            if old is not None:
                values = {**reading.values, **{k: v for k, v in old.values.items() if v is not None}}
                reading = Reading(old.device, values, {**reading.states, **old.states})
            cards[reading.device.key] = reading
        facts = {**result.facts, **facts}
    return ProbeResult(
        readings=tuple(cards.values()),
        faults=tuple(f for r in results for f in r.faults),
        findings=tuple(f for r in results for f in r.findings),
        processes=tuple(p for r in results for p in r.processes),
        links=tuple(link for r in results for link in r.links),
        facts=facts,
        devices_expected=next((r.devices_expected for r in results if r.devices_expected is not None), None),
    )
