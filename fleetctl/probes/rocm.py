"""Readers for the tools that print as rocm-smi does: JSON by card, `GPU[0] : key : value` lines, a concise table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import whole, word
from fleetctl.probes.trees import read_json


@dataclass(frozen=True, slots=True)
class Rocm:
    """One tool. words: what it calls a card in front of a bracketed number; finish: last touch on all cards."""

    vendor: str
    words: tuple[str, ...]
    finish: Callable[[Sheet], None] = field(default=lambda sheet: None)


# Key in lower case, unit in parentheses taken off -> metric; the first that is known wins, in this order.
_KEYS: tuple[tuple[str, str], ...] = (
    (r"(?:gpu|dcu|hcu) use$", "util_pct"),
    (r"(?:gpu|dcu|hcu) memory (?:use|read/write activity)$", "mem_util_pct"),
    (r"(?:vram|hbm) total used memory$", "mem_used_bytes"),
    (r"(?:vram|hbm) total memory$", "mem_total_bytes"),
    (r"(?:average|current socket|current) (?:graphics )?package power$|^average power$", "power_w"),
    (r"max (?:graphics )?package power$", "power_cap_w"),
    (r"temperature \(sensor edge\)$", "temp_c"),
    (r"temperature \(sensor junction\)$", "hotspot_temp_c"),
    (r"temperature \(sensor (?:memory|mem|hbm 0)\)$", "mem_temp_c"),
    (r"fan speed$", "fan_pct"),
    (r"fan rpm$", "fan_rpm"),
    (r"pcie replay count$", "pcie_replay_total"),
)
_COMPILED = tuple((re.compile(p), m) for p, m in _KEYS)
_NAMES: dict[str, tuple[str, ...]] = {
    "model": ("card series", "device name", "card model", "device id", "gpu id"),
    "serial": ("serial number",),
    "uuid": ("unique id",),
    "pci": ("pci bus",),
    "firmware": ("vbios version",),
}
_UNIT = re.compile(r"\s*\(([A-Za-z%]{1,3}|level|Bytes)\)\s*$")
_CLOCK = re.compile(r"\(?(\d+(?:\.\d+)?)\s*mhz\)?", re.IGNORECASE)
_LANES = re.compile(r"([\d.]+)\s*GT/s x(\d+)", re.IGNORECASE)
_GENERATION = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}


def _refusal(sheet: Sheet, text: str) -> bool:
    low = text[:4000].lower()
    if "no amd gpus" in low or "no gpus" in low or "no supported" in low or "no device" in low or "no dcu" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif shell_refusal(sheet, text):
        return True
    elif "driver not initialized" in low or "not loaded" in low or "rsmi_status" in low or "driver is not" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the driver is not loaded", text[:2000])
        sheet.fault("driver", "not_loaded", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    elif "error code:" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the tool refuses", text[:2000])
    else:
        return False
    return True


@lru_cache(maxsize=4096)
def _meaning(key: str) -> tuple[str, str, str]:
    """(metric, unit, plain name) of a key; metric is "" for keys that are no metric, "-" for those to pass over."""
    match = _UNIT.search(key)
    unit = match[1] if match else ""
    name = key[: match.start()].strip().lower() if match else key.strip().lower()
    if unit == "level":  # fan level 0..255: the percentage stands beside it
        return "-", "", name
    for pattern, metric in _COMPILED:
        if pattern.search(name):
            return metric, "B" if unit == "Bytes" else unit, name
    if name.startswith(("sclk clock", "mclk clock", "pcie clock")):
        return "", "", name
    return "-", "", name


def _put(card: Card, key: str, text: str) -> None:
    """One `key: value` of a card; keys that are no metric are passed over."""
    metric, unit, name = _meaning(key[:120])
    if metric == "":
        _clock(card, name, text)
    elif metric != "-":
        card.put(metric, text, unit)


def _clock(card: Card, name: str, text: str) -> None:
    for prefix, metric in (("sclk", "clock_mhz"), ("mclk", "mem_clock_mhz")):
        if name.startswith(prefix) and (match := _CLOCK.search(text)):
            card.put(metric, match[1], "MHz")
    if name.startswith("pcie") and (match := _LANES.search(text)):
        card.put_number("pcie_gen", _GENERATION.get(float(match[1])))
        card.put("pcie_width", match[2])


def _identify(card: Card, rows: Mapping[str, str]) -> None:
    """Names in order of preference; a serial of 0 and a masked one are none."""
    low = {k.strip().lower(): v for k, v in rows.items()}
    for field_, names in _NAMES.items():
        for name in names:
            text = low.get(name)
            if field_ in ("serial", "uuid") and (text in ("0", "0x0") or "xxx" in (text or "").lower()):
                continue
            if field_ == "model" and "xxx" in (text or "").lower():
                break  # masked: the number of its kind is no name
            card.name(field_, text)
    for key in ("compute partition", "memory partition"):
        card.state(key.replace(" ", "_"), low.get(key))
    card.state("performance_level", low.get("performance level"))


def json_parser(family: Rocm) -> Callable[[Output], ProbeResult]:
    """`--json`: one object with card0 .. cardN and perhaps `system`; every value is a string."""

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(family.vendor)
        text = sheet.text_of(output)
        document, problem = read_json(text)
        if problem or not isinstance(document, dict):
            if text.strip() and not _refusal(sheet, text):
                sheet.unread(problem or "not an object of cards", text)
            return sheet.result()
        system = document.get("system")
        if isinstance(system, dict) and word(str(system.get("Driver version", ""))):
            sheet.facts["driver_version"] = str(system["Driver version"]).strip()
        for key, rows in document.items():
            match = re.fullmatch(r"card(\d{1,4})", key)
            if match is None:
                continue
            if not isinstance(rows, dict):
                sheet.unread("a card that is no object", f"{key}: {rows}"[:300])
                continue
            texts = {k: str(v) for k, v in rows.items() if k.strip() and not isinstance(v, dict | list)}
            card = sheet.card(index=match[1], driver=sheet.facts.get("driver_version"))
            _identify(card, texts)
            for name, value in texts.items():
                _put(card, name, value)
        if isinstance(system, dict):
            _processes(sheet, system)
        if not sheet.cards and not sheet.findings:
            sheet.unread("no card in it", text)
        family.finish(sheet)
        return sheet.result()

    return parse


def _processes(sheet: Sheet, system: Mapping[str, object]) -> None:
    """`PID104225: name, gpus, vram, sdma, cu`: which card it holds is not said."""
    for key, value in system.items():
        match = re.fullmatch(r"PID(\d+)", key)
        if match:
            parts = [p.strip() for p in str(value).split(",")]
            memory = parts[2] if len(parts) > 2 else None
            sheet.process(None, match[1], parts[0], memory if memory != "0" else None, "B")


def lines_parser(family: Rocm) -> Callable[[Output], ProbeResult]:
    """`GPU[0]  : GPU use (%): 0` lines, of any `--show...` without --json."""
    head = re.compile(rf"^\s*(?:{'|'.join(map(re.escape, family.words))})\[(\d{{1,4}})\]\s*:?\s*(.*?):\s*(.*?)\s*$")

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(family.vendor)
        rows: dict[str, dict[str, str]] = {}
        for number, line in sheet.lines_of(output):
            stripped = line.strip()
            if not stripped or stripped.strip("=- ") == "" or stripped.startswith("=="):
                continue
            match = head.match(line)
            if match is None:
                if not _refusal(sheet, stripped) and not stripped.lower().startswith(("warning", "error:")):
                    sheet.unread("a line that names no card", line, number)
                continue
            rows.setdefault(match[1], {}).setdefault(match[2].strip(), match[3])
        for index, texts in rows.items():
            card = sheet.card(index=index)
            _identify(card, texts)
            for name, value in texts.items():
                _put(card, name, value)
        if not rows and not sheet.findings:
            sheet.unread("no card in it", output.stdout)
        family.finish(sheet)
        return sheet.result()

    return parse


# Header word of the concise table -> (metric, unit).
_TABLE = {
    "avgpwr": ("power_w", "W"),
    "power": ("power_w", "W"),
    "pwrcap": ("power_cap_w", "W"),
    "gpu%": ("util_pct", "%"),
    "dcu%": ("util_pct", "%"),
    "hcu%": ("util_pct", "%"),
    "sclk": ("clock_mhz", "MHz"),
    "mclk": ("mem_clock_mhz", "MHz"),
    "fan": ("fan_pct", "%"),
}
_STATES = {"perf": "performance_level", "mode": "mode", "gfx ras": "gfx_ras", "umc ras": "umc_ras", "vram%": "vram_pct"}
_OPENS = ("device", "gpu", "dcu", "hcu")
_FIRST = re.compile(r"^\s*(?:Device|GPU|DCU|HCU)\s{2,}\S")


def rocm_table_parser(family: Rocm) -> Callable[[Output], ProbeResult]:
    """The concise table and `--showhw`: columns by where the header's words stand. VRAM% is a share, not bytes."""

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(family.vendor)
        head: list[tuple[str, int]] = []
        below = ""
        for number, line in sheet.lines_of(output):
            stripped = line.strip()
            if not stripped or stripped.strip("=") == "" or stripped.startswith("="):
                continue
            if _FIRST.match(line):
                head, below = _header(line)
                continue
            if head and (stripped.startswith("(") or "(20 chars)" in stripped):
                below = line
                continue
            if head and whole(stripped.split()[0]) is not None:
                _row(sheet, head, below, line, number)
            elif sheet.cards and line.startswith("    ") and any(n.startswith("[model") for n, _ in head):
                sheet.cards[-1].fields["model"] = word(stripped)  # the name in a line of its own
            elif stripped.startswith("[") or stripped.lower().startswith("warning"):
                continue
            elif not _refusal(sheet, stripped):
                sheet.unread("a line that is no row of the table", line, number)
        if not sheet.cards and not sheet.findings:
            sheet.unread("no card in it", output.stdout)
        family.finish(sheet)
        return sheet.result()

    return parse


