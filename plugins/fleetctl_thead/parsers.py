"""ppu-smi through the readers of its family: the same forms with PPU for GPU and HGGC for CUDA."""

from __future__ import annotations

import re
from dataclasses import replace

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.smi import Family, csv_parser, list_parser, table_parser, text_parser, xml_parser
from fleetctl.probes.smi.csv_form import looks_like_csv
from fleetctl_thead.small_forms import parse_dmon, parse_icn, parse_pmon, parse_stats, parse_topo
from fleetctl_thead.words import refusal, xid_faults

FIELDS = (
    "index", "uuid", "name", "pci.bus_id", "serial", "driver_version", "utilization.ppu", "memory.used", "memory.total",
    "power.draw", "power.limit", "temperature.ppu", "mig.mode.current",
)  # fmt: skip
# Older tools and the compatible mode know the well-known names only.
COMPATIBLE = tuple(f.replace(".ppu", ".gpu") for f in FIELDS)


FAMILY = Family(vendor="thead", word="PPU", refusal=refusal)
_read_text = text_parser(FAMILY)


def parse_text(output: Output) -> ProbeResult:
    """`-q`, whole or by section, and `-q -d VERSION`, which describes no card."""
    result = _read_text(output)
    extra = Sheet("thead")
    for reading in result.readings:
        extra.card(pci=reading.device.pci)
    xid_faults(extra, output.stdout)
    keys = {r.device.pci: r.device.key for r in result.readings}
    more = tuple(replace(f, device=keys.get(f.device, f.device)) for f in extra.faults)
    return replace(result, faults=result.faults + more) if more else result


parse_query = csv_parser(FAMILY, (FIELDS, COMPATIBLE))
parse_xml = xml_parser(FAMILY, ("ppu_smi_log", "ppusmi_log", "nvidia_smi_log"))
_BLOCK = re.compile(r"(?m)^PPU (?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d\s*$")

PARSERS = (
    Parser("thead.query", "ppu-smi --query-ppu=... --format=csv", parse_query,
           lambda text: "+---" not in text[:4096] and "<" not in text[:64] and looks_like_csv(text),
           for_command=lambda command: csv_parser(FAMILY, (FIELDS, COMPATIBLE), asked=command)),
    Parser("thead.xml", "ppu-smi -q -x", parse_xml, lambda text: "_log>" in text[:2048] and "ppu" in text[:4096].lower()),
    Parser("thead.table", "ppu-smi", table_parser(FAMILY), lambda text: "PPU-SMI" in text[:4096] and "|" in text[:4096]),
    Parser("thead.full", "ppu-smi -q", parse_text, lambda text: _BLOCK.search(text[:16384]) is not None
           or re.search(r"(?m)^(?:HGGC|SDK) Version\s*:", text[:8192]) is not None),
    Parser("thead.dmon", "ppu-smi dmon", parse_dmon,
           lambda text: re.search(r"(?m)^#\s*(?:\w+\s+){0,2}ppu\s", text[:4096]) is not None and " pid " not in text[:4096]),
    Parser("thead.pmon", "ppu-smi pmon", parse_pmon, lambda text: re.search(r"(?m)^#.*\bppu\s+pid\b", text[:4096]) is not None),
    Parser("thead.stats", "ppu-smi stats", parse_stats,
           lambda text: re.search(r"(?m)^\d+,\s*[A-Za-z]+\s*,\s*\d{13,17},", text[:8192]) is not None),
    Parser("thead.topo", "ppu-smi topo -m", parse_topo, lambda text: re.search(r"(?m)^\s+PPU\d+\s+(?:PPU|CPU|NIC)", text[:4096]) is not None),
    Parser("thead.icn", "ppu-smi icn", parse_icn,
           lambda text: re.search(r"(?m)^PPU \d+: ", text[:4096]) is not None and re.search(r"(?m)^\s+Link \d+[:,]", text[:8192]) is not None),
    Parser("thead.list", "ppu-smi -L", list_parser(FAMILY, "icn"), lambda text: re.search(r"(?m)^PPU \d+: ", text[:4096]) is not None),
    detect_parser("thead"),
)  # fmt: skip
