"""Power and cooling on screen: worst first, unknown is a dash, a leak is seen without a key more."""

from __future__ import annotations

from fleetctl.tui.screens.nodes import NodesScreen
from fleetctl.tui.screens.text import TextScreen
from tests.tui.conftest import opened, press, text_of


async def test_power_shows_budgets_and_what_is_not_measured() -> None:
    async with opened(size=(120, 30)) as (app, pilot):
        await press(app, pilot, "7")
        text = text_of(app)
    assert "li-r002" in text
    assert "1 over budget" in text
    assert "1 not measured" in text
    assert "??????????" in text


async def test_enter_goes_from_a_rack_to_its_nodes() -> None:
    async with opened(size=(120, 30)) as (app, pilot):
        await press(app, pilot, "7", "enter")
        assert isinstance(app.screen, NodesScreen)
        assert len(app.screen.table.view.rows) == 8


async def test_what_the_loss_of_a_feed_does() -> None:
    async with opened(size=(120, 30)) as (app, pilot):
        await press(app, pilot, "7", "f")
        assert isinstance(app.screen, TextScreen)


async def test_a_leak_stands_at_the_top_of_cooling() -> None:
    async with opened(size=(120, 30)) as (app, pilot):
        await press(app, pilot, "8")
        text = text_of(app)
    assert "LEAK: cdu-2" in text
    assert "61.4" in text
    assert "1 silent" in text
