"""Power and cooling on screen: from sites to nodes, worst first, unknown is a dash, curves of what is under the cursor."""

from __future__ import annotations

import pytest

from fleetctl.tui.screens.node import NodeScreen
from fleetctl.tui.screens.power import PowerScreen
from fleetctl.tui.screens.text import TextScreen
from fleetctl.tui.widgets.plots import Plots
from tests.tui.conftest import opened, press, table_of, text_of


async def test_power_shows_budgets_and_what_is_not_measured() -> None:
    async with opened(size=(120, 30)) as (app, pilot):
        await press(app, pilot, "7")
        text = text_of(app)
    assert "lingang" in text
    assert ">=116kW" in text  # a rack is silent: at least
    assert "1 over budget" in text
    assert "1 not measured" in text


async def test_hot_spots_in_two_keys_worst_first() -> None:
    async with opened(size=(120, 30)) as (app, pilot):
        await press(app, pilot, "7", "w")
        assert table_of(app, "#power-places").view.keys == ["li-r002", "li-r001", "qi-r001", "li-r003"]
        assert "103%" in text_of(app)


async def test_in_to_a_node_and_out_again_to_where_one_was() -> None:
    async with opened(size=(120, 30)) as (app, pilot):
        await press(app, pilot, "7", "enter")  # a site of one hall goes on to its racks
        assert table_of(app, "#power-places").noun == "rack"
        await press(app, pilot, "down", "enter")
        assert "Power / lingang / li-r001 / Nodes 8" in text_of(app)
        await press(app, pilot, "enter")
        assert isinstance(app.screen, NodeScreen)
        await press(app, pilot, "escape", "escape")
        assert isinstance(app.screen, PowerScreen)
        assert table_of(app, "#power-places").key == "li-r001"
        await press(app, pilot, "backspace")
        assert table_of(app, "#power-places").key == "lingang"
        await press(app, pilot, "escape")
        assert isinstance(app.screen, PowerScreen)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_curves_of_the_row_under_the_cursor(size: tuple[int, int]) -> None:
    roomy = size[0] > 132
    async with opened(size=size) as (app, pilot):
        await press(app, pilot, "7")
        assert ("PUE by day" in text_of(app)) == roomy
        await press(app, pilot, "p")
        text = text_of(app)
        assert "limit at 44" in text
        assert "lingang  history 24h" in text
        assert "breaker" not in text
        await press(app, pilot, "t")
        assert "history 7d" in text_of(app)
        if not roomy:
            await press(app, pilot, "p")
            assert "PUE by day  1.2" in text_of(app)
        await press(app, pilot, "p")
        assert "breaker" in text_of(app)
        await press(app, pilot, "tab")
        assert ("B  history 7d" in text_of(app)) == roomy  # a feed: the fullest stands first


async def test_a_source_that_fails_leaves_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    from fleetctl.errors import StoreError

    async with opened(size=(200, 50)) as (app, pilot):

        def broken(*_args: object) -> None:
            raise StoreError("the store is not there")

        monkeypatch.setattr(app.source, "power_plots", broken)
        await press(app, pilot, "7")
        assert app.screen.query_one(Plots).count == 0
        assert "lingang" in text_of(app)


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
        assert table_of(app, "#coolers").key == "cdu-2"
        await press(app, pilot, "p")
        assert "supply  -   return 4" in text_of(app)  # the last supply is unknown: a dash
        await press(app, pilot, "p", "p", "tab", "enter")
        assert isinstance(app.screen, NodeScreen)  # the BMC's node
