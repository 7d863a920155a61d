"""xpu-smi of Intel: two-column tables of `discovery` and `stats`, the same as JSON, `dump` CSV, `ps`."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import lru_cache

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import is_unknown, whole
from fleetctl.probes.trees import read_json

# Name in lower case without its unit -> (metric, unit). "Memory utilization" is the share in use, not of time: left out.
_METRICS = (
    (r"^gpu utilization$|^gpu_utilization$", "util_pct", "%"),
    (r"^gpu power$|^power$", "power_w", "W"),
    (r"^power limit$|^tdp$|sustained power limit$", "power_cap_w", "W"),
    (r"^gpu frequency$|^gpu core frequency$", "clock_mhz", "MHz"),
    (r"^gpu core temperature$|^gpu_core_temperature$", "temp_c", "C"),
    (r"^gpu memory temperature$|^memory_temperature$", "mem_temp_c", "C"),
    (r"^gpu memory used$|^memory_used$", "mem_used_bytes", "MiB"),
    (r"^gpu memory bandwidth(?: utilization)?$|^memory_bandwidth$", "mem_util_pct", "%"),
    (r"^gpu energy consumed$", "energy_j", "J"),
    (r"^mem errors correctable$|^memory_errors_correctable$", "ecc_corrected_total", ""),
    (r"^mem errors uncorrectable$|^memory_errors_uncorrectable$", "ecc_uncorrected_total", ""),
    (r"^memory physical size$|^memory_physical_size_byte$", "mem_total_bytes", "B"),
    (r"^core clock rate$", "clock_max_mhz", "MHz"),
    (r"^pcie generation$", "pcie_gen_max", ""),
    (r"^pcie max link width$", "pcie_width_max", ""),
)
_COMPILED = tuple((re.compile(p), m, u) for p, m, u in _METRICS)
_NAMES = {
    "model": ("device name", "device_name"),
    "uuid": ("uuid", "soc uuid"),
    "serial": ("serial number", "serial_number"),
    "pci": ("pci bdf address", "pci_bdf_address"),
    "slot": ("pci slot", "pci_slot"),
    "driver": ("driver version", "driver_version"),
    "firmware": ("firmware version", "gfx firmware version", "gfx_firmware_version"),
}
_UNIT = re.compile(r"\s*\(([^)]*)\)\s*$")
_UNITS = {
    "celsius degree": "C",
    "℃": "C",
    "c": "C",
    "w": "W",
    "mhz": "MHz",
    "mib": "MiB",
    "%": "%",
    "j": "J",
    "mj": "mJ",
}


def refusal(sheet: Sheet, text: str) -> bool:
    """xpu-smi's own errors."""
    low = text[:2000].lower()
    if "no device discovered" in low or "no device" in low or "device not found" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif "command not found" in low or "no such file or directory" in low:
        sheet.find(FindingKind.MISSING_TOOL, "no such tool on the host", text[:2000])
    elif "level zero" in low or "xpum is not initialized" in low or low.lstrip().startswith("error"):
        sheet.find(FindingKind.TOOL_FAILED, "the tool refuses", text[:2000])
        sheet.fault("driver", "level_zero_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


@lru_cache(maxsize=2048)
def _meaning(name: str) -> tuple[str, str]:
    match = _UNIT.search(name)
    unit = _UNITS.get(match[1].strip().lower(), "") if match else ""
    plain = name[: match.start()] if match else name
    plain = plain.strip().lower()
    found = next(((m, u) for p, m, u in _COMPILED if p.search(plain)), ("", ""))
    return found[0], unit or found[1]


def _put(card: Card, name: str, text: str, line: int | None = None) -> None:
    """One name and value; a value of several engines (`0; Engine 0: 0`) is its first part."""
    metric, unit = _meaning(name[:120])
    if metric:
        card.put(metric, text.split(";")[0].strip() if ";" in text else text, unit, line=line)


def _identify(card: Card, rows: Mapping[str, str]) -> None:
    low = {k.strip().lower(): v for k, v in rows.items()}
    for field, names in _NAMES.items():
        for name in names:
            card.name(field, low.get(name))


def parse_tables(output: Output) -> ProbeResult:
    """`discovery` and `stats`: a left column that holds the device's id or the value's name, a right one that goes on."""
    sheet = Sheet("intel")
    text = sheet.text_of(output)
    rows: dict[str, str] = {}
    card: Card | None = None

    def close() -> None:
        if card is not None:
            _identify(card, rows)
            for name, value in rows.items():
                _put(card, name, value)

    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or not stripped.strip("+-="):
            continue
        if not stripped.startswith("|"):
            if not refusal(sheet, stripped):
                sheet.unread("a line outside the table", line, number)
            continue
        cells = [c.strip() for c in stripped.strip("|").split("|", 1)]
        if len(cells) < 2 or not stripped.endswith("|"):
            sheet.unread("a row that was cut", line, number)
            continue
        left, right = cells
        if left.lower() == "device id" and right.lower().startswith("device info"):
            continue
        index = left if whole(left) is not None else right if left.lower() == "device id" else None
        if index is not None:
            close()
            rows = {}
            card = sheet.card(index=index)
        if left.lower() == "device id":
            continue
        if whole(left) is not None or not left:
            name, colon, value = right.partition(":")
            if colon:
                rows.setdefault(name.strip(), value.strip())
        elif card is None:
            sheet.unread("a value of no device", line, number)
        else:
            rows.setdefault(left, right)
    close()
    if not sheet.cards and not sheet.findings:
        sheet.unread("no card in it", text)
    return sheet.result()


def parse_json(output: Output) -> ProbeResult:
    """`discovery -j` and `stats -j`."""
    sheet = Sheet("intel")
    text = sheet.text_of(output)
    document, problem = read_json(text)
    if problem or not isinstance(document, dict):
        if not refusal(sheet, text):
            sheet.unread(problem or "not an object", text)
        return sheet.result()
    listed = document.get("device_list")
    devices = listed if isinstance(listed, list) else [document]
    for device in devices[:4096]:
        if not isinstance(device, dict) or "device_id" not in device:
            sheet.unread("an entry that is no device", str(device)[:300])
            continue
        texts = {k: str(v) for k, v in device.items() if v is not None and not isinstance(v, dict | list)}
        card = sheet.card(index=texts.get("device_id"))
        _identify(card, texts)
        for name, value in texts.items():
            _put(card, name, value)
        levels = device.get("device_level")
        for entry in levels if isinstance(levels, list) else ():
            if isinstance(entry, dict) and entry.get("value") is not None:
                _level(card, str(entry.get("metrics_type", "")), str(entry["value"]))
    return sheet.result()


_LEVELS = {
    "XPUM_STATS_GPU_UTILIZATION": ("util_pct", "%"),
    "XPUM_STATS_POWER": ("power_w", "W"),
    "XPUM_STATS_GPU_FREQUENCY": ("clock_mhz", "MHz"),
    "XPUM_STATS_GPU_CORE_TEMPERATURE": ("temp_c", "C"),
    "XPUM_STATS_MEMORY_TEMPERATURE": ("mem_temp_c", "C"),
    "XPUM_STATS_MEMORY_USED": ("mem_used_bytes", "MiB"),
    "XPUM_STATS_MEMORY_BANDWIDTH": ("mem_util_pct", "%"),
    "XPUM_STATS_RAS_ERROR_CAT_NON_COMPUTE_ERRORS_CORRECTABLE": ("ecc_corrected_total", ""),
    "XPUM_STATS_RAS_ERROR_CAT_NON_COMPUTE_ERRORS_UNCORRECTABLE": ("ecc_uncorrected_total", ""),
}


def _level(card: Card, kind: str, value: str) -> None:
    if kind in _LEVELS:
        card.put(_LEVELS[kind][0], value, _LEVELS[kind][1])


def parse_dump(output: Output) -> ProbeResult:
    """`dump`: CSV with blanks. The first sample often knows nothing: of several each value's last known one counts."""
    sheet = Sheet("intel")
    heads: list[str] = []
    last: dict[str, dict[str, str]] = {}
    for number, line in enumerate(sheet.text_of(output).split("\n"), 1):
        if not line.strip():
            continue
        cells = [c.strip() for c in next(csv.reader([line]), [])]
        if "DeviceId" in cells:
            heads = cells
            continue
        if not heads or len(cells) != len(heads) or whole(cells[heads.index("DeviceId")]) is None:
            if not refusal(sheet, line):
                sheet.unread("a row that does not fit its header", line, number)
            continue
        row = last.setdefault(cells[heads.index("DeviceId")], {})
        for head, cell in zip(heads, cells, strict=True):
            if not is_unknown(cell) or head not in row:
                row[head] = cell
    for index, row in last.items():
        card = sheet.card(index=index)
        for name, value in row.items():
            _put(card, name, value)
    if not last and not sheet.findings:
        sheet.unread("no row in it", output.stdout)
    return sheet.result()


def parse_ps(output: Output) -> ProbeResult:
    """`ps`: who holds which card. The tool lists itself; the unit of its memory column is not stated, so it stays unknown."""
    sheet = Sheet("intel")
    heads: list[str] = []
    for number, line in enumerate(sheet.text_of(output).split("\n"), 1):
        cells = line.split()
        if not cells:
            continue
        if cells[0] == "PID":
            heads = [c.lower() for c in cells]
            continue
        if len(cells) < len(heads) or not heads or whole(cells[0]) is None or "deviceid" not in heads:
            if not refusal(sheet, line):
                sheet.unread("a row that does not fit its header", line, number)
            continue
        after = len(heads) - 1 - heads.index("deviceid")
        place = len(cells) - 1 - after
        index = cells[place]
        card = sheet.find_card("index", index) or sheet.card(index=index)
        sheet.process(card, cells[0], " ".join(cells[1:place]))
        card.values["procs"] = int(card.values.get("procs") or 0) + 1
    return sheet.result()


PARSERS = (
    Parser("intel.dump", "xpu-smi dump", parse_dump, lambda text: "Timestamp, DeviceId" in text[:4096]),
    Parser("intel.json", "xpu-smi discovery -j", parse_json,
           lambda text: '"device_list"' in text[:4096] or '"device_id"' in text[:8192]),
    Parser("intel.stats-json", "xpu-smi stats -j", parse_json, lambda text: False),
    Parser("intel.ps", "xpu-smi ps", parse_ps, lambda text: text.lstrip().startswith("PID") and "DeviceID" in text[:512]),
    Parser("intel.discovery", "xpu-smi discovery", parse_tables,
           lambda text: "| Device ID" in text[:4096] and "Device Information" in text[:4096]),
    Parser("intel.stats", "xpu-smi stats", parse_tables, lambda text: "| Device ID" in text[:4096]),
    detect_parser("intel"),
)  # fmt: skip
