"""The metric catalogue: every quantity fleetctl stores, with its unit and what one step of it means.

To add a metric, add one line to CORE_METRICS (or to a plugin's `metrics`) and return it from a probe's parse.
Columns of the sample tables, JSON keys, filters, plots and the reference page all follow from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    GAUGE = "gauge"  # a level; the mean over an hour makes sense
    COUNTER = "counter"  # only grows, until a reset; the difference makes sense
    STATE = "state"  # a code or flag; only the last value makes sense


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity of one kind of thing.

    name: ends in its unit (`temp_c`); of: "host", "card" or "sensor"; unit: as shown ("°C", "W", "B");
    step: what the sensor really resolves, in that unit; values are rounded to it before they are stored.
    """

    name: str
    of: str
    unit: str
    doc: str
    kind: MetricKind = MetricKind.GAUGE
    step: float = 1.0


_C, _S = MetricKind.COUNTER, MetricKind.STATE
MIB = 1024.0 * 1024.0

CORE_METRICS: tuple[Metric, ...] = (
    # A host, from /proc and statvfs.
    Metric("load1", "host", "", "run queue length over one minute", step=0.01),
    Metric("cpu_pct", "host", "%", "share of all cores that was not idle since the last sample"),
    Metric("cores", "host", "", "logical processors online", _S),
    Metric("mem_used_bytes", "host", "B", "MemTotal - MemAvailable", step=MIB),
    Metric("mem_total_bytes", "host", "B", "MemTotal", _S, step=MIB),
    Metric("swap_used_bytes", "host", "B", "SwapTotal - SwapFree", step=MIB),
    Metric("disk_used_pct", "host", "%", "fullest local file system"),
    Metric("disk_free_bytes", "host", "B", "room left on the fullest local file system", step=MIB),
    Metric("net_rx_bytes_total", "host", "B", "received on all physical interfaces since boot", _C),
    Metric("net_tx_bytes_total", "host", "B", "sent on all physical interfaces since boot", _C),
    Metric("uptime_s", "host", "s", "time since boot", _C),
    Metric("procs_d", "host", "", "processes in uninterruptible sleep (state D)"),
    Metric("clock_skew_s", "host", "s", "host clock minus console clock, half a round trip uncertain"),
    Metric("power_w", "host", "W", "draw at the wall of the whole server; the source stands with the device"),
    Metric("inlet_temp_c", "host", "°C", "air at the server's inlet"),
    # A card: one accelerator as the scheduler sees it. A partition is a card with a parent.
    Metric("util_pct", "card", "%", "share of time at least one kernel ran (vendor's main core counter)"),
    Metric("mem_util_pct", "card", "%", "share of time the memory interface was busy"),
    Metric("mem_used_bytes", "card", "B", "device memory in use", step=MIB),
    Metric("mem_total_bytes", "card", "B", "device memory the tool says exists", _S, step=MIB),
    Metric("power_w", "card", "W", "draw of the board (or of the part the tool measures)"),
    Metric("power_cap_w", "card", "W", "power limit in force", _S),
    Metric("temp_c", "card", "°C", "core temperature (edge, GPU, AICore)"),
    Metric("mem_temp_c", "card", "°C", "memory temperature"),
    Metric("hotspot_temp_c", "card", "°C", "hottest point of the chip (junction)"),
    Metric("board_temp_c", "card", "°C", "board temperature"),
    Metric("clock_mhz", "card", "MHz", "core clock now"),
    Metric("clock_max_mhz", "card", "MHz", "core clock the card can reach", _S),
    Metric("mem_clock_mhz", "card", "MHz", "memory clock now"),
    Metric("fan_pct", "card", "%", "fan duty"),
    Metric("fan_rpm", "card", "rpm", "fan speed"),
    Metric("ecc_corrected_total", "card", "", "corrected memory errors (volatile where the tool tells)", _C),
    Metric("ecc_uncorrected_total", "card", "", "uncorrected memory errors (volatile where the tool tells)", _C),
    Metric("ecc_corrected_life_total", "card", "", "corrected memory errors over the card's life", _C),
    Metric("ecc_uncorrected_life_total", "card", "", "uncorrected memory errors over the card's life", _C),
    Metric("rows_remapped_corrected", "card", "", "memory rows remapped for corrected errors", _C),
    Metric("rows_remapped_uncorrected", "card", "", "memory rows remapped for uncorrected errors", _C),
    Metric("row_remap_pending", "card", "", "1: a remapping waits for a reset", _S),
    Metric("row_remap_failed", "card", "", "1: no spare row was left", _S),
    Metric("pages_retired", "card", "", "memory pages taken out of use", _C),
    Metric("pages_pending", "card", "", "memory pages that wait to be taken out of use", _S),
    Metric("pcie_gen", "card", "", "PCIe generation now", _S),
    Metric("pcie_gen_max", "card", "", "PCIe generation the slot and card can reach", _S),
    Metric("pcie_width", "card", "", "PCIe lanes now", _S),
    Metric("pcie_width_max", "card", "", "PCIe lanes the slot and card can reach", _S),
    Metric("pcie_replay_total", "card", "", "PCIe replays", _C),
    Metric("links_up", "card", "", "card-to-card links that are up", _S),
    Metric("links_total", "card", "", "card-to-card links the card has", _S),
    Metric("link_errors_total", "card", "", "errors on card-to-card links", _C),
    Metric("energy_j", "card", "J", "energy since the driver was loaded", _C, step=1.0),
    Metric("procs", "card", "", "processes that hold the card"),
    Metric("throttled", "card", "", "1: clocks are held back by heat, power or a hardware brake", _S),
    # Anything else that prints one number: a PDU outlet, a coolant loop, a fan of a server. Quantity and unit stand
    # with the device, because they differ per sensor.
    Metric("value", "sensor", "", "the reading in the unit of its device", step=0.001),
)


def metrics_of(kind: str, metrics: tuple[Metric, ...] = CORE_METRICS) -> tuple[Metric, ...]:
    """The metrics of one kind of thing, in catalogue order."""
    return tuple(m for m in metrics if m.of == kind)
