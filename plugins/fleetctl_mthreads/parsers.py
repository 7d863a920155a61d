"""mthreads-gmi: `-q --json`, `-q` as text, and the table of three lines per card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.refusals import is_ellipsis, shell_refusal
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi import Family, list_parser
from fleetctl.probes.text import pci_address, total, whole
from fleetctl.probes.topology import matrix_parser
from fleetctl.probes.trees import MAX_PATH, lines_of_tree, paths_of_tree, read_entries, read_json
from fleetctl_mthreads.kernel import parse_kernel

# Path in lower case, blanks around keys taken off (`"Power Draw "` has one) -> (metric, unit).
_PATHS = (
    (r"utilization/gpu$", "util_pct", "%"),
    (r"utilization/memory$", "mem_util_pct", "%"),
    (r"fb memory usage/used$", "mem_used_bytes", "MiB"),
    (r"fb memory usage/total$", "mem_total_bytes", "MiB"),
    (r"temperature/gpu current temp$", "temp_c", "C"),
    (r"temperature/(?:gpu )?memory (?:current )?temp$", "mem_temp_c", "C"),
    (r"temperature/board", "board_temp_c", "C"),
    (r"power readings/power draw$", "power_w", "W"),
    (r"power readings/(?:enforced |current )?power (?:limit|cap)$", "power_cap_w", "W"),
    (r"^clocks/(?:graphics|gpu)$", "clock_mhz", "MHz"),
    (r"^clocks/memory$", "mem_clock_mhz", "MHz"),
    (r"max clocks/(?:graphics|gpu)$", "clock_max_mhz", "MHz"),
    (r"fan (?:speed|duty)$|(?:^|/)(?:fan|speed)/fan ?0$", "fan_pct", "%"),
    (r"pcie generation/current$|pcie.*/current (?:link )?gen", "pcie_gen", ""),
    (r"pcie generation/max$", "pcie_gen_max", ""),
    (r"link width/current$", "pcie_width", ""),
    (r"link width/max$", "pcie_width_max", ""),
    (r"pending page (?:blacklist|retirement)$|pending retirement$", "pages_pending", ""),
    (r"ecc.*volatile/.*(?:uncorrect|double)[^/]*$", "ecc_uncorrected_total", ""),
    (r"ecc.*volatile/.*(?:correct|single)[^/]*$", "ecc_corrected_total", ""),
    (r"ecc.*aggregate/.*(?:uncorrect|double)[^/]*$", "ecc_uncorrected_life_total", ""),
    (r"ecc.*aggregate/.*(?:correct|single)[^/]*$", "ecc_corrected_life_total", ""),
)
_COMPILED = tuple((re.compile(p), m, u) for p, m, u in _PATHS)
_NAMES = {
    "index": ("index", "id", "gpu id"),
    "model": ("product name", "name"),
    "uuid": ("gpu uuid", "uuid"),
    "serial": ("serial number", "sn"),
    "pci": ("pci/bus id", "pci/bus-id", "bus id", "pcie/bus id"),
    "firmware": ("mtbios version", "vbios version", "firmware version", "bios version"),
    "slot": ("pci/slot id(name)", "slot id(name)"),
}
_STATES = {
    "ecc_mode": ("ecc mode/current",),
    "pstate": ("performance state", "retired pages/performance state"),
    "device_type": ("devicetype", "device type"),
}


def refusal(sheet: Sheet, text: str) -> bool:
    """mthreads-gmi's own errors."""
    low = text[:2000].lower()
    if "no devices" in low or "no device" in low or "no gpu" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif shell_refusal(sheet, text):
        return True
    elif "failed" in low or "driver not" in low or "mtml" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "mtml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


@lru_cache(maxsize=2048)
def _meaning(path: str) -> tuple[str, str]:
    return next(((m, u) for p, m, u in _COMPILED if p.search(path)), ("", ""))


def _card(card: Card, paths: Mapping[str, str]) -> None:
    for field, names in _NAMES.items():
        for name in names:
            card.name(field, paths.get(name))
    for path, text in paths.items():
        metric, unit = _meaning(path[:200])
        if metric:
            card.put(metric, text, unit)
    for state, names in _STATES.items():
        for name in names:
            card.state(state, paths.get(name))
    pages = [v for k, v in paths.items() if k.startswith("retired pages/") and k.endswith("bit ecc")]
    if pages:
        card.values["pages_retired"] = total(pages)


def _flat(value: object, before: str = "", depth: int = 0) -> dict[str, str]:
    """`a/b` in lower case -> text; keys and values are stripped."""
    found: dict[str, str] = {}
    if isinstance(value, dict) and depth < 8:
        for key, inner in list(value.items())[:300]:
            path = f"{before}{str(key).strip().lower()}"
            if len(path) > MAX_PATH:
                continue
            if isinstance(inner, dict):
                found |= _flat(inner, f"{path}/", depth + 1)
            elif inner is not None and not isinstance(inner, list):
                found.setdefault(path, str(inner).strip())
    return found


