"""dcgm-exporter and nvidia_gpu_exporter: names of samples and the metrics they are."""

from __future__ import annotations

from collections.abc import Mapping

from fleetctl.probes.exporter import Exporter
from fleetctl.probes.prometheus import Sample
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import is_blank

_DCGM = {
    "GPU_UTIL": ("util_pct", "%"),
    "MEM_COPY_UTIL": ("mem_util_pct", "%"),
    "FB_USED": ("mem_used_bytes", "MiB"),
    "FB_TOTAL": ("mem_total_bytes", "MiB"),
    "POWER_USAGE": ("power_w", "W"),
    "POWER_MGMT_LIMIT": ("power_cap_w", "W"),
    "ENFORCED_POWER_LIMIT": ("power_cap_w", "W"),
    "GPU_TEMP": ("temp_c", "C"),
    "MEMORY_TEMP": ("mem_temp_c", "C"),
    "SM_CLOCK": ("clock_mhz", "MHz"),
    "MAX_SM_CLOCK": ("clock_max_mhz", "MHz"),
    "MEM_CLOCK": ("mem_clock_mhz", "MHz"),
    "FAN_SPEED": ("fan_pct", "%"),
    "ECC_SBE_VOL_TOTAL": ("ecc_corrected_total", ""),
    "ECC_DBE_VOL_TOTAL": ("ecc_uncorrected_total", ""),
    "ECC_SBE_AGG_TOTAL": ("ecc_corrected_life_total", ""),
    "ECC_DBE_AGG_TOTAL": ("ecc_uncorrected_life_total", ""),
    "CORRECTABLE_REMAPPED_ROWS": ("rows_remapped_corrected", ""),
    "UNCORRECTABLE_REMAPPED_ROWS": ("rows_remapped_uncorrected", ""),
    "ROW_REMAP_PENDING": ("row_remap_pending", ""),
    "ROW_REMAP_FAILURE": ("row_remap_failed", ""),
    "RETIRED_PENDING": ("pages_pending", ""),
    "PCIE_LINK_GEN": ("pcie_gen", ""),
    "PCIE_MAX_LINK_GEN": ("pcie_gen_max", ""),
    "PCIE_LINK_WIDTH": ("pcie_width", ""),
    "PCIE_MAX_LINK_WIDTH": ("pcie_width_max", ""),
    "PCIE_REPLAY_COUNTER": ("pcie_replay_total", ""),
    "TOTAL_ENERGY_CONSUMPTION": ("energy_j", "mJ"),
}
_DCGM_ADDS = {
    "RETIRED_SBE": "pages_retired",
    "RETIRED_DBE": "pages_retired",
    "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": "link_errors_total",
    "NVLINK_CRC_DATA_ERROR_COUNT_TOTAL": "link_errors_total",
    "NVLINK_REPLAY_ERROR_COUNT_TOTAL": "link_errors_total",
    "NVLINK_RECOVERY_ERROR_COUNT_TOTAL": "link_errors_total",
}
_THROTTLE = 0x4 | 0x8 | 0x20 | 0x40 | 0x80  # power cap, hardware and software slowdowns; not idle, not chosen clocks


def _dcgm_special(sheet: Sheet, card: Card | None, sample: Sample) -> bool:
    field = sample.name.removeprefix("DCGM_FI_DEV_")
    if field == "XID_ERRORS" and card is not None:
        if sample.value and not is_blank(sample.value):
            text = sample.labels.get("err_msg", "the exporter's last Xid")
            device = card.fields.get("pci") or card.fields.get("index")
            sheet.fault("xid", str(int(sample.value)), text, device=device)
        return True
    if field in ("CLOCK_THROTTLE_REASONS", "CLOCKS_EVENT_REASONS") and card is not None:
        if sample.value is not None and not is_blank(sample.value):
            card.values["throttled"] = int(bool(int(sample.value) & _THROTTLE))
        return True
    return False


def _slice(labels: Mapping[str, str]) -> str | None:
    if labels.get("GPU_I_ID"):
        return f"{labels.get('GPU_I_PROFILE') or 'GI'} {labels['GPU_I_ID']}"
    return None


