"""Tenstorrent: tt-smi -s. README.md is the data sheet."""

from __future__ import annotations

from pathlib import Path

from fleetctl.model.probe import Output, Probe
from fleetctl.model.reading import FindingKind, ProbeResult
from fleetctl.plugin import Parser, Plugin
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.trees import read_json

_HERE = Path(__file__).parent
# Numbers are text with blanks before them; the tool knows Celsius, watts, MHz and percent.
_TELEMETRY = {
    "asic_temperature": ("temp_c", "C"),
    "power": ("power_w", "W"),
    "aiclk": ("clock_mhz", "MHz"),
    "fan_speed": ("fan_pct", "%"),
}
_LIMITS = {"tdp_limit": ("power_cap_w", "W"), "asic_fmax": ("clock_max_mhz", "MHz")}


def refusal(sheet: Sheet, text: str) -> bool:
    """tt-smi's own errors."""
    low = text[:2000].lower()
    if "no tenstorrent" in low or "no chips detected" in low or "no devices" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif "command not found" in low or "no such file or directory" in low:
        sheet.find(FindingKind.MISSING_TOOL, "no such tool on the host", text[:2000])
    elif "error" in low and "{" not in text:
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
    if problem or not isinstance(entries, list):
        if text.strip() and not refusal(sheet, text):
            sheet.unread(problem or "no device_info in it", text)
        return sheet.result()
    if isinstance(document, dict) and isinstance(host := document.get("host_info"), dict) and host.get("Driver"):
        sheet.facts["driver_version"] = str(host["Driver"])
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
    for section, table in (("telemetry", _TELEMETRY), ("limits", _LIMITS)):
        for key, text in _said(entry, section).items():
            if key in table:
                card.put(table[key][0], text, table[key][1])
    _buses(card, _said(entry, "smbus_telem"), board)


def _buses(card: Card, raw: dict[str, str], board: dict[str, str]) -> None:
    card.put("fan_rpm", raw.get("FAN_RPM"), "rpm")
    card.state("dram_status", board.get("dram_status"))
    card.put("pcie_width", board.get("pcie_width"))
    speed = board.get("pcie_speed", "")
    if speed.isascii() and speed.isdigit():
        card.put("pcie_gen", speed)


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
    paths=("/usr/local/bin", "/opt/tenstorrent/bin"),
)