def parse_json(output: Output) -> ProbeResult:
    """A list under `GPU`; values are text with units stuck to them."""
    sheet = Sheet("mthreads")
    text = sheet.text_of(output)
    document, problem = read_json(text)
    cards = document.get("GPU", document.get("GPUs")) if isinstance(document, dict) else document
    if not isinstance(cards, list | dict) and (whole_cards := read_entries(text, "GPU")):
        sheet.unread("JSON that does not end: the cards before the break are read", text[-500:])
        cards, problem = whole_cards, ""
    if isinstance(cards, dict):
        cards = [cards]
    if problem or not isinstance(cards, list):
        if not refusal(sheet, text):
            sheet.unread(problem or "no list of cards in it", text)
        return sheet.result()
    driver = None
    if isinstance(document, dict):
        top = {k.strip().lower(): v for k, v in document.items() if isinstance(v, str)}
        driver = top.get("driver version")
        if driver:
            sheet.facts["driver_version"] = driver
        sheet.expected = whole(top.get("attached gpus"))
    for entry in cards[:4096]:
        if not isinstance(entry, dict):
            sheet.unread("an entry that is no card", str(entry)[:200])
            continue
        card = sheet.card(driver=driver)
        _card(card, _flat(entry))
        _listed(sheet, card, entry)
    return sheet.result()


def _listed(sheet: Sheet, card: Card, entry: Mapping[str, object]) -> None:
    for key, value in entry.items():
        if key.strip().lower().startswith("process") and isinstance(value, list):
            card.values["procs"] = len(value)
            for process in value:
                flat = _flat(process)
                memory = next((v for k, v in flat.items() if "memory" in k), None)
                sheet.process(
                    card,
                    flat.get("pid", flat.get("process id")),
                    flat.get("name", flat.get("process name")),
                    memory,
                    "MiB",
                )


_HEAD = re.compile(
    r"^\s*GPU\s*(\d+)?\s*((?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d)?\s*:?\s*$", re.MULTILINE
)


def parse_text(output: Output) -> ProbeResult:
    """`-q` without --json: headings per card."""
    sheet = Sheet("mthreads")
    text = sheet.text_of(output)
    starts = [m for m in _HEAD.finditer(text) if m[1] or m[2]]
    if match := re.search(r"(?m)^\s*Driver Version\s*:\s*(\S+)", text):
        sheet.facts["driver_version"] = match[1]
    if match := re.search(r"(?m)^\s*Attached GPUs\s*:\s*(\d+)", text):
        sheet.expected = whole(match[1])
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
        card = sheet.card(index=start[1], pci=start[2], driver=sheet.facts.get("driver_version"))
        paths = paths_of_tree(_indented(list(lines_of_tree(text[start.end() : end]))))
        _card(card, {"/".join(p.strip() for p in k.lower().split("/")): v for k, v in paths.items()})
    if not starts and text.strip() and not refusal(sheet, text):
        sheet.unread("no card in it", text)
    return sheet.result()


def _indented(lines: list[tuple[int, int, str, str | None]]) -> list[tuple[int, int, str, str | None]]:
    """Lines that lost their indent (copied through a tool that strips): each value belongs to the heading above it."""
    if len({indent for _, indent, _, _ in lines}) != 1:
        return lines
    below, out = 0, []
    for number, _, key, value in lines:
        below = 4 if value is None else below
        out.append((number, 0 if value is None else below, key, value))
    return out


_FIRST = re.compile(r"^(\d{1,4})\s+(\S.*?)\s*$")
_SHARE = re.compile(r"(\S+)\s+(\d+\s*[KMG]i?B|N/A)\s*\(\s*(\d+\s*[KMG]i?B|N/A)\s*\)")
_WARM = re.compile(r"-?\d+(?:\.\d+)?C$")
_POWER = re.compile(r"(\d+(?:\.\d+)?)\s*W(?:\s*[(/]\s*(\d+(?:\.\d+)?)\s*W)?")
_HEADS = [
    ["id   name", "pcie", "%gpu  mem"],
    ["device type    perf", "pcie lane width", "temp  mpc capable"],
    ["", "", "ecc mode"],
]  # of a table whose head was cut off
_LANES = re.compile(r"(\d+)x\s*\((\d+)x\)")
_PROCESS = re.compile(r"^\s*(\d+)\s+(\d+)\s+(.*?)\s{2,}(\d+\s*[KMG]i?B|N/A)\s*$")
_VERSION = re.compile(r"mthreads-gmi:(\S+)\s+Driver Version:\s*(\S+)")


