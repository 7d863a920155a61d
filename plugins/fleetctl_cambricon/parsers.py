"""What cnmon prints: the table, `info` blocks, and the MLU exporter's text."""

from __future__ import annotations

import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.exporter import Exporter, exporter_parser
from fleetctl.probes.prometheus import looks_like_exporter
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.tables import Boxed, boxed_parser, name, pair, put, state
from fleetctl.probes.trees import lines_of_tree, paths_of_tree


def refusal(sheet: Sheet, text: str) -> bool:
    """cnmon's own errors. `not existed` is what it says of a card that is not there (any more)."""
    low = text[:2000].lower()
    if "not existed" in low or "no such card" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the driver does not know this card any more", text[:2000])
        sheet.fault("bus", "lost", text.strip()[:300], action=FaultAction.ISOLATE)
        return True
    if "no cambricon" in low or "no mlu" in low or "no device" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
        return True
    if shell_refusal(sheet, text):
        return True
    if "cndev" in low and ("error" in low or "fail" in low):
        sheet.find(FindingKind.TOOL_FAILED, "the driver's library cannot start", text[:2000])
        sheet.fault("driver", "cndev_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
        return True
    return False


TABLE = Boxed(
    vendor="cambricon",
    opens=("card",),
    columns={
        "card": name("index"),
        "vf": state("vf"),
        "name": name("model"),
        "firmware": name("firmware"),
        "driver": name("driver"),
        "bus-id": name("pci"),
        "util": put("util_pct", "%"),
        "ecc-error": put("ecc_uncorrected_total"),
        "fan": put("fan_pct", "%"),
        "temp": put("temp_c", "C"),
        "pwr:usage/cap": pair("power_w", "power_cap_w", "W"),
        "memory-usage": pair("mem_used_bytes", "mem_total_bytes", "MiB"),
        "vmemory-usage": state("vmemory"),
        "sr-iov": state("sr-iov"),
        "mode": state("mode"),
        "mim": state("mim"),
        "compute-mode": state("compute_mode"),
        "inited": state("inited"),
    },
    version={
        "tool_version": re.compile(r"CNMON v?(\S+)"),
        "driver_version": re.compile(r"Driver v?(\d\S*)"),
    },
    refusal=refusal,
    quiet=re.compile(r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\s|^\.\.\."),
)
parse_table = boxed_parser(TABLE)

# `cnmon info`: headings and keys, as quoted by collectors that read it; best first.
_INFO: dict[str, tuple[tuple[str, ...], str]] = {
    "util_pct": (("Utilization/MLU Average", "Utilization/MLU average"), "%"),
    "mem_total_bytes": (("Physical Memory Usage/Total", "Memory Usage/Total"), "MiB"),
    "mem_used_bytes": (("Physical Memory Usage/Used", "Memory Usage/Used"), "MiB"),
    "power_w": (("Power/Usage",), "W"),
    "power_cap_w": (("Power/Cap", "Power/Cap "), "W"),
    "temp_c": (("Temperature/Board", "Temperature/Chip", "Temperature/Cluster 0"), "C"),
    "fan_pct": (("Fan/Speed", "Fan speed", "Fan"), "%"),
    "clock_mhz": (("Frequency/IPU", "Frequency/Current"), "MHz"),
    "pcie_gen": (("PCIe/Current Speed Gen", "PCIE/Current Speed"), ""),
    "pcie_width": (("PCIe/Current Width", "PCIE/Current Width"), ""),
}
_INFO_NAMES = {
    "model": ("Product Name", "Board Name", "Name", "Card name"),
    "uuid": ("UUID",),
    "serial": ("Serial Number", "SN"),
    "firmware": ("Firmware", "MCU Version", "MCU"),
    "driver": ("Driver", "Driver Version"),
    "pci": ("Bus-Id", "Bus Id", "PCIe/Bus Id", "PCI/Bus Id", "PCIe/Domain Bus Device Function"),
}
_CARD = re.compile(r"^\s*(?:Card|MLU|DEV)\s*#?\s*(\d{1,4})\s*:?\s*$", re.MULTILINE)


def parse_info(output: Output) -> ProbeResult:
    """Blocks of headings per card; no recording of it is public, so values without a unit we know stay unknown."""
    sheet = Sheet("cambricon")
    text = sheet.text_of(output)
    starts = list(_CARD.finditer(text))
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
        paths = paths_of_tree(list(lines_of_tree(text[start.end() : end])))
        card = sheet.card(index=start[1])
        for field, keys in _INFO_NAMES.items():
            for key in keys:
                card.name(field, paths.get(key))
        for metric, (keys, unit) in _INFO.items():
            for key in keys:
                if key in paths:
                    card.put(metric, paths[key], unit)
    if not starts and text.strip() and not refusal(sheet, text):
        sheet.unread("no card in it", text)
    return sheet.result()


MLU_EXPORTER = Exporter(
    vendor="cambricon",
    prefix="mlu_",
    metrics={
        "mlu_utilization": ("util_pct", "%"),
        "mlu_memory_utilization": ("mem_util_pct", "%"),
        "mlu_temperature": ("temp_c", "C"),
        "mlu_power_usage": ("power_w", "W"),
        "mlu_power_cap": ("power_cap_w", "W"),
        "mlu_memory_used": ("mem_used_bytes", "B"),
        "mlu_memory_total": ("mem_total_bytes", "B"),
        "mlu_fan_speed": ("fan_rpm", "rpm"),
    },
    labels={"index": ("mlu",), "uuid": ("uuid",), "serial": ("sn",), "model": ("model", "type"), "driver": ("driver",)},
    key=("uuid", "sn", "mlu"),
)


PARSERS = (
    Parser("cambricon.table", "cnmon", parse_table, lambda text: "CNMON" in text[:4096] and "|" in text[:4096]),
    Parser("cambricon.info", "cnmon info", parse_info,
           lambda text: "MLU Average" in text[:16384] or "Physical Memory Usage" in text[:16384]),
    Parser("cambricon.exporter", "curl localhost:30108/metrics", exporter_parser(MLU_EXPORTER),
           lambda text: looks_like_exporter(text, "mlu_", "# HELP mlu_")),
    detect_parser("cambricon"),
)  # fmt: skip
