"""What mx-smi (sold elsewhere as ht-smi) prints: the table in its layouts, `--show-...` blocks, JSON, topology."""

from __future__ import annotations

import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.tables import Boxed, boxed_parser, name, pair, put, state
from fleetctl.probes.text import whole
from fleetctl.probes.trees import MAX_PATH, lines_of_tree, paths_of_tree, read_json
from fleetctl_metax.kernel import looks_like_kernel, parse_kernel


def refusal(sheet: Sheet, text: str) -> bool:
    """mx-smi's own errors."""
    low = text[:2000].lower()
    if "no gpu" in low or "no device" in low or "not found any" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif shell_refusal(sheet, text):
        return True
    elif "mxsml" in low or "failed to init" in low or "driver not" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the driver's library cannot start", text[:2000])
        sheet.fault("driver", "mxsml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


def finish(sheet: Sheet) -> None:
    """A card whose state is not Available is said so in its health."""
    for card in sheet.cards:
        words = card.states.get("state")
        if words is not None:
            card.states["health"] = "OK" if words.lower() == "available" else words


TABLE = Boxed(
    vendor="metax",
    opens=("gpu", "board"),
    columns={
        "gpu": name("index"),
        "board": name("slot"),
        "name": name("model"),
        "persist-m": state("persistence_mode"),
        "bus-id": name("pci"),
        "gpu-util": put("util_pct", "%"),
        "sgpu-m": state("sgpu_mode"),
        "temp": put("temp_c", "C"),
        "perf": state("pstate"),
        "pwr:usage/cap": pair("power_w", "power_cap_w", "W"),
        "power": put("power_w", "W"),
        "memory-usage": pair("mem_used_bytes", "mem_total_bytes", "MiB"),
        "gpu-state": state("state"),
    },
    version={
        "tool_version": re.compile(r"(?:MX|HT)-SMI\s+(\d\S*)|(?:mx|ht)-smi\s+version:\s*(\S+)", re.IGNORECASE),
        "driver_version": re.compile(r"Kernel Mode Driver Version:\s*(\S+)"),
        "maca_version": re.compile(r"MACA Version:\s*(\S+)"),
        "bios_version": re.compile(r"BIOS Version:\s*(\S+)"),
    },
    refusal=refusal,
    finish=finish,
    quiet=re.compile(r"^Timestamp|^End of Log|^=+ |^\.\.\."),
)
parse_table = boxed_parser(TABLE)

# `--show-...`: key in lower case below the card's heading -> (metric, unit).
_SHOW: tuple[tuple[str, str, str], ...] = (
    (r"chip temperature/hotspot$", "hotspot_temp_c", "C"),
    (r"chip temperature/soc$", "temp_c", "C"),
    (r"(?:memory/)?vram total$", "mem_total_bytes", "KB"),
    (r"(?:memory/)?vram used$", "mem_used_bytes", "KB"),
    (r"utilization/gpu$", "util_pct", "%"),
    (r"(?:board power|power)/(?:total|board|usage|power)$|^board power$", "power_w", "W"),
    (r"(?:board power|power)/(?:limit|cap)$", "power_cap_w", "W"),
    (r"(?:clocks?|dpm.*)/(?:xcore|gpu|core)$", "clock_mhz", "MHz"),
    (r"(?:clocks?|dpm.*)/(?:memory|mc|mem)$", "mem_clock_mhz", "MHz"),
    (r"pcie.*/(?:current )?(?:link )?width$", "pcie_width", ""),
    (r"ecc.*/.*(?:uncorrect|ue|double)", "ecc_uncorrected_total", ""),
    (r"ecc.*/.*(?:correct|ce|single)", "ecc_corrected_total", ""),
    (r"fan.*/.*rpm|fan speed$", "fan_rpm", "rpm"),
)
_SHOW_COMPILED = tuple((re.compile(p), m, u) for p, m, u in _SHOW)
_HEAD = re.compile(r"^GPU#(\d{1,4})\s+(\S.*?)\s+([0-9A-Fa-f:]{5,13}\.[0-7])\s*$", re.MULTILINE)


def parse_show(output: Output) -> ProbeResult:
    """Blocks per card, memory in KB. The hot spot is what the table calls the temperature; without another it is both."""
    sheet = Sheet("metax")
    text = sheet.text_of(output)
    starts = list(_HEAD.finditer(text))
    if match := re.search(r"Attached GPUs\s*:\s*(\d+)", text):
        sheet.expected = whole(match[1])
    if match := re.search(r"(?:mx|ht)-smi\s+version:\s*(\S+)", text):
        sheet.facts["tool_version"] = match[1]
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
        card = sheet.card(index=start[1], model=start[2], pci=start[3])
        for path, value in paths_of_tree(list(lines_of_tree(text[start.end() : end]))).items():
            _show(card, path.lower(), value)
        if card.values.get("hotspot_temp_c") is not None and card.values.get("temp_c") is None:
            card.values["temp_c"] = card.values["hotspot_temp_c"]
    if not starts and text.strip() and not refusal(sheet, text):
        sheet.unread("no card in it", text)
    return sheet.result()


def _show(card: Card, path: str, value: str) -> None:
    if path.startswith("board temperature/"):
        known = card.values.get("board_temp_c")
        scratch = Card(card._sheet, {"index": card.fields.get("index")})
        scratch.put("board_temp_c", value, "C")
        found = scratch.values.get("board_temp_c")
        if found is not None and (known is None or found > known):
            card.values["board_temp_c"] = found
        return
    for pattern, metric, unit in _SHOW_COMPILED:
        if pattern.search(path):
            card.put(metric, value, unit)
            return


def parse_json(output: Output) -> ProbeResult:
    """`mx-smi -j`, newer builds. Not seen recorded: cards are objects with an index, bus id or name; flat keys only."""
    sheet = Sheet("metax")
    text = sheet.text_of(output)
    document, problem = read_json(text)
    if problem:
        if not refusal(sheet, text):
            sheet.unread(problem, text)
        return sheet.result()
    for entry in _cards(document):
        flat = {k.lower(): str(v) for k, v in _flatten(entry) if v is not None}
        card = sheet.card()
        for field, keys in (("index", ("id", "index", "gpu")), ("pci", ("bdf", "bus-id", "busid")), ("model", ("name",)),
                            ("uuid", ("uuid",)), ("serial", ("serial", "sn"))):  # fmt: skip
            for key in keys:
                card.name(field, flat.get(key))
        for path, value in flat.items():
            _show(card, path, value)
    if not sheet.cards and not sheet.findings:
        sheet.unread("no card in it", text)
    return sheet.result()


def _cards(document: object) -> list[dict[str, object]]:
    """Objects that look like a card: at the top, in a list, or one level below."""
    if isinstance(document, list):
        return [d for d in document if isinstance(d, dict)][:4096]
    if isinstance(document, dict):
        for value in document.values():
            if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
                return list(value)[:4096]
        inner = [v for v in document.values() if isinstance(v, dict)]
        return inner[:4096] if inner and len(inner) == len(document) else [document]
    return []


def _flatten(entry: dict[str, object], before: str = "", depth: int = 0) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in list(entry.items())[:200]:
        path = f"{before}{key}"
        if len(path) > MAX_PATH:
            continue
        if isinstance(value, dict) and depth < 6:
            found += _flatten(value, f"{path}/", depth + 1)
        elif not isinstance(value, dict | list):
            found.append((path, value))
    return found


def parse_topo(output: Output) -> ProbeResult:
    """`mx-smi topo -m|-n`: cards by index; MX cells are MetaXLinks between them."""
    sheet = Sheet("metax")
    text = sheet.text_of(output)
    heads: list[str] = []
    if match := re.search(r"Attached GPUs\s*:\s*(\d+)", text):
        sheet.expected = whole(match[1])
    for line in text.split("\n"):
        cells = line.split()
        if not cells:
            continue
        if cells[0].lower() == "legend:":
            break
        if not heads and len(cells) > 1 and cells[0] == "GPU0" and cells[1].startswith(("GPU", "NIC", "Node")):
            heads = [c for c in cells if re.fullmatch(r"(?:GPU|NIC)\d+", c)]
        elif heads and re.fullmatch(r"GPU\d+", cells[0]):
            card = sheet.card(index=cells[0][3:])
            links = [p for p, c in zip(heads, cells[1:], strict=False) if c == "MX"]
            for peer in links:
                sheet.link(card, f"{cells[0]}-{peer}", "metaxlink", True, peer=peer)
            if links:
                card.values["links_up"] = len(links)
    if not sheet.cards and not refusal(sheet, text):
        sheet.unread("no matrix in it", text)
    return sheet.result()


PARSERS = (
    Parser("metax.table", "mx-smi", parse_table,
           lambda text: re.search(r"\|\s*(?:MX|HT)-SMI", text[:8192]) is not None or ("GPU-State" in text[:8192])),
    Parser("metax.topo", "mx-smi topo", parse_topo, lambda text: "Device link type matrix" in text[:4096]),
    Parser("metax.show", "mx-smi --show-usage --show-memory --show-temperature --show-board-power", parse_show,
           lambda text: "GPU#" in text[:8192]),
    Parser("metax.json", "mx-smi -j", parse_json, lambda text: text.lstrip()[:1] in ("{", "[") and "manufacturer" not in text[:2048]),
    detect_parser("metax"),
    Parser("metax.kernel", "dmesg", parse_kernel, looks_like_kernel),
)  # fmt: skip
