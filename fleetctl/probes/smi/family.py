"""What differs between the tools of the family, and which printed field is which metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fleetctl.probes.sheet import Card, Sheet

# metric or identity field -> names in `--query-gpu`, best first. Units stand in the header or default below.
QUERY: dict[str, tuple[str, ...]] = {
    "util_pct": ("utilization.gpu", "utilization.ppu", "utilization.aip"),
    "mem_util_pct": ("utilization.memory",),
    "mem_used_bytes": ("memory.used",),
    "mem_total_bytes": ("memory.total",),
    "power_w": ("power.draw", "power.draw.average", "gpu.power.draw", "power.draw.instant"),
    "power_cap_w": ("enforced.power.limit", "power.limit", "gpu.power.limit"),
    "temp_c": ("temperature.gpu", "temperature.ppu", "temperature.aip"),
    "mem_temp_c": ("temperature.memory",),
    "clock_mhz": ("clocks.current.sm", "clocks.sm", "clocks.current.graphics", "clocks.gr"),
    "clock_max_mhz": ("clocks.max.sm", "clocks.max.graphics", "clocks.max.gr"),
    "mem_clock_mhz": ("clocks.current.memory", "clocks.mem"),
    "fan_pct": ("fan.speed",),
    "ecc_corrected_total": ("ecc.errors.corrected.volatile.total",),
    "ecc_uncorrected_total": ("ecc.errors.uncorrected.volatile.total",),
    "ecc_corrected_life_total": ("ecc.errors.corrected.aggregate.total",),
    "ecc_uncorrected_life_total": ("ecc.errors.uncorrected.aggregate.total",),
    "rows_remapped_corrected": ("remapped_rows.correctable",),
    "rows_remapped_uncorrected": ("remapped_rows.uncorrectable",),
    "row_remap_pending": ("remapped_rows.pending",),
    "row_remap_failed": ("remapped_rows.failure",),
    "pages_pending": ("retired_pages.pending",),
    "pcie_gen": ("pcie.link.gen.current", "pcie.link.gen.gpucurrent"),
    "pcie_gen_max": ("pcie.link.gen.max", "pcie.link.gen.gpumax"),
    "pcie_width": ("pcie.link.width.current",),
    "pcie_width_max": ("pcie.link.width.max",),
    "energy_j": ("total_energy_consumption",),
}
QUERY_UNITS = {"mem_used_bytes": "MiB", "mem_total_bytes": "MiB", "energy_j": "mJ"}
QUERY_NAMES: dict[str, tuple[str, ...]] = {
    "index": ("index",),
    "uuid": ("uuid", "gpu_uuid", "ppu_uuid"),
    "model": ("name", "gpu_name", "product_name", "ppu_name"),
    "serial": ("serial", "gpu_serial", "ppu_serial"),
    "pci": ("pci.bus_id", "gpu_bus_id", "bus_id", "ppu_bus_id"),
    "firmware": ("vbios_version",),
    "driver": ("driver_version",),
    "slot": ("platform.slot_number",),
}
QUERY_STATES: dict[str, tuple[str, ...]] = {
    "pstate": ("pstate",),
    "mig_mode": ("mig.mode.current",),
    "ecc_mode": ("ecc.mode.current",),
    "persistence_mode": ("persistence_mode",),
    "compute_mode": ("compute_mode",),
    "recovery_action": ("gpu_recovery_action",),
    "fabric_state": ("fabric.state",),
    "fabric_status": ("fabric.status",),
    "module_id": ("module_id",),
}

# The same in XML, as paths below <gpu>.
XML: dict[str, tuple[str, ...]] = {
    "util_pct": ("utilization/gpu_util", "utilization/gpu", "utilization/ppu_util"),
    "mem_util_pct": ("utilization/memory_util", "utilization/memory"),
    "mem_used_bytes": ("fb_memory_usage/used", "memory_usage/used"),
    "mem_total_bytes": ("fb_memory_usage/total", "memory_usage/total"),
    "power_w": (
        "gpu_power_readings/power_draw", "gpu_power_readings/instant_power_draw",
        "gpu_power_readings/average_power_draw", "power_readings/power_draw", "power_readings/instant_power_draw",
        "power_readings/average_power_draw", "power_readings/gpu_power_draw",
    ),
    "power_cap_w": (
        "gpu_power_readings/current_power_limit", "gpu_power_readings/enforced_power_limit",
        "gpu_power_readings/power_limit", "power_readings/current_power_limit",
        "power_readings/enforced_power_limit", "power_readings/power_limit", "power_readings/current_gpu_power_limit",
    ),
    "temp_c": ("temperature/gpu_temp", "temperature/gpu_current_temp"),
    "mem_temp_c": ("temperature/memory_temp", "temperature/memory_current_temp"),
    "clock_mhz": ("clocks/sm_clock", "clocks/graphics_clock", "clocks/sm", "clocks/graphics", "clocks/cu"),
    "clock_max_mhz": ("max_clocks/sm_clock", "max_clocks/graphics_clock", "max_clocks/sm", "max_clocks/graphics", "max_clocks/cu"),
    "mem_clock_mhz": ("clocks/mem_clock", "clocks/memory"),
    "fan_pct": ("fan_speed",),
    "ecc_corrected_total": ("ecc_errors/volatile/single_bit/total", "ecc_errors/single_bit"),
    "ecc_uncorrected_total": ("ecc_errors/volatile/double_bit/total", "ecc_errors/double_bit"),
    "ecc_corrected_life_total": ("ecc_errors/aggregate/single_bit/total",),
    "ecc_uncorrected_life_total": ("ecc_errors/aggregate/double_bit/total",),
    "rows_remapped_corrected": ("remapped_rows/remapped_row_corr",),
    "rows_remapped_uncorrected": ("remapped_rows/remapped_row_unc",),
    "row_remap_pending": ("remapped_rows/remapped_row_pending",),
    "row_remap_failed": ("remapped_rows/remapped_row_failure",),
    "pages_pending": ("retired_pages/pending_retirement", "retired_pages/pending_blacklist"),
    "pcie_gen": ("pci/pci_gpu_link_info/pcie_gen/current_link_gen", "pci/gpu_link_info/pcie_generation/current"),
    "pcie_gen_max": ("pci/pci_gpu_link_info/pcie_gen/max_link_gen", "pci/gpu_link_info/pcie_generation/max"),
    "pcie_width": ("pci/pci_gpu_link_info/link_widths/current_link_width", "pci/gpu_link_info/link_width/current"),
    "pcie_width_max": ("pci/pci_gpu_link_info/link_widths/max_link_width", "pci/gpu_link_info/link_width/max"),
    "pcie_replay_total": ("pci/replay_counter", "pci/replays_since_reset"),
}  # fmt: skip
XML_NAMES: dict[str, tuple[str, ...]] = {
    "model": ("product_name",),
    "serial": ("serial", "serial_number"),
    "uuid": ("uuid", "gpu_uuid", "ppu_uuid"),
    "firmware": ("vbios_version", "fw_version"),
    "slot": ("platformInfo/slot_number", "platform_info/slot_number"),
}
XML_STATES: dict[str, tuple[str, ...]] = {
    "pstate": ("performance_state",),
    "mig_mode": ("mig_mode/current_mig",),
    "ecc_mode": ("ecc_mode/current_ecc", "ecc_mode/current"),
    "persistence_mode": ("persistence_mode",),
    "compute_mode": ("compute_mode",),
    "virtualization": ("gpu_virtualization_mode/virtualization_mode",),
    "recovery_action": ("gpu_recovery_action",),
    "reset_required": ("gpu_reset_status/reset_required",),
    "drain_and_reset_recommended": ("gpu_reset_status/drain_and_reset_recommended",),
    "fabric_state": ("fabric/state",),
    "fabric_status": ("fabric/status",),
}

# The same in `-q`, as paths of its headings; {w} is the family's word (GPU, PPU).
TEXT: dict[str, tuple[str, ...]] = {
    "util_pct": ("Utilization/{w}", "Utilization/Ppu"),
    "mem_util_pct": ("Utilization/Memory",),
    "mem_used_bytes": ("FB Memory Usage/Used", "Memory Usage/Used"),
    "mem_total_bytes": ("FB Memory Usage/Total", "Memory Usage/Total"),
    "power_w": (
        "{w} Power Readings/Power Draw", "{w} Power Readings/Average Power Draw",
        "{w} Power Readings/Instantaneous Power Draw", "Power Readings/Power Draw", "Power Readings/Average Power Draw",
        "Power Readings/Instantaneous Power Draw", "Power Readings/{w} Power Draw",
    ),
    "power_cap_w": (
        "{w} Power Readings/Current Power Limit", "{w} Power Readings/Enforced Power Limit",
        "{w} Power Readings/Power Limit", "Power Readings/Current Power Limit", "Power Readings/Enforced Power Limit",
        "Power Readings/Power Limit", "Power Readings/Current {w} Power Limit",
    ),
    "temp_c": ("Temperature/{w} Current Temp", "Temperature/Gpu"),
    "mem_temp_c": ("Temperature/Memory Current Temp",),
    "clock_mhz": ("Clocks/SM", "Clocks/Graphics", "Clocks/CU"),
    "clock_max_mhz": ("Max Clocks/SM", "Max Clocks/Graphics", "Max Clocks/CU"),
    "mem_clock_mhz": ("Clocks/Memory",),
    "fan_pct": ("Fan Speed",),
    "ecc_corrected_total": ("ECC Errors/Volatile/Single Bit/Total", "ECC Errors/Single Bit"),
    "ecc_uncorrected_total": ("ECC Errors/Volatile/Double Bit/Total", "ECC Errors/Double Bit"),
    "ecc_corrected_life_total": ("ECC Errors/Aggregate/Single Bit/Total",),
    "ecc_uncorrected_life_total": ("ECC Errors/Aggregate/Double Bit/Total",),
    "rows_remapped_corrected": ("Remapped Rows/Correctable Error",),
    "rows_remapped_uncorrected": ("Remapped Rows/Uncorrectable Error",),
    "row_remap_pending": ("Remapped Rows/Pending",),
    "row_remap_failed": ("Remapped Rows/Remapping Failure Occurred",),
    "pages_pending": ("Retired Pages/Pending Page Blacklist", "Retired Pages/Pending"),
    "pcie_gen": ("PCI/{w} Link Info/PCIe Generation/Current",),
    "pcie_gen_max": ("PCI/{w} Link Info/PCIe Generation/Max",),
    "pcie_width": ("PCI/{w} Link Info/Link Width/Current",),
    "pcie_width_max": ("PCI/{w} Link Info/Link Width/Max",),
    "pcie_replay_total": ("PCI/Replays Since Reset", "PCI/Replays since reset"),
}  # fmt: skip
TEXT_NAMES: dict[str, tuple[str, ...]] = {
    "model": ("Product Name",),
    "serial": ("Serial Number",),
    "uuid": ("{w} UUID", "GPU UUID", "UUID"),
    "firmware": ("VBIOS Version",),
    "slot": ("Platform Info/Slot Number",),
}
TEXT_STATES: dict[str, tuple[str, ...]] = {
    "pstate": ("Performance State",),
    "mig_mode": ("MIG Mode/Current",),
    "ecc_mode": ("ECC Mode/Current", "Ecc Mode/Current"),
    "persistence_mode": ("Persistence Mode",),
    "compute_mode": ("Compute Mode",),
    "virtualization": ("{w} Virtualization Mode/Virtualization Mode",),
    "recovery_action": ("{w} Recovery Action",),
    "reset_required": ("{w} Reset Status/Reset Required",),
    "drain_and_reset_recommended": ("{w} Reset Status/Drain and Reset Recommended",),
    "fabric_state": ("Fabric/State",),
    "fabric_status": ("Fabric/Status",),
}


@dataclass(frozen=True, slots=True)
class Family:
    """One tool of the family.

    vendor: plugin name; word: what it calls a card in headings ("GPU", "PPU"); version: the words before the version
    in the table's first row; refusal: looks at a whole text for the tool's own errors and says whether it was one;
    finish: last touch on each card (dual-die boards).
    """

    vendor: str
    word: str = "GPU"
    refusal: Callable[[Sheet, str], bool] = field(default=lambda sheet, text: False)
    finish: Callable[[Sheet], None] = field(default=lambda sheet: None)
    query: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: QUERY)


def fill(card: Card, values: Mapping[str, str], table: Mapping[str, tuple[str, ...]], units: Mapping[str, str]) -> None:
    """Put every metric of a table whose field is there; the first field that is known wins."""
    for metric, names in table.items():
        for name in names:
            text = values.get(name)
            if text is not None:
                card.put(metric, text, units.get(metric, ""))


def throttle_reasons(reasons: Mapping[str, str]) -> tuple[int | None, str]:
    """(1 or 0 or None, words) from reason -> "Active"/"Not Active". Idle and chosen clocks are no throttling."""
    known = {k: v.strip().lower() for k, v in reasons.items()}
    active = [k for k, v in known.items() if v in ("active", "yes", "1")]
    if not any(v in ("active", "not active", "yes", "no", "0", "1") for v in known.values()):
        return None, ""
    held = [
        k for k in active if any(w in k.lower() for w in ("slowdown", "brake", "power_cap", "power cap", "thermal"))
    ]
    return int(bool(held)), ", ".join(active)
