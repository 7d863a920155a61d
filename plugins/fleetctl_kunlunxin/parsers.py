"""What xpu-smi prints: `-m` (columns without header), the device table of the older tool, and `-q`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.smi import Family, table_parser
from fleetctl.probes.text import pci_address, whole
from fleetctl.probes.trees import lines_of_tree, paths_of_tree

# Columns of `-m`, counted from 0: (place, metric, unit). The manual names no others that we could hold against a card.
_MACHINE = ((4, "temp_c", "C"), (8, "power_w", "W"), (17, "mem_used_bytes", "MiB"),
            (18, "mem_total_bytes", "MiB"), (19, "util_pct", "%"))  # fmt: skip
_MODEL = 21
_NEEDED = 20


def refusal(sheet: Sheet, text: str) -> bool:
    """xpu-smi's own errors."""
    low = text[:2000].lower()
    if "no device" in low or "no xpu" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif shell_refusal(sheet, text):
        return True
    elif "xpuml" in low or "failed to init" in low or ("driver" in low and "not" in low):
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "xpuml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


def parse_machine(output: Output) -> ProbeResult:
    """`xpu-smi -m`: one line per chip, split as a shell does, for the model's name holds a blank."""
    sheet = Sheet("kunlunxin")
    text = sheet.text_of(output)
    for number, line in sheet.lines(text):
        if not line.strip():
            continue
        cells = _split(line)
        if not cells or pci_address(cells[0]) is None:
            if not refusal(sheet, line):
                sheet.unread("a line that names no card", line, number)
            continue
        if len(cells) < _NEEDED or whole(cells[1]) is None:
            sheet.unread("a line with columns missing", line, number)
            continue
        card = sheet.card(pci=cells[0], index=cells[1], serial=cells[3] if len(cells) > 3 else None)
        if len(cells) > _MODEL:
            card.name("model", cells[_MODEL])
        for place, metric, unit in _MACHINE:
            card.put(metric, cells[place], unit, line=number, raw=line)
    return sheet.result()


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line[:4000], posix=True)
    except ValueError:  # a quote without its end: the line was cut
        return line.replace('"', " ").split()


_BAR = re.compile(r"\s*\|\s*")
_SHARE = re.compile(r"^(\d+)\s*/\s*(\d+)\s*([KMG]i?B)$")


def parse_table(output: Output) -> ProbeResult:
    """The older tool: named tables DEVICES, VIDEO and PROCESSES, one line per card and a header each."""
    sheet = Sheet("kunlunxin")
    text = sheet.text_of(output)
    part, heads = "", list[str]()
    for number, line in sheet.lines(text):
        stripped = line.strip()
        if not stripped or not stripped.strip("-+="):
            continue
        if not stripped.startswith("|"):
            if match := re.match(r"(Runtime|Driver) Version:\s*(\S+)", stripped):
                sheet.facts[f"{match[1].lower()}_version"] = match[2]
            elif re.fullmatch(r"[A-Z][A-Z ]+", stripped):
                part, heads = stripped.lower(), []
            elif not refusal(sheet, stripped):
                sheet.unread("a line outside the tables", line, number)
            continue
        cells = _BAR.split(stripped.strip("|").strip())
        if cells[0].lower() == "devid":
            heads = [c.lower() for c in cells]
        elif len(cells) != len(heads) or not stripped.endswith("|") or whole(cells[0]) is None:
            sheet.unread("a row that does not fit its header", line, number)
        elif part.startswith("device"):
            _device(sheet, dict(zip(heads, cells, strict=True)), line, number)
        elif part.startswith("process"):
            row = dict(zip(heads, cells, strict=True))
            card = sheet.find_card("index", cells[0])
            memory = row.get("memory", "")
            sheet.process(card, row.get("pid"), row.get("command"), memory, "MiB")
    if not sheet.cards and not sheet.findings:
        sheet.unread("no card in it", text)
    return sheet.result()


def _device(sheet: Sheet, row: dict[str, str], line: str, number: int) -> None:
    serial = row.get("sn")
    card = sheet.card(
        index=row.get("devid"),
        pci=row.get("pci addr"),
        model=row.get("model"),
        serial=None if serial and "xxx" in serial.lower() else serial,
        driver=sheet.facts.get("driver_version"),
    )
    card.put("util_pct", row.get("userate"), "%", line=number, raw=line)
    card.put("temp_c", row.get("temp", row.get("temperature")), "C", line=number, raw=line)
    card.put("power_w", row.get("power"), "W", line=number, raw=line)
    share = _SHARE.match(row.get("memory", ""))
    if share:
        card.put("mem_used_bytes", share[1], share[3], line=number, raw=line)
        card.put("mem_total_bytes", share[2], share[3], line=number, raw=line)
    elif "memory" in row:
        card.put("mem_used_bytes", row["memory"].split("/")[0], "MiB", line=number, raw=line)


# `-q`: the keys of the family's text form with XPU in the place of GPU, as far as they are known.
_QUERY: tuple[tuple[str, str, str], ...] = (
    (r"utilization/(?:xpu|gpu)$", "util_pct", "%"),
    (r"memory usage/used$", "mem_used_bytes", "MiB"),
    (r"memory usage/total$", "mem_total_bytes", "MiB"),
    (r"temperature/.*current temp$", "temp_c", "C"),
    (r"power readings/power draw$", "power_w", "W"),
    (r"power readings/(?:enforced |current )?power limit$", "power_cap_w", "W"),
    (r"^clocks/(?:xpu|sm|graphics)$", "clock_mhz", "MHz"),
)
_HEAD = re.compile(r"^(?:XPU|GPU|DEV)\s*#?\s*([0-9A-Fa-f:.]+|\d+)\s*$", re.MULTILINE)


def parse_query(output: Output) -> ProbeResult:
    """`xpu-smi -q`: headings per card. No recording of it is public; unknown keys are passed over."""
    sheet = Sheet("kunlunxin")
    text = sheet.text_of(output)
    starts = list(_HEAD.finditer(text))
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
        paths = paths_of_tree(list(lines_of_tree(text[start.end() : end])))
        card = sheet.card(pci=start[1] if ":" in start[1] else None, index=start[1] if ":" not in start[1] else None)
        for field, key in (("model", "Product Name"), ("serial", "Serial Number"), ("firmware", "Firmware Version")):
            card.name(field, paths.get(key))
        for path, value in paths.items():
            for pattern, metric, unit in _QUERY:
                if re.search(pattern, path.lower()):
                    card.put(metric, value, unit)
    if not starts and text.strip() and not refusal(sheet, text):
        sheet.unread("no card in it", text)
    return sheet.result()


def _looks_machine(text: str) -> bool:
    lines: Sequence[str] = [line for line in text[:8192].split("\n") if line.strip()]
    return any(pci_address(line.split()[0]) and len(line.split()) >= _NEEDED for line in lines[:20] if line.split())


PARSERS = (
    Parser("kunlunxin.machine", "xpu-smi -m", parse_machine, _looks_machine),
    Parser("kunlunxin.table", "xpu_smi", parse_table, lambda text: "DevID" in text[:8192] and "|" in text[:8192]),
    Parser("kunlunxin.smi", "xpu-smi", table_parser(Family(vendor="kunlunxin", word="XPU", refusal=refusal)),
           lambda text: "XPU-SMI" in text[:4096] and "|" in text[:8192]),
    Parser("kunlunxin.query", "xpu-smi -q", parse_query, lambda text: "XPU" in text[:8192] and "Product Name" in text[:8192]),
    detect_parser("kunlunxin"),
)  # fmt: skip