def _header(line: str) -> tuple[list[tuple[str, int]], str]:
    """(words and where they start, what they stand under): `Temp (DieEdge)` is `temp` with (DieEdge) below it."""
    head, below = [], ""
    for match in re.finditer(r"\S+(?: \S+)*", line):
        name, bracket, kind = match[0].lower().partition(" (")
        if bracket and name in ("temp", "power"):
            below = below.ljust(match.start()) + f"({kind}"
        else:
            name = match[0].lower()
        head.append((name, match.start()))
    return head, below


def _row(sheet: Sheet, head: list[tuple[str, int]], below: str, line: str, number: int) -> None:
    cells = _cut(head, line)
    index = next((cells[o] for o in _OPENS if o in cells), "").split()
    if not index or whole(index[0]) is None:
        sheet.unread("a row that names no card", line, number)
        return
    card = sheet.card(index=index[0])
    ids = cells.get("ids", "") or cells.get("did", "")
    ids = ids or next((v.strip("[ ") for k, v in cells.items() if k.startswith("[model")), "")
    if match := re.match(r"(0x[0-9a-fA-F]{4})", ids):
        card.name("model", match[1])
    card.name("pci", cells.get("bus"))
    for name, (metric, unit) in _TABLE.items():
        if name in cells:
            text = re.sub(r"(?i)mhz", "MHz", cells[name])
            card.put(metric, text, unit, line=number, raw=line)
    if "temp" in cells:
        junction = _under(head, below, "temp").strip("() ").lower() in ("junction", "hotspot")
        card.put(
            "hotspot_temp_c" if junction else "temp_c", cells["temp"].replace("c", "C"), "C", line=number, raw=line
        )
        if junction:  # the only temperature such a card has
            card.put("temp_c", cells["temp"], "C", line=number, raw=line)
    for name, state in _STATES.items():
        card.state(state, cells.get(name))
    _partition(sheet, card, cells)


