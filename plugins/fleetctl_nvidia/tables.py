"""The small forms of nvidia-smi: dmon, pmon, topo -m, --version, --help-query-gpu, and the fabric manager's log."""

from __future__ import annotations

import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import whole, word
from fleetctl_nvidia.words import refusal

_DMON = {
    "pwr": ("power_w", "W"),
    "gtemp": ("temp_c", "C"),
    "temp": ("temp_c", "C"),
    "mtemp": ("mem_temp_c", "C"),
    "sm": ("util_pct", "%"),
    "mem": ("mem_util_pct", "%"),
    "mclk": ("mem_clock_mhz", "MHz"),
    "pclk": ("clock_mhz", "MHz"),
    "fb": ("mem_used_bytes", "MiB"),
    "sbecc": ("ecc_corrected_total", ""),
    "dbecc": ("ecc_uncorrected_total", ""),
}


def parse_dmon(output: Output) -> ProbeResult:
    """One card per index; of several samples the last is the reading."""
    sheet = Sheet("nvidia")
    columns: list[str] = []
    last: dict[str, tuple[int, dict[str, str]]] = {}
    for number, line in sheet.lines_of(output):
        cells = line.split()
        if not cells:
            continue
        if cells[0].startswith("#"):
            names = [c.lower() for c in line.replace("#", " ").split()]
            if "gpu" in names:
                columns = names
            continue
        if whole(cells[0]) is None or len(cells) != len(columns):
            if not refusal(sheet, line):
                sheet.unread("a row that does not fit its header", line, number)
            continue
        last[cells[columns.index("gpu")]] = (number, dict(zip(columns, cells, strict=True)))
    for index, (number, row) in last.items():
        card = sheet.card(index=index)
        for name, cell in row.items():
            if name in _DMON:
                metric, unit = _DMON[name]
                card.put(metric, cell, unit, line=number)
    return sheet.result()


def parse_pmon(output: Output) -> ProbeResult:
    """Processes per card; of several samples each process once. A name may hold blanks: it is the last column."""
    sheet = Sheet("nvidia")
    columns: list[str] = []
    cards: dict[str, Card] = {}
    seen: set[tuple[str, str]] = set()
    for number, line in sheet.lines_of(output):
        if not line.strip():
            continue
        if line.lstrip().startswith("#"):
            names = [c.lower() for c in line.replace("#", " ").split()]
            if "pid" in names:
                columns = names
            continue
        cells = line.split(None, max(len(columns) - 1, 0))
        if not columns or len(cells) < 2 or whole(cells[0]) is None:
            if not refusal(sheet, line):
                sheet.unread("a row that does not fit its header", line, number)
            continue
        row = dict(zip(columns, cells, strict=False))
        index = row.get("gpu", "")
        card = cards.get(index)
        if card is None:
            card = cards[index] = sheet.card(index=index)
            card.values["procs"] = 0
        pid = row.get("pid", "-")
        if word(pid) is None or (index, pid) in seen:
            continue
        seen.add((index, pid))
        unit = "MiB"
        sheet.process(card, pid, row.get("command", row.get("name")), row.get("fb"), unit)
        card.values["procs"] = int(card.values["procs"] or 0) + 1
    return sheet.result()


def parse_topo(output: Output) -> ProbeResult:
    """Cards by index and, where a cell says NV#, the bonded links between them."""
    sheet = Sheet("nvidia")
    heads: list[str] = []
    for line in sheet.text_of(output).split("\n"):
        cells = line.split("\t") if "\t" in line else line.split()
        cells = [c.strip() for c in cells]
        names = [c for c in cells if re.fullmatch(r"(?:GPU|NIC)\d+|mlx\d_\d+", c)]
        if not heads and len(names) and (cells[0] == "" or cells[0] == names[0]) and "X" not in cells:
            heads = names
            continue
        if line.strip().lower().startswith("legend"):
            break
        if not cells or not re.fullmatch(r"GPU\d+", cells[0]):
            continue
        card = sheet.card(index=cells[0][3:])
        links = 0
        for peer, cell in zip(heads, cells[1:], strict=False):
            if match := re.fullmatch(r"NV(\d+)", cell):
                links += int(match[1])
                sheet.link(card, f"{cells[0]}-{peer}", "nvlink", True, peer=peer)
        if links:
            card.values["links_up"] = links
    if not sheet.cards and not refusal(sheet, output.stdout):
        sheet.unread("no matrix in it", output.stdout)
    return sheet.result()


_VERSIONS = {
    "nvidia-smi version": "tool_version",
    "nvml version": "nvml_version",
    "driver version": "driver_version",
    "kmd version": "driver_version",
    "cuda version": "cuda_version",
    "cuda umd version": "cuda_version",
}


def parse_version(output: Output) -> ProbeResult:
    """Facts: driver_version, nvml_version, cuda_version, tool_version."""
    sheet = Sheet("nvidia")
    for number, line in sheet.lines_of(output):
        key, _, value = line.partition(":")
        name = _VERSIONS.get(key.strip().lower())
        if name and word(value):
            sheet.facts[name] = value.strip()
        elif line.strip() and not name and not refusal(sheet, line):
            sheet.unread("a line that names no version", line, number)
    return sheet.result()


def parse_help(output: Output) -> ProbeResult:
    """Fact query_fields: the names this driver knows for --query-gpu, joined with commas."""
    sheet = Sheet("nvidia")
    fields: list[str] = []
    for line in sheet.text_of(output).split("\n"):
        if re.match(r'^"[\w.]+"', line.strip()):
            fields += re.findall(r'"([\w.]+)"', line)
    if fields:
        sheet.facts["query_fields"] = ",".join(fields)
    elif not refusal(sheet, output.stdout):
        sheet.unread("no field in it", output.stdout)
    return sheet.result()


_NVSWITCH = re.compile(r"(?:error|SXid)\s+(\d{5})\b", re.IGNORECASE)


def parse_fabric(output: Output) -> ProbeResult:
    """Errors of the NVSwitch fabric manager; informational lines say nothing about health."""
    sheet = Sheet("nvidia")
    faults: dict[tuple[str, str], tuple[str, float | None, int]] = {}
    for line in log_lines(sheet.text_of(output)):
        if "[ERROR]" not in line.message.upper() and "[FATAL]" not in line.message.upper():
            continue
        match = _NVSWITCH.search(line.message)
        key = ("sxid", match[1]) if match else ("fabric", "error")
        said, _, count = faults.get(key, (line.message, None, 0))
        faults[key] = (said, line.at, count + 1)
    for (family, code), (said, at, count) in faults.items():
        sheet.fault(family, code, said, at=at, count=count)
    return sheet.result()