DCGM = Exporter(
    vendor="nvidia",
    prefix="DCGM_FI_",
    metrics={f"DCGM_FI_DEV_{k}": v for k, v in _DCGM.items()},
    adds={f"DCGM_FI_DEV_{k}": v for k, v in _DCGM_ADDS.items()},
    labels={
        "uuid": ("UUID", "uuid"),
        "index": ("gpu",),
        "pci": ("pci_bus_id",),
        "model": ("modelName",),
        "driver": ("DCGM_FI_DRIVER_VERSION", "driver_version"),
    },
    key=("UUID", "uuid", "pci_bus_id", "gpu"),
    part=_slice,
    part_metrics=frozenset({"mem_used_bytes", "mem_total_bytes", "util_pct"}),
    special=_dcgm_special,
)

_SMI = {
    "utilization_gpu_ratio": ("util_pct", "ratio"),
    "utilization_memory_ratio": ("mem_util_pct", "ratio"),
    "memory_used_bytes": ("mem_used_bytes", "B"),
    "memory_total_bytes": ("mem_total_bytes", "B"),
    "power_draw_watts": ("power_w", "W"),
    "enforced_power_limit_watts": ("power_cap_w", "W"),
    "temperature_gpu": ("temp_c", "C"),
    "temperature_memory": ("mem_temp_c", "C"),
    "clocks_current_sm_clock_hz": ("clock_mhz", "Hz"),
    "clocks_max_sm_clock_hz": ("clock_max_mhz", "Hz"),
    "clocks_current_memory_clock_hz": ("mem_clock_mhz", "Hz"),
    "fan_speed_ratio": ("fan_pct", "ratio"),
    "ecc_errors_corrected_volatile_total": ("ecc_corrected_total", ""),
    "ecc_errors_uncorrected_volatile_total": ("ecc_uncorrected_total", ""),
    "ecc_errors_corrected_aggregate_total": ("ecc_corrected_life_total", ""),
    "ecc_errors_uncorrected_aggregate_total": ("ecc_uncorrected_life_total", ""),
    "remapped_rows_correctable": ("rows_remapped_corrected", ""),
    "remapped_rows_uncorrectable": ("rows_remapped_uncorrected", ""),
    "remapped_rows_pending": ("row_remap_pending", ""),
    "remapped_rows_failure": ("row_remap_failed", ""),
    "retired_pages_pending": ("pages_pending", ""),
    "pcie_link_gen_current": ("pcie_gen", ""),
    "pcie_link_gen_max": ("pcie_gen_max", ""),
    "pcie_link_width_current": ("pcie_width", ""),
    "pcie_link_width_max": ("pcie_width_max", ""),
    "compute_apps": ("procs", ""),
}


def _smi_special(sheet: Sheet, card: Card | None, sample: Sample) -> bool:
    field = sample.name.removeprefix("nvidia_smi_")
    if card is None:
        return False
    if field.endswith("_ratio") and field in _SMI:  # 0..1
        if sample.value is not None:
            card.put_number(_SMI[field][0], round(sample.value * 100, 6), "%")
        return True
    if field == "compute_app_used_memory_bytes":
        memory = None if sample.value is None else f"{int(sample.value)} B"
        sheet.process(card, sample.labels.get("pid"), sample.labels.get("process_name"), memory)
        return True
    if field in ("clocks_event_reasons_active", "clocks_throttle_reasons_active"):
        if sample.value is not None and sample.value >= 0:
            card.values["throttled"] = int(bool(int(sample.value) & _THROTTLE))
        return True
    return False


GPU_EXPORTER = Exporter(
    vendor="nvidia",
    prefix="nvidia_smi_",
    metrics={f"nvidia_smi_{k}": v for k, v in _SMI.items()},
    labels={
        "uuid": ("uuid",),
        "index": ("index",),
        "pci": ("pci_bus_id",),
        "model": ("name",),
        "serial": ("serial",),
        "driver": ("driver_version",),
        "firmware": ("vbios_version",),
    },
    key=("uuid",),
    special=_smi_special,
)
