"""efsmi: `-q` blocks in three generations of names, the list, dmon, the topology, the table in two layouts. No JSON."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.refusals import is_ellipsis, shell_refusal
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.tables import Boxed, Columns, boxed_parser, name, pair, put, read_columns, state
from fleetctl.probes.text import whole
from fleetctl.probes.topology import matrix_parser
from fleetctl.probes.trees import lines_of_tree

# Key in lower case -> (metric, unit): the last word of a path, for the generations differ in how deep they indent.
_KEYS = (
    (r"^(?:mem|total) size$", "mem_total_bytes", "MiB"),
    (r"^(?:mem usage|used size)$", "mem_used_bytes", "MiB"),
    (r"^gcu temp$", "temp_c", "C"),
    (r"^board temp$", "board_temp_c", "C"),
    (r"^mem(?:ory)? temp$", "mem_temp_c", "C"),
    (r"^gcu usage$", "util_pct", "%"),
    (r"^cur power$", "power_w", "W"),
    (r"^power capa$", "power_cap_w", "W"),
    (r"^(?:gcu|cur|core|sip) (?:clk|clock|freq)(?:uency)?$", "clock_mhz", "MHz"),
    (r"^mem(?:ory)? (?:clk|clock|freq)(?:uency)?$", "mem_clock_mhz", "MHz"),
    (r"^(?:total )?dbe$", "ecc_uncorrected_life_total", ""),
    (r"^(?:total )?sbe$", "ecc_corrected_life_total", ""),
)
_COMPILED = tuple((re.compile(p), m, u) for p, m, u in _KEYS)
_NAMES = {"dev name": "model", "dev uuid": "uuid", "dev sn": "serial", "ver": "driver", "fw ver": "firmware"}
_LINKS = {"cur link speed": "pcie_gen", "max link speed": "pcie_gen_max", "cur link width": "pcie_width",
          "max link width": "pcie_width_max"}  # fmt: skip
_STATES = {"health": "health", "dpm level": "dpm_level", "lpm level": "dpm_level", "mem ecc": "mem_ecc"}
_SECTION_STATES = {
    ("ecc mode", "current"): "ecc_mode",
    ("power cable", "status"): "power_cable",
    ("rma info", "flags"): "rma",
}
_QUIET = frozenset({"user triggered reset"})
_DEV = re.compile(r"^DEV ID\s+(\d{1,4})\s*$", re.MULTILINE)


def refusal(sheet: Sheet, text: str) -> bool:
    """efsmi's own errors."""
    low = text[:2000].lower()
    if "no device" in low or "no gcu" in low or "not found any" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif shell_refusal(sheet, text):
        return True
    elif ("init" in low and "fail" in low) or ("driver" in low and "not" in low):
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "efml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


@lru_cache(maxsize=1024)
def _meaning(key: str) -> tuple[str, str]:
    return next(((m, u) for p, m, u in _COMPILED if p.search(key)), ("", ""))


def parse_query(output: Output) -> ProbeResult:
    """Blocks `DEV ID n`. Slices of one card carry its serial; a broken one says Health False or counts errors."""
    sheet = Sheet("enflame")
    text = sheet.text_of(output)
    starts = list(_DEV.finditer(text))
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
        _block(sheet, start[1], text[start.end() : end])
    if not starts and text.strip() and not refusal(sheet, text):
        sheet.unread("no card in it", text)
    return sheet.result()


def _block(sheet: Sheet, index: str, block: str) -> None:
    card = sheet.card(index=index)
    pci: dict[str, str] = {}
    wrong: list[tuple[str, str, int]] = []
    section = ""
    for _, indent, key, value in lines_of_tree(block):
        if value is None:
            section = key.lower() if indent <= 8 else section
            continue
        if section.startswith("bar"):  # windows onto the memory, with a `Total Size` of their own
            continue
        low = key.lower()
        metric, unit = _meaning(low[:80])
        if metric:
            card.put(metric, value, unit)
        elif low in _LINKS:
            card.put(_LINKS[low], re.sub(r"(?i)^(?:gen|x)\s*", "", value))
        elif low in _NAMES:
            card.name(_NAMES[low], value)
        elif low in ("domain", "bus", "dev", "func"):
            pci.setdefault(low, value)
        elif low in _STATES:
            card.state(_STATES[low], {"true": "OK", "false": "Alarm"}.get(value.lower(), value))
        elif (state_ := _SECTION_STATES.get((section, low))) is not None:
            card.state(state_, value)
            if state_ == "rma" and value.lower() == "true":
                wrong.append(("rma", "the card asks to be replaced", 1))
        elif section == "error details" and (whole(value) or 0) > 0 and low not in _QUIET:
            wrong.append((low.removesuffix(" error").replace(" ", "_"), f"{key}: {value}", whole(value) or 1))
    if {"bus", "dev", "func"} <= pci.keys():
        card.name("pci", f"{pci.get('domain', '0000')}:{pci['bus']}:{pci['dev']}.{pci['func']}")
    for code, text, count in wrong:
        action = FaultAction.REPAIR if code == "rma" else None
        sheet.fault("error", code, text, device=card.fields.get("pci") or index, count=count, action=action)


