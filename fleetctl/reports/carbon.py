"""Carbon per kWh of IT: PUE times the dated average factor of the grid a site hangs on (location-based, all-electric)."""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.config.schema import Config
from fleetctl.facility.energy import EnergyReport
from fleetctl.facility.pue import cue

FACTOR_YEAR = 2023
# kg CO2 per kWh of grid power. Source: average factors of China's regional grids for 2023, Ministry of Ecology and
# Environment with the National Bureau of Statistics.
FACTORS = {
    "North": 0.6361,
    "Northeast": 0.5122,
    "East": 0.5500,
    "Central": 0.5271,
    "Northwest": 0.5543,
    "South": 0.4042,
    "Southwest": 0.2472,
}


@dataclass(frozen=True, slots=True)
class Carbon:
    """cue: kg CO2 per kWh of IT, None without a PUE or a grid; basis: factor, grid and year it was made with."""

    cue: float | None = None
    basis: str | None = None


def carbon_of(report: EnergyReport, config: Config) -> Carbon:
    """Of one row of an energy report: a site, a hall, or the fleet where all its meters hang on one grid."""
    site_of = {hall.name: hall.site for hall in config.halls} | {site.name: site.name for site in config.sites}
    if report.scope in site_of:
        names = {site_of[report.scope]}
    else:
        names = {meter.site or site_of.get(meter.hall, "") for meter in config.facility.meters}
    grids = {site.name: site.grid_region for site in config.sites}
    regions = {grids.get(name, "") for name in names}
    region = regions.pop() if len(regions) == 1 else ""
    if region not in FACTORS:
        return Carbon()
    factor = FACTORS[region]
    return Carbon(cue(report.pue, factor), f"{factor:.4f} {region} {FACTOR_YEAR}")
