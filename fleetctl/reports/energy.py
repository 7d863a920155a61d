"""Energy reports from the store: PUE, WUE, REF per site, hall or month."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from fleetctl.config.schema import Config, Meter
from fleetctl.facility.energy import EnergyReport, Series, energy_report
from fleetctl.facility.pue import Sample
from fleetctl.facility.quantity import canonical
from fleetctl.store.facility import list_endpoints, list_readings
from fleetctl.store.facility_history import SLOT_S, TOTAL, facility_series

DAY_S = 86_400.0
LEAST_COVERAGE = 0.5  # of a day, for its PUE to be drawn
UNUSABLE = ("incomplete", "implausible")


def load(
    conn: sqlite3.Connection, config: Config, since: float, until: float, *, by: str = "site"
) -> list[EnergyReport]:
    """One report per site or hall that has meters, and one for the fleet where there are several."""
    return load_windows(conn, config, [(since, until)], by=by)[0]


def load_windows(
    conn: sqlite3.Connection,
    config: Config,
    windows: Sequence[tuple[float, float]],
    *,
    by: str = "site",
    only: str = "",
) -> list[list[EnergyReport]]:
    """The reports of several windows, each (since, until). only: one site or hall, by name."""
    states = {s.name: s for s in list_endpoints(conn)}
    units: dict[str, dict[str, tuple[str, str]]] = {}
    for meter in config.facility.meters:
        state = states.get(meter.device)
        if state is not None and meter.device not in units:
            found = list_readings(conn, state.id).get(state.id, [])
            units[meter.device] = {r.source: (r.unit, r.where) for r in found if r.quantity == "energy"}

    def read(meter: Meter, since: float, until: float) -> Series:
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
    wanted = {name: meters for name, meters in sorted(groups.items()) if only in ("", name)}
    if len(groups) > 1 and not only:
        wanted[config.name] = list(config.facility.meters)
    return [
        [
            energy_report(name, meters, partial(read, since=since, until=until), since, until, SLOT_S)
            for name, meters in wanted.items()
        ]
        for since, until in windows
    ]


def _counter(meter: Meter, known: dict[str, tuple[str, str]]) -> str:
    """The source of the meter's counter: the named one, else import before export, whole Wh before float kWh."""
    if meter.counter:
        return next((s for s, (_, where) in known.items() if meter.counter in (s, where)), "")
    names = [s for s, (_, where) in known.items() if "export" not in where.lower()]
    names.sort(key=lambda s: 0 if known[s][0] == "Wh" else 1)
    return names[0] if names else ""


def pue_by_day(
    conn: sqlite3.Connection, config: Config, scope: str, until: float, days: int, *, by: str = "site"
) -> list[tuple[float, float | None]]:
    """(end of the day, PUE) of the last `days` whole days before now of one site or hall, oldest first.

    A day that was measured for less than half, or cannot be, has no figure. Days end at the hour of `until`.
    """
    last = until // 3600 * 3600
    windows = [(last - (n + 1) * DAY_S, last - n * DAY_S) for n in reversed(range(days))]
    out: list[tuple[float, float | None]] = []
    for (_since, end), reports in zip(windows, load_windows(conn, config, windows, by=by, only=scope), strict=True):
        good = bool(reports) and reports[0].coverage >= LEAST_COVERAGE and reports[0].flag not in UNUSABLE
        out.append((end, reports[0].pue if good else None))
    return out