def parse_table(output: Output) -> ProbeResult:
    """Three lines per card without bars at the ends; `4x(16x)` tells a degraded link. There is no power in it."""
    sheet = Sheet("mthreads")
    part = "head"
    card: Card | None = None
    line_of_card = 0
    heads: list[list[str]] = []
    for number, line in sheet.lines_of(output):
        stripped = line.strip()
        if not stripped:
            continue
        if not stripped.strip("-+="):
            card = None
            if part == "head" and len(heads) > 1 and "+" in stripped:
                part = "cards"
            continue
        if match := _VERSION.search(stripped):
            sheet.facts["tool_version"], sheet.facts["driver_version"] = match[1], match[2]
        elif stripped.lower().startswith("processes:"):
            part = "processes"
        elif part == "processes":
            _process(sheet, stripped, number)
        elif "|" in line:
            cells = [c.strip() for c in line.split("|")]
            if part == "head":
                heads.append([c.lower() for c in cells])
                continue
            first = _FIRST.match(cells[0])
            if first and len(cells) > 1 and pci_address(cells[1]):
                card, line_of_card = sheet.card(index=first[1], model=first[2], pci=cells[1]), 1
                card.name("driver", sheet.facts.get("driver_version"))
                _use(sheet, card, cells, line, number)
            elif card is None:
                sheet.unread("a row that names no card", line, number)
            else:
                line_of_card += 1
                _more(sheet, card, cells, heads or _HEADS, line_of_card, line, number)
        elif is_ellipsis(stripped):
            continue
        elif (part == "cards" or heads) and not refusal(sheet, stripped):
            sheet.unread("a line outside the table", line, number)
    if not sheet.cards and not sheet.findings and not refusal(sheet, output.stdout):
        sheet.unread("no card in it", output.stdout)
    return sheet.result()


def _use(sheet: Sheet, card: Card, cells: list[str], line: str, number: int) -> None:
    match = _SHARE.search(cells[2]) if len(cells) > 2 else None
    if match is None:
        sheet.unread(f"card {card.fields['index']}: use and memory", line, number)
        return
    card.put("util_pct", match[1], "%", line=number, raw=line)
    card.put("mem_used_bytes", match[2], "MiB", line=number, raw=line)
    card.put("mem_total_bytes", match[3], "MiB", line=number, raw=line)


def _more(
    sheet: Sheet, card: Card, cells: list[str], heads: list[list[str]], place: int, line: str, number: int
) -> None:
    """A further line of a card: its own line of the header says what stands in it."""
    head = heads[place - 1] if place <= len(heads) else []
    head = [*head, "", "", ""]
    if "type" in head[0]:
        words = re.split(r"\s{2,}", cells[0])  # `MPC Parent` is one type
        card.state("device_type", words[0])
        if len(words) > 1:
            card.state("pstate", words[-1])
    if "lane" in head[1] and len(cells) > 1 and (lanes := _LANES.search(cells[1])):
        card.put("pcie_width", lanes[1])
        card.put("pcie_width_max", lanes[2])
    right = cells[2].split() if len(cells) > 2 else []
    if "temp" in head[2]:
        if right:
            warm = next((w for w in right if _WARM.match(w)), right[0])
            card.put("temp_c", warm, "C", line=number, raw=line)
            if head[2].endswith("mpc capable") and len(right) > 1:
                card.state("mpc", right[-1])
        else:
            sheet.unread(f"card {card.fields['index']}: temperature", line, number)
    if (power := _POWER.search(cells[2] if len(cells) > 2 else "")) is not None:
        card.put("power_w", power[1], "W", line=number, raw=line)
        card.put("power_cap_w", power[2], "W", line=number, raw=line)
    if "ecc" in head[2] and "temp" not in head[2] and len(cells) > 2:
        card.state("ecc_mode", cells[2])


def _process(sheet: Sheet, line: str, number: int) -> None:
    low = line.lower()
    if "no running" in low:
        for card in sheet.cards:
            card.values["procs"] = 0
        return
    if low.startswith("id ") or low in ("usage",) or "|" in line or is_ellipsis(line):
        return
    match = _PROCESS.match(line)
    if match is None:
        sheet.unread("a process row that cannot be read", line, number)
        return
    holder = sheet.find_card("index", match[1])
    sheet.process(holder, match[2], match[3], match[4], "MiB")
    for card in sheet.cards:
        card.values.setdefault("procs", 0)
    if holder is not None:
        holder.values["procs"] = int(holder.values["procs"] or 0) + 1


PARSERS = (
    Parser("mthreads.json", "mthreads-gmi -q --json", parse_json, lambda text: '"GPU"' in text[:8192] or '"FB Memory Usage"' in text[:16384]),
    Parser("mthreads.table", "mthreads-gmi", parse_table, lambda text: "mthreads-gmi:" in text[:2048]),
    Parser("mthreads.full", "mthreads-gmi -q", parse_text, lambda text: "FB Memory Usage" in text[:16384] or "MTT" in text[:8192]),
    Parser("mthreads.list", "mthreads-gmi -L", list_parser(Family(vendor="mthreads", refusal=refusal), "mtlink"),
           lambda text: re.search(r"(?m)^GPU \d+: .*\(UUID:", text[:4096]) is not None),
    Parser("mthreads.topo", "mthreads-gmi topo -m", matrix_parser("mthreads", "GPU", "MT", "mtlink", refusal),
           lambda text: re.search(r"(?m)^\s+GPU0\s+(?:GPU|CPU|NIC|mlx)", text[:4096]) is not None),
    Parser("mthreads.kernel", "dmesg", parse_kernel, lambda text: "mtgpu" in text[:65536].lower() and "xid" in text[:65536].lower()),
    detect_parser("mthreads"),
)  # fmt: skip
