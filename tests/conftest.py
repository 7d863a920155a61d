"""What holds for every test: no time limits inside property tests, an English console, no fleet of the person at the desk."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no bug; the suite never asserts on time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLEETCTL_CONFIG", "FLEETCTL_LANG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
