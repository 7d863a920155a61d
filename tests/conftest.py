"""What holds for every test: no time limits inside property tests, the same examples in every run, an English console, and
nothing of the person at the desk: no fleet, no SSH agent, no home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no bug; the suite never asserts on time. Every run tries the same examples, so that it tells whether
# the code has changed and not who was lucky; `pytest --hypothesis-profile explore` goes looking for new ones.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", _PATIENT, max_examples=1_000, print_blob=True)
settings.register_profile("suite", _PATIENT, derandomize=True, database=None)
settings.load_profile("suite")

_FOREIGN = ("FLEETCTL_", "LC_", "XDG_")
_FOREIGN_NAMES = {"LANGUAGE", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "SSH_AUTH_SOCK", "SUDO_USER"}


@pytest.fixture(scope="session")
def _empty_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, _empty_home: str) -> None:
    for name in [n for n in os.environ if n.startswith(_FOREIGN) or n in _FOREIGN_NAMES]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("HOME", _empty_home)


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
