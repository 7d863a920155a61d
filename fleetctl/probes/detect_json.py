"""`gpustack-runtime detect --format json`: what another collector says over the vendors' libraries."""

from __future__ import annotations

from collections.abc import Callable

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.plugin.plugin import Parser
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.trees import read_json

_VALUES = {
    "cores_utilization": ("util_pct", "%"),
    "memory": ("mem_total_bytes", "MiB"),
    "memory_used": ("mem_used_bytes", "MiB"),
    "temperature": ("temp_c", "C"),
    "power": ("power_cap_w", "W"),
    "power_used": ("power_w", "W"),
}


def detect_parser(vendor: str) -> Parser:
    """The parser of this form for one vendor, cards of others left out; for every vendor with ""."""
    parse = _parse_for(vendor)
    return Parser(
        name=f"{vendor or 'gpustack-runtime'}.detect",
        command="gpustack-runtime detect --format json",
        parse=parse,
        looks=lambda text: '"manufacturer"' in text[:4096] and '"compute_capability"' in text[:8192],
    )


def _parse_for(vendor: str) -> Callable[[Output], ProbeResult]:
    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(vendor)
        text = sheet.text_of(output)
        entries, problem = read_json(text)
        if problem or not isinstance(entries, list):
            sheet.unread(problem or "not a list of cards", text)
            return sheet.result()
        for entry in entries:
            if not isinstance(entry, dict):
                sheet.unread("an entry that is no card", str(entry)[:200])
            elif vendor in ("", entry.get("manufacturer")):
                _card(sheet, entry)
        return sheet.result()

    return parse


def _card(sheet: Sheet, entry: dict[str, object]) -> None:
    def said(value: object) -> str | None:
        return None if value is None or isinstance(value, dict | list) else str(value)

    more = entry.get("appendix")
    more = more if isinstance(more, dict) else {}
    card = sheet.card(
        index=said(entry.get("index")),
        model=said(entry.get("name")),
        uuid=said(entry.get("uuid")),
        driver=said(entry.get("driver_version")),
        pci=said(more.get("bdf")),
    )
    for key, (metric, unit) in _VALUES.items():
        card.put(metric, said(entry.get(key)), unit)
    card.fields["vendor"] = said(entry.get("manufacturer"))
    card.state("health", said(entry.get("memory_status")))
