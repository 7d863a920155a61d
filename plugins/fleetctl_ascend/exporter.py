"""npu-exporter (MindCluster): names of samples and the metrics they are. -1 means that DCMI did not answer."""

from __future__ import annotations

from fleetctl.probes.exporter import Exporter
from fleetctl.probes.prometheus import Sample
from fleetctl.probes.sheet import Card, Sheet

_INFO = {
    "utilization": ("util_pct", "%"),
    "temperature": ("temp_c", "C"),
    "power": ("power_w", "W"),
    "aicore_current_freq": ("clock_mhz", "MHz"),
    "hbm_used_memory": ("mem_used_bytes", "MiB"),
    "hbm_total_memory": ("mem_total_bytes", "MiB"),
    "hbm_temperature": ("mem_temp_c", "C"),
    "hbm_bandwidth_utilization": ("mem_util_pct", "%"),
    "process_info_num": ("procs", ""),
    "hbm_ecc_single_bit_error_cnt": ("ecc_corrected_total", ""),
    "hbm_ecc_double_bit_error_cnt": ("ecc_uncorrected_total", ""),
    "hbm_ecc_total_single_bit_error_cnt": ("ecc_corrected_life_total", ""),
    "hbm_ecc_total_double_bit_error_cnt": ("ecc_uncorrected_life_total", ""),
    "pcie_link_width": ("pcie_width", ""),
}
_PREFIX = "npu_chip_info_"


def _special(sheet: Sheet, card: Card | None, sample: Sample) -> bool:
    if sample.name == "machine_npu_nums":
        sheet.expected = int(sample.value) if sample.value is not None and 0 <= sample.value < 65536 else None
        return True
    if sample.name.startswith("machine_"):
        if sample.value is not None:
            sheet.facts[sample.name] = str(sample.value)
        return True
    if card is None:
        return True
    name = sample.name.removeprefix(_PREFIX)
    if sample.value == -1:
        if name in _INFO and _INFO[name][0]:
            card.values.setdefault(_INFO[name][0], None)
        return True
    if name == "health_status":
        card.state("health", {1: "OK", 0: "Alarm"}.get(int(sample.value), "") if sample.value is not None else "")
    elif name == "link_status":
        up = None if sample.value is None else sample.value == 1
        sheet.link(card, "0", "roce", up)
        card.values["links_total"] = 1
        card.values["links_up"] = None if up is None else int(up)
    elif name.startswith("error_code"):
        if sample.value and 0 < sample.value < 2**32:
            place = card.fields.get("pci") or card.fields.get("index")
            sheet.fault("npu", f"0x{int(sample.value):08X}", "error code of the exporter", device=place)
    elif name in ("used_memory", "total_memory"):  # DDR; HBM counts where the chip has it
        metric = f"mem_{name.split('_')[0]}_bytes"
        card.states.setdefault(f"ddr_{name}", f"{sample.value} MiB")
        if f"{name}_hbm" not in card.states and sample.value:
            card.put_number(metric, sample.value, "MiB")
    elif name in ("hbm_used_memory", "hbm_total_memory"):
        metric, unit = _INFO[name]
        if card.states.get("hbm") != "yes" and name == "hbm_total_memory" and sample.value:
            card.states["hbm"] = "yes"
        if sample.value is not None:
            card.values.pop(metric, None)
            card.put_number(metric, sample.value, unit)
    elif name == "process_info" and sample.labels.get("process_id"):
        memory = None if sample.value is None else str(sample.value)
        sheet.process(card, sample.labels["process_id"], sample.labels.get("container_name"), memory, "MiB")
    else:
        return name == "pcie_link_speed"  # GT/s, not a generation
    return True


NPU_EXPORTER = Exporter(
    vendor="ascend",
    prefix="",
    metrics={_PREFIX + k: v for k, v in _INFO.items() if v[0]},
    labels={
        "index": ("id", "npu_id"),
        "uuid": ("vdie_id", "npu_uuid"),
        "pci": ("pcie_bus_info",),
        "model": ("model_name", "modelName"),
    },
    key=("vdie_id", "id", "npu_id"),
    special=_special,
)
