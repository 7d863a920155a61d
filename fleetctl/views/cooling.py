"""Cooling: one row per cooler of a zone, with supply, return, flow, heat and leaks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleetctl.facility.cooling import Loop
from fleetctl.facility.picture import ZoneState
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_temp


@dataclass(frozen=True, slots=True)
class LoopRow:
    zone: ZoneState
    loop: Loop

    @property
    def leak(self) -> str | None:
        leaking = self.loop.is_leaking
        return None if leaking is None else "LEAK" if leaking else "dry"


COLUMNS: tuple[Column[LoopRow], ...] = (
    Column("zone", "zone", lambda r: r.zone.name, width=14, doc="cooling zone"),
    Column("site", "site", lambda r: r.zone.site or None, width=10, doc="site"),
    Column("device", "cooler", lambda r: r.loop.device, width=16, doc="CDU, row cooler or chiller"),
    Column("supply_c", "supply", lambda r: r.loop.supply_c, show_temp, 7, right=True, doc="to the racks, C"),
    Column("return_c", "return", lambda r: r.loop.return_c, show_temp, 7, right=True, doc="from the racks, C"),
    Column("flow_lpm", "flow", lambda r: r.loop.flow_lpm, lambda v: f"{v:.1f}", 7, right=True, doc="L/min"),
    Column("heat_kw", "heat", lambda r: r.loop.heat_kw, lambda v: f"{v:.1f} kW", 9, right=True, doc="taken away, kW"),
    Column("left_kw", "left", lambda r: r.zone.left_kw, lambda v: f"{v:.1f} kW", 9, right=True, doc="of the zone, kW"),
    Column("leak", "leak", lambda r: r.leak, width=5, doc="dry, LEAK; nothing where no detector speaks"),
    Column("at", "age", lambda r: r.loop.at, width=6, right=True, role="age", doc="age of the oldest value"),
    Column("heat_from", "heat from", lambda r: r.loop.heat_from or None, width=16, wide=True, doc="told or reckoned"),
)


def rows(zones: Iterable[ZoneState]) -> list[LoopRow]:
    return [LoopRow(zone, loop) for zone in zones for loop in zone.loops]


def table(zones: Iterable[ZoneState]) -> Table[LoopRow]:
    return Table("cooler", COLUMNS, rows(zones), lambda r: r.loop.device)
