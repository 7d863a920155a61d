"""Energy reports from the store: PUE, WUE, REF per site, hall or month."""

from __future__ import annotations

import sqlite3

from fleetctl.config.schema import Config, Meter
from fleetctl.facility.energy import EnergyReport, Series, energy_report
from fleetctl.facility.pue import Sample
from fleetctl.facility.quantity import canonical
from fleetctl.store.facility import SLOT_S, TOTAL, facility_series, list_endpoints, list_readings


def load(
    conn: sqlite3.Connection, config: Config, since: float, until: float, *, by: str = "site"
) -> list[EnergyReport]:
    """One report per site or hall that has meters, and one for the fleet where there are several."""
    states = {s.name: s for s in list_endpoints(conn)}
    units: dict[str, dict[str, tuple[str, str]]] = {}
    for meter in config.facility.meters:
        state = states.get(meter.device)
        if state is not None and meter.device not in units:
            found = list_readings(conn, state.id).get(state.id, [])
            units[meter.device] = {r.source: (r.unit, r.where) for r in found if r.quantity == "energy"}

    def read(meter: Meter) -> Series:
        counter: list[Sample] = []
        source = _counter(meter, units.get(meter.device, {}))
        if source:
            unit = units[meter.device][source][0]
            counter = [
                (at, None if value is None else canonical(value, unit)[0])
                for at, value in facility_series(conn, meter.device, source, since - SLOT_S, until + SLOT_S)
            ]
        return counter, facility_series(conn, meter.device, TOTAL, since, until)

    groups: dict[str, list[Meter]] = {}
    for meter in config.facility.meters:
        groups.setdefault((meter.hall if by == "hall" else meter.site) or "-", []).append(meter)
    out = [energy_report(name, meters, read, since, until, SLOT_S) for name, meters in sorted(groups.items())]
    if len(groups) > 1:
        out.append(energy_report(config.name, config.facility.meters, read, since, until, SLOT_S))
    return out


def _counter(meter: Meter, known: dict[str, tuple[str, str]]) -> str:
    """The source of the meter's counter: the named one, else import before export, whole Wh before float kWh."""
    if meter.counter:
        return next((s for s, (_, where) in known.items() if meter.counter in (s, where)), "")
    names = [s for s, (_, where) in known.items() if "export" not in where.lower()]
    names.sort(key=lambda s: 0 if known[s][0] == "Wh" else 1)
    return names[0] if names else ""
