"""The screens as pictures: a fixed fleet, a fixed clock, two sizes, two languages, with and without colour.

`pytest tests/tui/test_snapshots.py --snapshot-update` takes them again; look at every one that changed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fleetctl.i18n import set_language
from fleetctl.tui.app import Console
from fleetctl.tui.store_source import StoreSource
from tests.fakes import stored_fleet
from tests.fakes.fleet_source import FleetSource
from tests.tui.conftest import press, settle

SMALL, LARGE = (80, 24), (200, 50)
Compare = Callable[..., bool]


def pressing(*keys: str) -> Callable[[Pilot[Any]], Any]:
    async def run(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, Console)
        await settle(app, pilot)
        await press(app, pilot, *keys)
        for line in app.screen.query(Input):
            line.cursor_blink = False  # on a busy machine half a second passes between the last key and the picture
        await pilot.pause()

    return run


class FixedClock:
    """Five seconds after the last round, for ever."""

    def now(self) -> float:
        return stored_fleet.NOW + 5.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")


@pytest.mark.parametrize(
    ("name", "language", "size", "keys"),
    [
        ("overview", "en", SMALL, ()),
        ("overview", "zh", LARGE, ()),
        ("nodes sorted and marked", "en", LARGE, ("2", "o", "t", "space", "space")),
        ("nodes", "zh", SMALL, ("2",)),
        ("folded by rack", "en", SMALL, ("2", "f", "f")),
        ("node", "en", LARGE, ("enter",)),
        ("node", "zh", SMALL, ("enter",)),
        ("cards", "en", LARGE, ("3",)),
        ("queue", "en", SMALL, ("4",)),
        ("plans", "en", SMALL, ("5",)),
        ("events", "zh", LARGE, ("6",)),
        ("drain sheet", "en", SMALL, ("2", "/", "=health=crit", "enter", "d")),
        ("help", "zh", SMALL, ("2", "?")),
        ("palette", "en", SMALL, ("ctrl+p",)),
        ("power", "en", LARGE, ("7",)),
        ("racks", "en", SMALL, ("7", "w")),
        ("power of a site", "zh", SMALL, ("7", "p")),
        ("nodes of a rack", "zh", LARGE, ("7", "enter", "down", "enter")),
        ("cooling", "zh", LARGE, ("8",)),
        ("cooler", "en", SMALL, ("8", "p")),
        ("maintenance window", "zh", SMALL, ("2", "m", "=maint: x", "down", "=22:00")),
        ("cards sheet", "en", SMALL, (":", "=gpu098", "enter", "space", "d")),
    ],
)
def test_screen(snap_compare: Compare, name: str, language: str, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    set_language(language)
    assert snap_compare(Console(FleetSource(), watch=False), terminal_size=size, run_before=pressing(*keys))


@pytest.mark.parametrize("keys", [("1",), ("2", "space"), ("3",), ("7", "w"), ("8", "p")])
def test_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Console(FleetSource(), watch=False)
    assert snap_compare(app, terminal_size=SMALL, run_before=pressing(*keys))


@pytest.mark.parametrize("keys", [("1",), ("2", "space"), ("7", "p"), ("8",)])
def test_in_sixteen_colours_and_ascii(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    monkeypatch.delenv("COLORTERM")
    monkeypatch.setenv("TERM", "linux")
    monkeypatch.setenv("FLEETCTL_SYMBOLS", "ascii")
    app = Console(FleetSource(), watch=False)
    assert snap_compare(app, terminal_size=SMALL, run_before=pressing(*keys))


@pytest.mark.parametrize(
    ("size", "keys"), [(SMALL, ()), (LARGE, ("2",)), (LARGE, (":", "=gpu003", "enter")), (SMALL, ("3",))]
)
def test_on_a_real_store(snap_compare: Compare, tmp_path: Path, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    config, inventory = stored_fleet.fill(tmp_path / "fleet.db")
    source = StoreSource(config, inventory, clock=FixedClock())
    app = Console(source, watch=False)
    assert snap_compare(app, terminal_size=size, run_before=pressing(*keys))
    source.close()
