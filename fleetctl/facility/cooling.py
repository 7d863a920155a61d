"""The cooling picture: supply, return, flow, heat removed and leaks of each zone, and what a zone has left. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleetctl.model.facility import Measurement, PointState

WATER_KJ_PER_L_K = 4.18  # water; 20 % glycol takes 4.1: within the error of a flow meter


@dataclass(frozen=True, slots=True)
class Loop:
    """What one cooler or CDU says now. None: it does not tell. at: the oldest value in it."""

    device: str
    supply_c: float | None = None
    return_c: float | None = None
    flow_lpm: float | None = None
    heat_kw: float | None = None
    heat_from: str = ""  # "device" or "flow x difference"
    leaks: tuple[PointState, ...] = ()
    at: float | None = None

    @property
    def is_leaking(self) -> bool | None:
        """None where no detector speaks: blind is never dry."""
        told = [leak.bad for leak in self.leaks if leak.bad is not None]
        return any(told) if told else None


@dataclass(frozen=True, slots=True)
class LoopReadings:
    """Which of a cooler's readings are its supply, return, flow and heat. None: it tells none."""

    supply: Measurement | None
    back: Measurement | None
    flow: Measurement | None
    heat: Measurement | None


def pick_readings(readings: Iterable[Measurement]) -> LoopReadings:
    """The secondary (rack) side where the device tells both, by the words in `where`."""
    every = list(readings)
    rows = [r for r in every if "primary" not in r.where.lower()] or every
    return LoopReadings(
        supply=_pick(rows, "temperature", ("supply", "outlet", "_out", " out")),
        back=_pick(rows, "temperature", ("return", "inlet", "_in", " in")),
        flow=_pick(rows, "flow", ()),
        heat=_pick(rows, "cooling_power", ()),
    )


def read_loop(device: str, readings: Iterable[Measurement], states: Iterable[PointState] = ()) -> Loop:
    """What the readings of one device come to."""
    picked = pick_readings(readings)
    supply, back, flow, heat = picked.supply, picked.back, picked.flow, picked.heat
    heat_kw = None if heat is None else heat.value / 1000 if heat.unit == "W" else heat.value
    source = "device" if heat_kw is not None else ""
    if heat_kw is None and flow and supply and back:
        heat_kw = flow.value / 60 * WATER_KJ_PER_L_K * (back.value - supply.value)
        source = "flow x difference"
    used = [r.as_of for r in (supply, back, flow, heat) if r is not None]
    return Loop(
        device=device,
        supply_c=supply.value if supply else None,
        return_c=back.value if back else None,
        flow_lpm=flow.value if flow else None,
        heat_kw=heat_kw,
        heat_from=source,
        leaks=tuple(s for s in states if s.what == "leak"),
        at=min(used) if used else None,
    )


def _pick(rows: Iterable[Measurement], quantity: str, words: tuple[str, ...]) -> Measurement | None:
    found = [r for r in rows if r.quantity == quantity]
    if not words:
        return found[0] if found else None
    liquid = [r for r in found if any(w in r.where.lower() for w in words)]
    # coolant and water before air: a CDU with a heat exchanger tells both
    liquid.sort(key=lambda r: 0 if any(w in r.where.lower() for w in ("cool", "water", "fluid", "secondary")) else 1)
    return liquid[0] if liquid else None


def zone_left_kw(loops: Iterable[Loop], capacity_kw: float | None) -> float | None:
    """What a zone could still take away; None as soon as one cooler is silent."""
    heats = [loop.heat_kw for loop in loops]
    if capacity_kw is None or not heats or any(h is None for h in heats):
        return None
    return capacity_kw - sum(h for h in heats if h is not None)
