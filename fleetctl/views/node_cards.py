"""The cards of one node as its screen shows them: figures, what is wrong with each, and which lease holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from fleetctl.model.states import Health
from fleetctl.views import devices
from fleetctl.views.column import Column, Table
from fleetctl.views.devices import DeviceRow
from fleetctl.views.findings import FindingRow

_FIGURES = (
    "util_pct", "mem_pct", "temp_c", "power_w", "mem_temp_c", "hotspot_temp_c", "clock_mhz", "fan_pct", "procs",
    "ecc_uncorrected_total", "ecc_corrected_total", "pages_retired", "rows_remapped_uncorrected", "pcie_width",
    "links_up",
)  # fmt: skip
# Short headings for metrics whose names are long; the name itself stays the key.
TITLES = {
    "mem_temp_c": "mem temp", "hotspot_temp_c": "hot spot", "clock_mhz": "clock", "fan_pct": "fan", "procs": "procs",
    "ecc_uncorrected_total": "ecc ue", "ecc_corrected_total": "ecc ce", "pages_retired": "retired",
    "rows_remapped_uncorrected": "remapped", "pcie_width": "lanes", "links_up": "links",
}  # fmt: skip


def card_health(row: DeviceRow, worst: Mapping[str, Health], now: float, stale_after_s: float) -> Health:
    """The worst finding on the card; without a fresh value unknown, never ok."""
    found = worst.get(row.device.key)
    if found in (Health.CRIT, Health.WARN):
        return found
    fresh = row.slot is not None and now - row.slot <= stale_after_s
    return (found or Health.OK) if fresh else Health.UNKNOWN


def table(
    rows: Sequence[DeviceRow],
    findings: Iterable[FindingRow],
    leases: Mapping[str, str],
    *,
    now: float,
    stale_after_s: float,
    jobs: Mapping[str, str] = MappingProxyType({}),
) -> Table[DeviceRow]:
    """leases: Device.key -> lease; jobs: card's index -> job of another scheduler that holds it.

    Figures that nobody on this node tells are left out: they differ from vendor to vendor.
    """
    worst: dict[str, Health] = {}
    for finding in findings:
        if finding.device is not None:
            before = worst.get(finding.device, Health.OK)
            worst[finding.device] = min(before, finding.severity, key=lambda h: h.rank)
    by_name = {c.name: c for c in devices.COLUMNS}
    told = [name for name in _FIGURES if name in by_name and any(by_name[name].value(r) is not None for r in rows)]
    columns: list[Column[DeviceRow]] = [
        replace(by_name["index"], right=False),
        Column("vendor", "vendor", lambda r: r.device.vendor, width=8),
        by_name["chip"],
        Column("health", "health", lambda r: card_health(r, worst, now, stale_after_s).value, width=8, role="state"),
        *(replace(by_name[name], title=TITLES.get(name, by_name[name].title)) for name in told),
        Column("lease", "lease", lambda r: leases.get(r.device.key), width=9),
        by_name["slot"],
        Column("state", "told", lambda r: " ".join(f"{k}={v}" for k, v in r.states.items()) or None, width=10),
    ]
    if jobs:
        columns.insert(4, Column("job", "job", lambda r: jobs.get(r.device.index or ""), width=9))
    if any(r.device.partition for r in rows):
        columns.insert(3, by_name["partition"])
    return Table("card", columns, list(rows), lambda r: r.device.key)
