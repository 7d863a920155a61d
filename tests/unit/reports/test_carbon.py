"""CUE is PUE times the factor of the grid; no grid, several grids or no PUE make none."""

import pytest

from fleetctl.config.schema import Config, Facility, Hall, Meter, Site
from fleetctl.facility.energy import EnergyReport
from fleetctl.reports.carbon import FACTOR_YEAR, Carbon, carbon_of


def report(scope: str, pue: float | None = 1.25) -> EnergyReport:
    return EnergyReport(scope, 0, 3600, 125.0, 100.0, pue, None, "PUE2", "busway", 1.0, "partial")


CONFIG = Config(
    name="pool",
    sites=(Site(name="lg", grid_region="East"), Site(name="gz", grid_region="South"), Site(name="x")),
    halls=(Hall(name="lg-a", site="lg"),),
    facility=Facility(
        meters=(
            Meter(name="m1", device="d", place="utility", site="lg"),
            Meter(name="m2", device="d", place="utility", site="gz"),
        )
    ),
)


@pytest.mark.parametrize("scope", ["lg", "lg-a"])
def test_a_site_and_its_hall_take_the_factor_of_their_grid(scope: str) -> None:
    found = carbon_of(report(scope), CONFIG)
    assert found.cue == pytest.approx(0.6875)
    assert found.basis == f"0.5500 East {FACTOR_YEAR}"


def test_a_fleet_on_several_grids_and_a_site_without_one_have_no_figure() -> None:
    assert carbon_of(report("pool"), CONFIG) == Carbon()
    assert carbon_of(report("x"), CONFIG) == Carbon()


def test_without_a_pue_only_the_basis_is_told() -> None:
    assert carbon_of(report("gz", None), CONFIG) == Carbon(None, f"0.4042 South {FACTOR_YEAR}")
