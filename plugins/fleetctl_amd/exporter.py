"""The AMD device metrics exporter: names of samples and the metrics they are."""

from __future__ import annotations

from fleetctl.plugin import Parser
from fleetctl.probes.exporter import Exporter, exporter_parser
from fleetctl.probes.prometheus import looks_like_exporter

_METRICS = {
    "gpu_gfx_activity": ("util_pct", "%"),
    "gpu_umc_activity": ("mem_util_pct", "%"),
    "gpu_used_vram": ("mem_used_bytes", "MiB"),
    "gpu_total_vram": ("mem_total_bytes", "MiB"),
    "gpu_package_power": ("power_w", "W"),
    "gpu_average_package_power": ("power_w", "W"),
    "gpu_power_usage": ("power_w", "W"),
    "gpu_edge_temperature": ("temp_c", "C"),
    "gpu_junction_temperature": ("hotspot_temp_c", "C"),
    "gpu_memory_temperature": ("mem_temp_c", "C"),
    "gpu_fan_speed": ("fan_rpm", "rpm"),
    "gpu_ecc_correct_total": ("ecc_corrected_total", ""),
    "gpu_ecc_uncorrect_total": ("ecc_uncorrected_total", ""),
    "pcie_replay_count": ("pcie_replay_total", ""),
}
_EXPORTER = Exporter(
    vendor="amd",
    prefix="",
    metrics={**_METRICS, **{f"amd_{k}": v for k, v in _METRICS.items()}},
    labels={
        "index": ("gpu_id",),
        "serial": ("serial_number",),
        "uuid": ("gpu_uuid",),
        "model": ("card_series", "card_model"),
        "pci": ("pcie_bus_id",),
        "driver": ("driver_version",),
    },
    key=("gpu_uuid", "gpu_id", "serial_number"),
)
AMD_EXPORTER_PARSER = Parser(
    "amd.exporter",
    "curl localhost:5000/metrics",
    exporter_parser(_EXPORTER),
    lambda text: looks_like_exporter(text, "gpu_gfx_activity", "gpu_package_power", "amd_gpu_", "# HELP gpu_gfx"),
)
