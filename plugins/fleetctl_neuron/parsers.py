"""neuron-ls (table and JSON) and one document of neuron-monitor."""

from __future__ import annotations

import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import whole
from fleetctl.probes.trees import read_json


def refusal(sheet: Sheet, text: str) -> bool:
    """The tools' own errors."""
    low = text[:2000].lower()
    if "no neuron device" in low or "no devices" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif "command not found" in low or "no such file or directory" in low:
        sheet.find(FindingKind.MISSING_TOOL, "no such tool on the host", text[:2000])
    elif "error" in low or ("driver" in low and "not" in low):
        sheet.find(FindingKind.TOOL_FAILED, "the tool refuses", text[:2000])
    else:
        return False
    return True


def parse_list_json(output: Output) -> ProbeResult:
    """`neuron-ls -j`: one object per device; the address has no domain. A `...` line, as manuals print, is left out."""
    sheet = Sheet("neuron")
    text = sheet.text_of(output)
    document, problem = read_json(re.sub(r"(?m)^\s*\.\.\.,?\s*$", "", text))
    if problem or not isinstance(document, list):
        if text.strip() and not refusal(sheet, text):
            sheet.unread(problem or "not a list of devices", text)
        return sheet.result()
    for entry in document[:4096]:
        if not isinstance(entry, dict) or "neuron_device" not in entry:
            sheet.unread("an entry that is no device", str(entry)[:300])
            continue
        card = sheet.card(index=str(entry["neuron_device"]), pci=str(entry.get("bdf", "")))
        card.put("mem_total_bytes", _text(entry.get("memory_size")), "B")
        card.state("cores", _text(entry.get("nc_count")))
        processes = entry.get("neuron_processes")
        if isinstance(processes, list):
            card.values["procs"] = len(processes)
            for process in processes[:1000]:
                if isinstance(process, dict):
                    sheet.process(card, _text(process.get("pid")), _text(process.get("command")))
        for peer in entry.get("connected_to") or () if isinstance(entry.get("connected_to"), list) else ():
            sheet.link(card, str(peer), "neuronlink", None, peer=str(peer))
    return sheet.result()


def _text(value: object) -> str | None:
    return None if value is None or isinstance(value, dict | list) else str(value)


def parse_list(output: Output) -> ProbeResult:
    """`neuron-ls`: a table whose header has two lines in each cell."""
    sheet = Sheet("neuron")
    heads: list[str] = []
    done = False
    for number, line in enumerate(sheet.text_of(output).split("\n"), 1):
        stripped = line.strip()
        if not stripped or not stripped.strip("+-="):
            done = bool(heads)
            continue
        if not stripped.startswith("|"):
            match = re.match(r"([\w-]+):\s*(\S+)$", stripped)
            if match:
                sheet.facts[match[1].replace("-", "_")] = match[2]
            elif not refusal(sheet, stripped):
                sheet.unread("a line outside the table", line, number)
            continue
        cells = [c.strip() for c in stripped.strip("|").split("|")]
        if not done:
            heads = [f"{a} {b}".strip().lower() for a, b in zip(heads or [""] * len(cells), cells, strict=False)]
            continue
        row = dict(zip(heads, cells, strict=False))
        if len(cells) != len(heads) or not stripped.endswith("|") or whole(row.get("neuron device")) is None:
            sheet.unread("a row that does not fit its header", line, number)
            continue
        card = sheet.card(index=row["neuron device"], pci=row.get("pci bdf"))
        card.put("mem_total_bytes", row.get("neuron memory"), "GB", line=number, raw=line)
        card.state("cores", row.get("neuron cores"))
        for peer in row.get("connected devices", "").split(","):
            if whole(peer) is not None:
                sheet.link(card, peer.strip(), "neuronlink", None, peer=peer.strip())
    if not sheet.cards and not sheet.findings:
        sheet.unread("no card in it", output.stdout)
    return sheet.result()


def parse_monitor(output: Output) -> ProbeResult:
    """One document of neuron-monitor: use of the cores in use (the mean per device), memory, ECC counters."""
    sheet = Sheet("neuron")
    text = sheet.text_of(output)
    document, problem = read_json(text)
    if problem or not isinstance(document, dict):
        if text.strip() and not refusal(sheet, text):
            sheet.unread(problem or "not an object", text)
        return sheet.result()
    hardware = _dict(document.get("neuron_hardware_info"))
    per_device = whole(_text(hardware.get("neuroncore_per_device_count"))) or 1
    sheet.expected = whole(_text(hardware.get("neuron_device_count")))
    cards: dict[int, Card] = {}
    uses: dict[int, list[float]] = {}

    def card_of(number: int) -> Card:
        if number not in cards:
            cards[number] = sheet.card(index=str(number))
            cards[number].put("mem_total_bytes", _text(hardware.get("neuron_device_memory_size")), "B")
        return cards[number]

    for number in range(min(sheet.expected or 0, 1024)):
        card_of(number)
    for runtime in _list(document.get("neuron_runtime_data")):
        report = _dict(_dict(runtime).get("report"))
        counters = _dict(_dict(report.get("neuroncore_counters")).get("neuroncores_in_use"))
        for core, values in counters.items():
            use = _dict(values).get("neuroncore_utilization")
            if whole(core) is not None and isinstance(use, int | float) and 0 <= use <= 100:
                uses.setdefault(int(core) // per_device, []).append(float(use))
    for number, shares in uses.items():
        card_of(number).put_number("util_pct", round(sum(shares) / max(per_device, len(shares)), 2), "%")
    hw = _dict(_dict(document.get("system_data")).get("neuron_hw_counters"))
    for entry in _list(hw.get("neuron_devices", hw.get("hardware_counters"))):
        values = _dict(entry)
        place = whole(_text(values.get("neuron_device_index", values.get("device_index"))))
        if place is not None and place < 1024:
            card_of(place).put("ecc_corrected_total", _text(values.get("mem_ecc_corrected")))
            card_of(place).put("ecc_uncorrected_total", _text(values.get("mem_ecc_uncorrected")))
    if not cards:
        sheet.unread("no device in it", text)
    return sheet.result()


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


PARSERS = (
    Parser("neuron.list-json", "neuron-ls -j", parse_list_json, lambda text: '"neuron_device"' in text[:8192] and text.lstrip()[:1] == "["),
    Parser("neuron.list", "neuron-ls", parse_list, lambda text: "| NEURON |" in text[:4096]),
    Parser("neuron.monitor", "neuron-monitor", parse_monitor, lambda text: '"neuron_runtime_data"' in text[:65536]),
)  # fmt: skip
