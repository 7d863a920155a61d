"""What holds for every test: no time limits inside property tests, an English console, no fleet of the person at the desk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no bug; the suite never asserts on time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLEETCTL_CONFIG", "FLEETCTL_LANG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


SHARED = Path(__file__).parents[2] / "shared"


def pytest_report_header() -> str:
    """Say what is left out, and where it is run."""
    if not SHARED.is_dir():
        return "the shared recordings and testbeds are not beside this checkout: conformance and peers are left out"
    return "" if os.geteuid() == 0 else "not root: the peers (OpenSSH hosts, Slurm, facility devices) are left out"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here at all, rather than skip it: a skip would look like a test."""

    def runs(item: pytest.Item) -> bool:
        if item.get_closest_marker("peers") is not None:
            return SHARED.is_dir() and os.geteuid() == 0
        return item.get_closest_marker("conformance") is None or SHARED.is_dir()

    left_out = [item for item in items if not runs(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if runs(item)]