TABLE = Boxed(
    vendor="enflame",
    opens=("dev",),
    columns={
        "dev": name("index"),
        "name": name("model"),
        "fw ver": name("firmware"),
        "boot fw ver": name("firmware"),
        "bus-id": name("pci"),
        "ecc": state("ecc_mode"),
        "temp": put("temp_c", "C"),
        "dpm": state("dpm_level"),
        "lpm": state("dpm_level"),
        "pwr(usage/cap)": pair("power_w", "power_cap_w", "W"),
        "mem": put("mem_total_bytes", "MiB"),
        "gcu virt": state("virtualization"),
        "dused": put("util_pct", "%"),
        "sn": name("serial"),
    },
    version={
        "tool_version": re.compile(r"EFSMI:?\s+V?(\S+)"),
        "driver_version": re.compile(r"Driver Ver:\s*(\S+)"),
    },
    refusal=refusal,
    quiet=re.compile(r"^\+?\d{4}-\d{2}-\d{2}|Enflame System Management|All Rights Reserved|^\.\.\."),
)
_read_table = boxed_parser(TABLE)
_TWO_POWERS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?\s{0,4}W|N/A)\s{1,4}(\d{1,9}(?:\.\d{1,9})?\s{0,4}W|N/A)(?=\s{0,16}\|)")


def parse_table(output: Output) -> ProbeResult:
    """Older versions print use and cap two blanks apart and without the slash of the header."""
    return _read_table(replace(output, stdout=_TWO_POWERS.sub(r"\1 / \2", output.stdout)))


_LIST = Columns(
    vendor="enflame",
    opens=("gcu",),
    columns={
        "gcu": name("index"),
        "sn": name("serial"),
        "slot": name("slot"),
        "bus": name("pci"),
        "uuid": name("uuid"),
    },
)


def parse_list(output: Output) -> ProbeResult:
    """`-L`: one row per card under a header."""
    sheet = Sheet("enflame")
    header, rows = "", list[tuple[int, str]]()
    for number, line in sheet.lines_of(output):
        stripped = line.strip()
        if not stripped or not stripped.strip("-") or stripped.startswith("---") or is_ellipsis(stripped):
            continue
        if stripped.startswith("GCU ") and "SN" in stripped:
            header = line
        elif header:
            rows.append((number, line))
        elif not refusal(sheet, stripped):
            sheet.unread("a line before any header", line, number)
    if header:
        read_columns(sheet, _LIST, rows, header)
    elif not sheet.findings:
        sheet.unread("no card in it", output.stdout)
    return sheet.result()


# `dmon`: a header of names, one of units, one row per card and period. `DUsed` is the share of time, as in the table.
_DMON = {
    "pwr": ("power_w", "W"),
    "dtemp": ("temp_c", "C"),
    "dused": ("util_pct", "%"),
    "mem": ("mem_total_bytes", "MiB"),
    "mclk": ("mem_clock_mhz", "MHz"),
    "dclk": ("clock_mhz", "MHz"),
}


def parse_dmon(output: Output) -> ProbeResult:
    """Of several periods the last one counts. The share of memory in use is a word, for no bytes are printed."""
    sheet = Sheet("enflame")
    heads: list[str] = []
    rows: dict[str, tuple[int, str, dict[str, str]]] = {}
    for number, line in sheet.lines_of(output):
        cells = line.split()
        if not cells or line.strip().startswith("---") or is_ellipsis(line):
            continue
        if cells[0].startswith("*"):
            if cells[0].lower() == "*dev":
                heads = [c.lower() for c in ["dev", *cells[1:]]]
        elif heads and len(cells) == len(heads) and whole(cells[0]) is not None:
            rows[cells[0]] = (number, line, dict(zip(heads, cells, strict=True)))
        elif not refusal(sheet, line):
            sheet.unread("a row that does not fit its header", line, number)
    for index, (number, line, row) in rows.items():
        card = sheet.card(index=index)
        for head, (metric, unit) in _DMON.items():
            if head in row:
                card.put(metric, row[head], unit, line=number, raw=line)
        card.state("dpm_level", row.get("dpm") or row.get("lpm"))
        card.state("mem_used_pct", row.get("mused"))
    if not rows and not sheet.findings:
        sheet.unread("no row in it", output.stdout)
    return sheet.result()


parse_topo = matrix_parser("enflame", "GCU", "ESL", "esl", refusal)

PARSERS = (
    Parser("enflame.query", "efsmi -q", parse_query, lambda text: _DEV.search(text[:16384]) is not None),
    Parser("enflame.list", "efsmi -L", parse_list, lambda text: re.search(r"(?m)^GCU\s+SN\b", text[:4096]) is not None),
    Parser("enflame.dmon", "efsmi --dmon", parse_dmon, lambda text: re.search(r"(?m)^\*Dev\s", text[:8192]) is not None),
    Parser("enflame.topo", "efsmi topo -m", parse_topo, lambda text: re.search(r"(?m)^\s+GCU0\s+(?:GCU1|CPU)", text[:8192]) is not None),
    Parser("enflame.table", "efsmi", parse_table, lambda text: "EFSMI" in text[:4096] and "|" in text[:4096]),
    detect_parser("enflame"),
)  # fmt: skip
