"""Every form of output that can be read, best first."""

from __future__ import annotations

import re

from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.rocm import Rocm, json_parser, lines_parser, rocm_table_parser
from fleetctl.probes.tables import Boxed, boxed_parser, name, pair, put, state
from fleetctl_amd import amd_smi
from fleetctl_amd.exporter import AMD_EXPORTER_PARSER
from fleetctl_amd.kernel import parse_kernel

FAMILY = Rocm(vendor="amd", words=("GPU", "card"))
parse_rocm_json = json_parser(FAMILY)
parse_rocm_lines = lines_parser(FAMILY)
parse_rocm_table = rocm_table_parser(FAMILY)


TABLE = Boxed(
    vendor="amd",
    opens=("bdf",),
    columns={
        "bdf": name("pci"),
        "gpu-name": name("model"),
        "mem-uti": put("mem_util_pct", "%"),
        "temp": put("temp_c", "C"),
        "uec": put("ecc_uncorrected_total"),
        "power-usage": pair("power_w", "power_cap_w", "W"),
        "gpu": name("index"),
        "hip-id": state("hip_id"),
        "oam-id": name("slot"),
        "partition-mode": state("partition_mode"),
        "gfx-uti": put("util_pct", "%"),
        "fan": put("fan_pct", "%"),
        "mem-usage": pair("mem_used_bytes", "mem_total_bytes", "MB"),
    },
    version={"tool_version": re.compile(r"AMD-SMI (\S+)"), "driver_version": re.compile(r"amdgpu version: (\S+)")},
    refusal=amd_smi.refusal,
    quiet=re.compile(r"^WARNING|^\.\.\."),
)


def _has_list(text: str) -> bool:
    head = text[:16384]
    return '"gpu_data"' in head or re.search(r'[\[{]\s*"?(?:\{\s*)?"gpu"\s*:', head) is not None


PARSERS = (
    Parser("amd.metric", "amd-smi metric", amd_smi.parse_text, lambda text: re.search(r"(?m)^GPU: \d+\s*$", text[:16384]) is not None),
    Parser("amd.static", "amd-smi static", amd_smi.parse_text, lambda text: False),
    Parser("amd.process", "amd-smi process", amd_smi.parse_text, lambda text: False),
    Parser("amd.table", "amd-smi", boxed_parser(TABLE), lambda text: "AMD-SMI" in text[:4096] and "|" in text[:4096]),
    Parser("amd.monitor", "amd-smi monitor", amd_smi.parse_monitor,
           lambda text: re.search(r"(?m)^\s*GPU\s+(?:XCP\s+)?(?:POWER|GPU_T|VRAM|GFX|MEM|PWR)", text[:8192]) is not None),
    Parser("amd.metric-json", "amd-smi metric --json", amd_smi.parse_json, _has_list),
    Parser("amd.rocm-json", "rocm-smi --json", parse_rocm_json, lambda text: re.search(r'"card\d+"\s*:', text[:65536]) is not None),
    Parser("amd.rocm-lines", "rocm-smi -u --showmeminfo vram", parse_rocm_lines, lambda text: "GPU[" in text[:16384]),
    Parser("amd.rocm-showhw", "rocm-smi --showhw", parse_rocm_table, lambda text: "Concise Hardware Info" in text[:4096]),
    Parser("amd.rocm-table", "rocm-smi", parse_rocm_table,
           lambda text: "Concise Info" in text[:4096] or "ROCm System Management Interface" in text[:4096]),
    AMD_EXPORTER_PARSER,
    Parser("amd.kernel", "dmesg", parse_kernel, lambda text: "amdgpu" in text[:65536]),
    detect_parser("amd"),
)  # fmt: skip
