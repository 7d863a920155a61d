"""ppu-smi through the readers of its family: the same forms with PPU for GPU and HGGC for CUDA."""

from __future__ import annotations

import re

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.smi import Family, csv_parser, list_parser, table_parser, text_parser, xml_parser
from fleetctl.probes.smi.csv_form import looks_like_csv

FIELDS = (
    "index", "uuid", "name", "pci.bus_id", "serial", "driver_version", "utilization.gpu", "memory.used", "memory.total",
    "power.draw", "power.limit", "temperature.gpu", "mig.mode.current",
)  # fmt: skip


def refusal(sheet: Sheet, text: str) -> bool:
    """ppu-smi's own errors."""
    low = text[:2000].lower()
    if low.strip() == "...":
        return True
    if "no devices were found" in low or "no ppu" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
        sheet.expected = 0
    elif "command not found" in low or "no such file or directory" in low:
        sheet.find(FindingKind.MISSING_TOOL, "no such tool on the host", text[:2000])
    elif "failed to initialize" in low or "couldn't communicate" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "hgml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    elif "is not a valid field" in low:
        sheet.find(FindingKind.TOOL_FAILED, "this driver does not know one of the fields", text[:2000])
    else:
        return False
    return True


FAMILY = Family(vendor="thead", word="PPU", refusal=refusal)
parse_query = csv_parser(FAMILY, (FIELDS,))
parse_xml = xml_parser(FAMILY, ("ppu_smi_log", "ppusmi_log", "nvidia_smi_log"))
_BLOCK = re.compile(r"(?m)^PPU (?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d\s*$")

PARSERS = (
    Parser("thead.query", "ppu-smi --query-gpu=... --format=csv", parse_query,
           lambda text: "+---" not in text[:4096] and "<" not in text[:64] and looks_like_csv(text),
           for_command=lambda command: csv_parser(FAMILY, (FIELDS,), asked=command)),
    Parser("thead.xml", "ppu-smi -q -x", parse_xml, lambda text: "_log>" in text[:2048] and "ppu" in text[:4096].lower()),
    Parser("thead.table", "ppu-smi", table_parser(FAMILY), lambda text: "PPU-SMI" in text[:4096] and "|" in text[:4096]),
    Parser("thead.full", "ppu-smi -q", text_parser(FAMILY), lambda text: _BLOCK.search(text[:16384]) is not None),
    Parser("thead.list", "ppu-smi -L", list_parser(FAMILY), lambda text: re.search(r"(?m)^PPU \d+: ", text[:4096]) is not None),
    detect_parser("thead"),
)  # fmt: skip
