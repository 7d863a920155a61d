"""One document of neuron-monitor: use and memory of the cores in use, ECC counters, failed executions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import total, whole
from fleetctl.probes.trees import read_json

MAX_DEVICES = 1024


class _Node:
    """The devices of one document; cores are numbered through."""

    def __init__(self, sheet: Sheet, hardware: dict[str, Any]) -> None:
        self.sheet = sheet
        self.memory = _text(hardware.get("neuron_device_memory_size"))
        self.model = _text(hardware.get("neuron_device_type"))
        self.cores = whole(_text(hardware.get("neuroncore_per_device_count"))) or 1
        self.cards: dict[int, Card] = {}
        self.uses: dict[int, list[float]] = {}
        self.bytes: dict[int, int] = {}

    def card(self, number: int) -> Card:
        if number not in self.cards:
            card = self.cards[number] = self.sheet.card(index=str(number), model=self.model)
            card.put("mem_total_bytes", self.memory, "B")
        return self.cards[number]


def monitor_parser(refusal: Callable[[Sheet, str], bool]) -> Callable[[Output], ProbeResult]:
    """A parse function. The tool never ends and prints a document per period; the first whole one is read."""

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet("neuron")
        text = sheet.text_of(output)
        document, problem = read_json(text)
        if problem or not isinstance(document, dict):
            if text.strip() and not refusal(sheet, text):
                sheet.unread(problem or "not an object", text)
            return sheet.result()
        hardware = _dict(document.get("neuron_hardware_info"))
        if hardware.get("error"):
            sheet.find(FindingKind.TOOL_FAILED, "the driver does not answer the tool", str(hardware["error"]))
        sheet.expected = whole(_text(hardware.get("neuron_device_count")))
        node = _Node(sheet, hardware)
        for number in range(min(sheet.expected or 0, MAX_DEVICES)):
            node.card(number)
        for runtime in _list(document.get("neuron_runtime_data")):
            _runtime(node, _dict(runtime))
        _cores(node, _dict(document.get("neuroncores_in_use")))
        for number, shares in sorted(node.uses.items()):
            node.card(number).put_number("util_pct", round(sum(shares) / max(node.cores, len(shares)), 2), "%")
        for number, used in sorted(node.bytes.items()):
            node.card(number).put_number("mem_used_bytes", used, "B")
        system = _dict(document.get("system_data"))
        counters = _dict(system.get("neuron_hw_counters", document.get("neuron_hw_counters", document)))
        for entry in _list(counters.get("neuron_devices", counters.get("hardware_counters"))):
            _ecc(node, _dict(entry))
        instance = _text(_dict(document.get("instance_info")).get("instance_type"))
        if instance:
            sheet.facts["instance_type"] = instance[:100]
        if not node.cards and not sheet.findings:
            sheet.unread("no device in it", text)
        return sheet.result()

    return parse


def _runtime(node: _Node, runtime: dict[str, Any]) -> None:
    report = _dict(runtime.get("report"))
    devices = _cores(node, _dict(_dict(report.get("neuroncore_counters")).get("neuroncores_in_use")))
    used = _dict(_dict(report.get("memory_used")).get("neuron_runtime_used_bytes"))
    for core, kinds in _dict(_dict(used.get("usage_breakdown")).get("neuroncore_memory_usage")).items():
        place = whole(core)
        amount = total(_text(v) for v in _dict(kinds).values())
        if place is not None and place // node.cores < MAX_DEVICES and amount is not None:
            number = place // node.cores
            node.bytes[number] = node.bytes.get(number, 0) + amount
            devices.add(number)
    pid = _text(runtime.get("pid"))
    for number in sorted(devices):
        if whole(pid) is not None:
            node.sheet.process(node.card(number), pid, _text(runtime.get("neuron_runtime_tag")))
            node.card(number).values["procs"] = int(node.card(number).values.get("procs") or 0) + 1
    failed = whole(_text(_dict(_dict(report.get("execution_stats")).get("error_summary")).get("hardware")))
    if failed:
        places: list[int | None] = [*sorted(devices)] or [None]
        for place in places:
            node.sheet.fault(
                "execution", "hardware", f"{failed} executions failed on hardware", count=failed,
                device=None if place is None else str(place), action=FaultAction.RESET_WHEN_IDLE,
            )  # fmt: skip


def _cores(node: _Node, cores: dict[str, Any]) -> set[int]:
    """Use of the cores in use, by device; the devices they belong to."""
    devices: set[int] = set()
    for core, values in cores.items():
        place, use = whole(core), _dict(values).get("neuroncore_utilization")
        if place is None or place // node.cores >= MAX_DEVICES:
            continue
        devices.add(place // node.cores)
        if isinstance(use, int | float) and not isinstance(use, bool) and 0 <= use <= 100:
            node.uses.setdefault(place // node.cores, []).append(float(use))
    return devices


def _ecc(node: _Node, values: dict[str, Any]) -> None:
    place = whole(_text(values.get("neuron_device_index", values.get("device_index"))))
    if place is None or place >= MAX_DEVICES:
        return
    for metric, kind in (("ecc_corrected_total", "corrected"), ("ecc_uncorrected_total", "uncorrected")):
        counts = [_text(values.get(f"{part}_ecc_{kind}")) for part in ("mem", "sram")]
        node.card(place).put_number(metric, total(counts))


def _text(value: object) -> str | None:
    return None if value is None or isinstance(value, dict | list) else str(value)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
