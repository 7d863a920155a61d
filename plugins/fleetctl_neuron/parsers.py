"""neuron-ls (table and JSON) and one document of neuron-monitor."""

from __future__ import annotations

import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.refusals import is_ellipsis, shell_refusal
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import whole, word
from fleetctl.probes.trees import read_entries, read_json
from fleetctl_neuron.monitor import monitor_parser


def refusal(sheet: Sheet, text: str) -> bool:
    """The tools' own errors."""
    low = text[:2000].lower()
    if "no neuron device" in low or "no devices" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif shell_refusal(sheet, text):
        return True
    elif "driver" in low and ("not" in low or "fail" in low):
        sheet.find(FindingKind.TOOL_FAILED, "the driver does not answer", text[:2000])
        sheet.fault("driver", "not_loaded", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    elif "error" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the tool refuses", text[:2000])
    else:
        return False
    return True


def parse_list_json(output: Output) -> ProbeResult:
    """`neuron-ls -j`: one object per device; the address has no domain. A `...` line, as manuals print, is left out."""
    sheet = Sheet("neuron")
    text = sheet.text_of(output)
    text = re.sub(r"(?m)^\s*\.\.\.,?\s*$", "", text)
    document, problem = read_json(text)
    if not isinstance(document, list) and (whole_ones := read_entries(text)):
        sheet.unread("JSON that does not end: the devices before the break are read", text[-500:])
        document, problem = whole_ones, ""
    if text.strip() == "[]":
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text)
        sheet.expected = 0
        return sheet.result()
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
    """`neuron-ls`, also wide, with processes or with the drawing of the topology below: a table whose header has two
    lines in each cell; further processes of a device stand in rows without its number."""
    sheet = Sheet("neuron")
    heads: list[str] = []
    card: Card | None = None
    done = False
    for number, line in sheet.lines_of(output):
        stripped = line.strip()
        if stripped.lower().startswith("neuron device topology"):
            break
        if not stripped or not stripped.strip("+-=") or is_ellipsis(stripped):
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
        device = row.get("neuron device", "")
        if len(cells) != len(heads) or not stripped.endswith("|") or (device and whole(device) is None):
            sheet.unread("a row that does not fit its header", line, number)
            continue
        if device:
            card = sheet.card(index=device, pci=row.get("pci bdf"))
            card.put("mem_total_bytes", row.get("neuron memory"), "GB", line=number, raw=line)
            card.state("cores", row.get("neuron cores"))
            for peer in row.get("connected devices", "").split(","):
                if whole(peer) is not None:
                    sheet.link(card, peer.strip(), "neuronlink", None, peer=peer.strip())
        if card is None:
            sheet.unread("a row of no device", line, number)
        elif "pid" in row:
            card.values.setdefault("procs", 0)
            if word(row["pid"]) is not None:
                sheet.process(card, row["pid"], row.get("command"))
                card.values["procs"] = int(card.values["procs"] or 0) + 1
    if not sheet.cards and not sheet.findings:
        sheet.unread("no card in it", output.stdout)
    return sheet.result()


parse_monitor = monitor_parser(refusal)

PARSERS = (
    Parser("neuron.list-json", "neuron-ls -j", parse_list_json, lambda text: '"neuron_device"' in text[:8192] and text.lstrip()[:1] == "["),
    Parser("neuron.list", "neuron-ls", parse_list, lambda text: "| NEURON |" in text[:4096]),
    Parser("neuron.monitor", "neuron-monitor", parse_monitor, lambda text: any(f'"{k}"' in text[:65536] for k in ("neuron_runtime_data", "neuroncores_in_use", "neuron_hw_counters",
                                                           "neuron_hardware_info"))),
)  # fmt: skip
