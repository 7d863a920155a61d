"""Cooling: one row per cooler of a zone, with supply, return, flow, heat and leaks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleetctl.facility.cooling import Loop
from fleetctl.facility.picture import ZoneState
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class LoopRow:
    zone: ZoneState
    loop: Loop

    @property
    def state(self) -> str:
        """leak, no flow, too warm, unknown (it tells nothing of its loop), ok: the worst that holds."""
        loop, zone = self.loop, self.zone
        if loop.is_leaking:
            return "leak"
        if loop.flow_lpm is not None and zone.flow_min_lpm is not None and loop.flow_lpm < zone.flow_min_lpm:
            return "no flow"
        if loop.supply_c is not None and zone.supply_max_c is not None and loop.supply_c > zone.supply_max_c:
            return "too warm"
        return "unknown" if loop.at is None else "ok"

    @property
    def leak(self) -> str | None:
        leaking = self.loop.is_leaking
        return None if leaking is None else "leak" if leaking else "dry"


_WORST = ("leak", "no flow", "too warm", "unknown", "ok")


def _temp(value: float) -> str:
    return f"{value:.1f}C"  # a degree of coolant is a tenth of what a loop carries away


COLUMNS: tuple[Column[LoopRow], ...] = (
    Column("device", "cooler", lambda r: r.loop.device, width=16, doc="CDU, row cooler or chiller"),
    Column("state", "state", lambda r: r.state, width=8, role="state", doc="leak, no flow, too warm, unknown, ok"),
    Column("supply_c", "supply", lambda r: r.loop.supply_c, _temp, 6, right=True, doc="to the racks, C"),
    Column("return_c", "return", lambda r: r.loop.return_c, _temp, 6, right=True, doc="from the racks, C"),
    Column("flow_lpm", "flow", lambda r: r.loop.flow_lpm, lambda v: f"{v:.1f}", 7, right=True, doc="L/min"),
    Column("heat_kw", "heat", lambda r: r.loop.heat_kw, lambda v: f"{v:.1f} kW", 9, right=True, doc="taken away, kW"),
    Column("left_kw", "left", lambda r: r.zone.left_kw, lambda v: f"{v:.1f} kW", 9, right=True, doc="of the zone, kW"),
    Column("leak", "leak", lambda r: r.leak, width=5, role="state", doc="dry, leak; nothing where no detector speaks"),
    Column("at", "age", lambda r: r.loop.at, width=6, right=True, role="age", doc="age of the oldest value"),
    Column("zone", "zone", lambda r: r.zone.name, width=14, doc="cooling zone"),
    Column("site", "site", lambda r: r.zone.site or None, width=10, doc="site"),
    Column("heat_from", "heat from", lambda r: r.loop.heat_from or None, width=16, wide=True, doc="told or reckoned"),
)


def rows(zones: Iterable[ZoneState]) -> list[LoopRow]:
    """The worst first, then as fleet.toml names them."""
    found = [LoopRow(zone, loop) for zone in zones for loop in zone.loops]
    return sorted(found, key=lambda row: _WORST.index(row.state))


def table(zones: Iterable[ZoneState]) -> Table[LoopRow]:
    return Table("cooler", COLUMNS, rows(zones), lambda r: r.loop.device)
