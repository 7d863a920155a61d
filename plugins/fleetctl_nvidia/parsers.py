"""Every form of output that can be read, best first; `fleetctl probe parse nvidia` picks by the looks."""

from __future__ import annotations

import json
from dataclasses import replace

from fleetctl.model.probe import Output
from fleetctl.model.reading import FindingKind, ProbeFinding, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.exporter import exporter_parser
from fleetctl.probes.prometheus import looks_like_exporter
from fleetctl.probes.smi import Family, csv_parser, list_parser, table_parser, text_parser, xml_parser
from fleetctl.probes.smi.csv_form import looks_like_csv
from fleetctl.probes.text import excerpt, scaled, whole, word
from fleetctl_nvidia import tables
from fleetctl_nvidia.exporters import DCGM, GPU_EXPORTER
from fleetctl_nvidia.finish import finish
from fleetctl_nvidia.kernel import looks_like_kernel, parse_kernel
from fleetctl_nvidia.words import refusal

FIELDS = (
    "index", "uuid", "name", "pci.bus_id", "serial", "driver_version", "vbios_version",
    "utilization.gpu", "utilization.memory", "memory.used", "memory.total", "power.draw", "enforced.power.limit",
    "temperature.gpu", "temperature.memory", "clocks.sm", "clocks.max.sm", "clocks.mem", "fan.speed", "pstate",
    "clocks_event_reasons.active", "ecc.errors.corrected.volatile.total", "ecc.errors.uncorrected.volatile.total",
    "remapped_rows.pending", "remapped_rows.failure", "pcie.link.gen.current", "pcie.link.width.current",
    "mig.mode.current", "gpu_recovery_action",
)  # fmt: skip
# What every driver of the last ten years knows: the last resort where even the list of fields cannot be had.
LEAST = (
    "index", "uuid", "name", "temperature.gpu", "power.draw", "utilization.gpu", "memory.used", "memory.total",
)  # fmt: skip
# What others ask for without a header; used only where every identity stands where this list has it.
_COMMON = (
    ("index", "uuid", "name", "pci.bus_id", "temperature.gpu", "utilization.gpu", "memory.used", "memory.total",
     "power.draw", "power.limit", "pstate"),
    LEAST,
)  # fmt: skip

FAMILY = Family(vendor="nvidia", refusal=refusal, finish=finish)
parse_query = csv_parser(FAMILY, (FIELDS, *_COMMON))
NVML_COLUMNS = (
    "util_pct", "mem_util_pct", "mem_used_bytes", "mem_total_bytes", "power_w", "power_cap_w", "temp_c", "mem_temp_c",
    "clock_mhz", "clock_max_mhz", "mem_clock_mhz", "fan_pct", "throttled", "ecc_corrected_total",
    "ecc_uncorrected_total", "row_remap_pending", "row_remap_failed", "pcie_gen", "pcie_width", "energy_j", "procs",
)  # fmt: skip


def parse_nvml(output: Output) -> ProbeResult:
    """The in-process reader: query CSV of who the cards are, then one JSON line of numbers in NVML_COLUMNS' order."""
    head, _, last = output.stdout.rstrip().rpartition("\n")
    if not last.startswith("[["):
        return parse_query(output)
    result = parse_query(replace(output, stdout=head))
    try:
        rows = json.loads(last)
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list) or len(rows) != len(result.readings):
        finding = ProbeFinding(
            FindingKind.UNREADABLE, "the line of numbers does not fit the cards", None, excerpt(last)
        )
        return replace(result, findings=(*result.findings, finding))
    readings = []
    for reading, row in zip(result.readings, rows, strict=True):
        numbers = row if isinstance(row, list) and len(row) == len(NVML_COLUMNS) else [None] * len(NVML_COLUMNS)
        pairs = zip(NVML_COLUMNS, numbers, strict=True)
        values = {n: scaled(n, v)[0] if isinstance(v, int | float) else None for n, v in pairs}
        readings.append(replace(reading, values=values))
    return replace(result, readings=tuple(readings))


