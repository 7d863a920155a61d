"""Tenstorrent: tt-smi -s. README.md is the data sheet."""

from __future__ import annotations

from pathlib import Path

from fleetctl.model.probe import Output, Probe
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser, Plugin
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import measure
from fleetctl.probes.trees import read_entries, read_json

_HERE = Path(__file__).parent
# Numbers are text with blanks before them; the tool knows Celsius, watts, MHz and percent.
_TELEMETRY = {
    "asic_temperature": ("temp_c", "C"),
    "power": ("power_w", "W"),
    "aiclk": ("clock_mhz", "MHz"),
    "fan_speed": ("fan_pct", "%"),
}
# The registers behind a value: where they are null the tool writes 0.
_BEHIND = {
    "asic_temperature": {"ASIC_TEMPERATURE"},
    "power": {"TDP"},
    "aiclk": {"AICLK"},
    "fan_speed": {"FAN_SPEED"},
}
_LIMITS = {"tdp_limit": ("power_cap_w", "W"), "asic_fmax": ("clock_max_mhz", "MHz")}


def refusal(sheet: Sheet, text: str) -> bool:
    """tt-smi's own errors."""
    low = text[:2000].lower()
    if "no tenstorrent" in low or "no chips detected" in low or "no devices" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif shell_refusal(sheet, text):
        return True
    elif "driver not" in low or "no driver" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the driver is not loaded", text[:2000])
        sheet.fault("driver", "not_loaded", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    elif ("error" in low or "traceback" in low) and "{" not in text:
        sheet.find(FindingKind.TOOL_FAILED, "the tool refuses", text[:2000])
    else:
        return False
    return True


def parse_snapshot(output: Output) -> ProbeResult:
    """One entry per chip; a board may hold two. A progress line may stand before the JSON."""
    sheet = Sheet("tenstorrent")
    text = sheet.text_of(output)
    document, problem = read_json(text)
    entries = document.get("device_info") if isinstance(document, dict) else None
    if entries is None and (whole_ones := read_entries(text, "device_info")):
        sheet.unread("JSON that does not end: the chips before the break are read", text[-500:])
        entries, problem = whole_ones, ""
    if problem or not isinstance(entries, list):
        if text.strip() and not refusal(sheet, text):
            sheet.unread(problem or "no device_info in it", text)
        return sheet.result()
    if isinstance(document, dict) and isinstance(host := document.get("host_info"), dict) and host.get("Driver"):
        sheet.facts["driver_version"] = str(host["Driver"])
    if isinstance(document, dict) and isinstance(host := document.get("host_sw_vers"), dict) and host.get("tt_smi"):
        sheet.facts["tool_version"] = str(host["tt_smi"])
    for number, entry in enumerate(entries[:4096]):
        if isinstance(entry, dict):
            _chip(sheet, entry, str(number))
        else:
            sheet.unread("an entry that is no chip", str(entry)[:200])
    return sheet.result()


def _said(entry: dict[str, object], section: str) -> dict[str, str]:
    rows = entry.get(section)
    if not isinstance(rows, dict):
        return {}
    return {k: str(v) for k, v in rows.items() if v is not None and not isinstance(v, dict | list)}


def _chip(sheet: Sheet, entry: dict[str, object], index: str) -> None:
    board = _said(entry, "board_info")
    card = sheet.card(
        index=index,
        model=board.get("board_type"),
        pci=board.get("bus_id"),
        driver=sheet.facts.get("driver_version"),
        firmware=_said(entry, "firmwares").get("fw_bundle_version"),
    )
    if (identity := board.get("board_id")) is not None:
        card.name("serial", identity)
    raw = _registers(entry)
    for key, text in _said(entry, "telemetry").items():
        if key in _TELEMETRY and not (_BEHIND[key] <= raw.keys() and all(raw[k] is None for k in _BEHIND[key])):
            _telemetry(card, key, text, raw)
    for key, text in _said(entry, "limits").items():
        if key in _LIMITS and text.strip() not in ("0", "0.0"):  # the tool's word for a limit it does not know
            card.put(_LIMITS[key][0], text, _LIMITS[key][1])
    card.put("fan_rpm", raw.get("FAN_RPM"), "rpm")
    card.put("pcie_width", board.get("pcie_width"))
    speed = board.get("pcie_speed", "")
    if speed.isascii() and speed.isdigit():
        card.put("pcie_gen", speed)
    _health(sheet, card, raw, board)


def _registers(entry: dict[str, object]) -> dict[str, str | None]:
    rows = entry.get("smbus_telem")
    return {k: None if v is None else str(v) for k, v in rows.items()} if isinstance(rows, dict) else {}


def _telemetry(card: Card, key: str, text: str, raw: dict[str, str | None]) -> None:
    """The fan is in percent in older versions and in turns per minute in newer ones."""
    if key != "fan_speed":
        card.put(_TELEMETRY[key][0], text, _TELEMETRY[key][1])
        return
    turns, _ = measure("fan_rpm", raw.get("FAN_RPM"), "rpm")
    speed, _ = measure("fan_rpm", text, "rpm")
    if speed is not None and (speed > 100 or (turns and speed == turns)):
        card.put("fan_rpm", text, "rpm")
    else:
        card.put("fan_pct", text, "%")


def _health(sheet: Sheet, card: Card, raw: dict[str, str | None], board: dict[str, str]) -> None:
    who = card.fields.get("pci") or card.fields.get("index")
    card.state("dram_status", board.get("dram_status"))
    if board.get("dram_status", "").lower() == "false":
        sheet.fault("dram", "untrained", "the memory did not train", device=who, action=FaultAction.RESET_WHEN_IDLE)
    bits, _ = measure("procs_total", raw.get("FAULTS"))
    if bits:
        sheet.fault(
            "faults", str(raw["FAULTS"]), f"FAULTS {raw['FAULTS']}", device=who, action=FaultAction.STOP_NEW_WORK
        )
    held, _ = measure("procs_total", raw.get("THROTTLER"))
    if held is not None:
        card.values["throttled"] = int(bool(held))


plugin = Plugin(
    name="tenstorrent",
    title="Tenstorrent",
    doc="tt-smi snapshot",
    probes=(
        Probe(
            name="tenstorrent.snapshot",
            command="tt-smi -s --snapshot_no_tty 2>/dev/null || tt-smi -s 2>&1",
            parse=parse_snapshot,
            detect="command -v tt-smi >/dev/null 2>&1",
            timeout_s=30.0,
            every_s=60.0,
            background=True,
            doc="temperature, power, clock and fan per chip; starting the tool takes seconds",
        ),
    ),
    parsers=(
        Parser("tenstorrent.snapshot", "tt-smi -s", parse_snapshot, lambda text: '"device_info"' in text[:65536]),
    ),
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    paths=("/usr/local/bin", "/opt/tenstorrent/bin"),
)