def _partition(sheet: Sheet, card: Card, cells: Mapping[str, str]) -> None:
    """Partitions of one socket share its address: the first row of an address stands for it."""
    place = cells.get("partition id")
    if place is None and "partitions" in cells:
        parts = [p.strip() for p in cells["partitions"].split(",")]
        mode = parts[1] if len(parts) > 2 and word(parts[1]) else None
        place = parts[-1] if mode not in (None, "SPX") else None
        card.state("compute_partition", mode)
        card.state("memory_partition", parts[0] if parts else None)
        if place is not None:
            card.fields["partition"] = f"{mode} {place}"
            if place != "0":  # partition 0 stands for the socket
                card.shares = ("power_w", "power_cap_w")
    elif place is not None:
        pci = card.fields.get("pci")
        siblings = [c for c in sheet.cards if c is not card and pci and c.fields.get("pci") == pci]
        if siblings or place.strip() not in ("0", "N/A"):
            for sibling in (*siblings, card):
                sibling.fields["partition"] = sibling.fields.get("partition") or place.strip()
            if siblings:  # the first row of an address stands for the socket
                card.shares = ("power_w", "power_cap_w")
            if siblings and siblings[0].fields.get("partition") == place.strip():
                siblings[0].fields["partition"] = "0"


def _cut(head: list[tuple[str, int]], line: str) -> dict[str, str]:
    """Cells by the header's starts; a value that begins before its header's start moves the cut to the last blank."""
    cells: dict[str, str] = {}
    starts = []
    for _, start in head:
        at = start
        while 0 < at < len(line) and line[at - 1] != " ":
            at -= 1
        starts.append(at)
    for i, (name, _) in enumerate(head):
        end = starts[i + 1] if i + 1 < len(head) else len(line)
        cells[name] = line[starts[i] : end].strip()
    return cells


def _under(head: list[tuple[str, int]], below: str, name: str) -> str:
    return _cut(head, below).get(name, "") if below else ""