parse_xml = xml_parser(FAMILY, ("nvidia_smi_log",))
USERS = "<!-- users of the processes above -->"


def parse_detail(output: Output) -> ProbeResult:
    """The XML, then USERS and `pid user` lines of ps for the processes in it. Without them the users stay unknown."""
    text, _, said = output.stdout.partition(f"\n{USERS}\n")
    result = parse_xml(replace(output, stdout=text))
    users: dict[int, str] = {}
    for line in said.split("\n")[:4096]:
        cells = line.split()
        if len(cells) == 2 and (pid := whole(cells[0])) is not None and (user := word(cells[1])) is not None:
            users[pid] = user[:64]
    if not users:
        return result
    return replace(result, processes=tuple(replace(p, user=p.user or users.get(p.pid)) for p in result.processes))


parse_list = list_parser(FAMILY)
parse_dcgm = exporter_parser(DCGM)


PARSERS = (
    Parser("nvidia.query", "nvidia-smi --query-gpu=... --format=csv,nounits", parse_query,
           lambda text: "<?xml" not in text[:512] and "+---" not in text[:4096] and looks_like_csv(text),
           for_command=lambda command: csv_parser(FAMILY, (FIELDS, *_COMMON), asked=command)),
    Parser("nvidia.xml", "nvidia-smi -q -x", parse_detail, lambda text: "<nvidia_smi_log" in text[:8192]),
    Parser("nvidia.full", "nvidia-smi -q", text_parser(FAMILY),
           lambda text: "NVSMI LOG" in text[:8192] or "\nAttached GPUs" in text[:8192] or text.startswith("GPU 0000")),
    Parser("nvidia.table", "nvidia-smi", table_parser(FAMILY),
           lambda text: "NVIDIA-SMI" in text[:8192] and "|" in text[:8192] and "version  :" not in text[:200]),
    Parser("nvidia.list", "nvidia-smi -L", parse_list,
           lambda text: any(line.startswith("GPU ") and "(UUID:" in line for line in text[:8192].split("\n"))),
    Parser("nvidia.nvlink", "nvidia-smi nvlink --status", parse_list, lambda text: False),
    Parser("nvidia.dmon", "nvidia-smi dmon", tables.parse_dmon,
           lambda text: "# gpu" in text[:2048] and "pid" not in text[:200] and "# Idx" in text[:2048]),
    Parser("nvidia.pmon", "nvidia-smi pmon", tables.parse_pmon,
           lambda text: "# gpu" in text[:2048] and "pid" in text[:200]),
    Parser("nvidia.topo", "nvidia-smi topo -m", tables.parse_topo,
           lambda text: "CPU Affinity" in text[:4096] or "GPU0\t X" in text[:4096]),
    Parser("nvidia.version", "nvidia-smi --version", tables.parse_version,
           lambda text: "NVIDIA-SMI version" in text[:512]),
    Parser("nvidia.help", "nvidia-smi --help-query-gpu", tables.parse_help,
           lambda text: "List of valid properties to query" in text[:512]),
    Parser("nvidia.dcgm", "curl localhost:9400/metrics", parse_dcgm,
           lambda text: looks_like_exporter(text, "DCGM_FI_", "# HELP DCGM_FI_")),
    Parser("nvidia.gpu-exporter", "curl localhost:9835/metrics", exporter_parser(GPU_EXPORTER),
           lambda text: looks_like_exporter(text, "nvidia_smi_", "# HELP nvidia_smi_")),
    detect_parser("nvidia"),
    Parser("nvidia.fabric", "cat /var/log/fabricmanager.log", tables.parse_fabric,
           lambda text: "] [tid " in text[:4096] or "Fabric Manager" in text[:4096]),
    Parser("nvidia.kernel", "dmesg", parse_kernel, looks_like_kernel),
)  # fmt: skip
