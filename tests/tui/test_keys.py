"""The keys of DOMAIN.md section 10, pressed, and what they lead to."""

from __future__ import annotations

from dataclasses import replace

from fleetctl.model.states import Admin
from fleetctl.tui.screens.act import ActScreen
from fleetctl.tui.screens.node import NodeScreen
from fleetctl.tui.screens.nodes import NodesScreen
from fleetctl.tui.screens.text import TextScreen
from fleetctl.tui.source import PlansView
from fleetctl.tui.widgets.bars import RunLine
from tests.fakes.fleet_source import FleetSource
from tests.tui.conftest import opened, press, settle, table_of, text_of


async def test_the_whole_fleet_at_a_glance_without_a_key() -> None:
    async with opened() as (app, _pilot):
        text = text_of(app)
    assert "200 nodes" in text
    assert "1,589 / 1,600 cards" in text
    assert "lingang" in text
    assert "✗ crit" in text
    assert "Xid 79" in text
    assert "data 12s" in text


async def test_enter_goes_in_and_escape_comes_out() -> None:
    async with opened() as (app, pilot):
        await press(app, pilot, "enter")
        assert isinstance(app.screen, NodeScreen)
        assert app.screen.node == "gpu098"
        await press(app, pilot, "escape")
        assert app.current_mode == "overview"
        assert not isinstance(app.screen, NodeScreen)


async def test_a_node_is_found_with_eight_keys() -> None:
    async with opened() as (app, pilot):
        await press(app, pilot, ":", "=gpu042", "enter")
        assert isinstance(app.screen, NodeScreen)
        assert app.screen.node == "gpu042"


async def test_jump_takes_racks_sites_node_sets_and_says_what_it_does_not_know() -> None:
    async with opened() as (app, pilot):
        for text, count in (("li-r003", 8), ("qingpu", 40), ("gpu[001-020]", 20)):
            await press(app, pilot, ":", f"={text}", "enter")
            assert isinstance(app.screen, NodesScreen)
            assert len(app.screen.table.view.rows) == count
        await press(app, pilot, ":", "=gpu999", "enter")
        assert "no node named gpu999" in app.screen.query_one("#status", RunLine).text


async def test_filter_narrows_while_typing_and_escape_steps_back() -> None:
    async with opened() as (app, pilot):
        await press(app, pilot, "2", "/", "=state=drain*", "enter")
        screen = app.screen
        assert isinstance(screen, NodesScreen)
        assert [r.admin for r in screen.table.view.rows] == [Admin.DRAINING]
        assert screen.table.has_focus
        await press(app, pilot, "escape")
        assert len(screen.table.view.rows) == 200


async def test_a_filter_that_is_none_says_so_and_keeps_the_rows() -> None:
    async with opened() as (app, pilot):
        await press(app, pilot, "2", "/", "=nosuch=1", "enter")
        screen = app.screen
        assert isinstance(screen, NodesScreen)
        assert len(screen.table.view.rows) == 200
        assert "nosuch" in screen.query_one("#status", RunLine).text


async def test_sort_by_letter_largest_first_and_again_turns_round() -> None:
    async with opened() as (app, pilot):
        await press(app, pilot, "2", "o", "t")
        table = table_of(app, "#nodes")
        temps = [r.temp_c for r in table.view.rows if r.temp_c is not None]
        assert temps == sorted(temps, reverse=True)
        assert table.view.rows[-1].temp_c is None
        await press(app, pilot, "o", "t")
        temps = [r.temp_c for r in table.view.rows if r.temp_c is not None]
        assert temps == sorted(temps)
        assert table.view.rows[-1].temp_c is None


async def test_fold_by_rack_and_open_one() -> None:
    async with opened() as (app, pilot):
        await press(app, pilot, "2", "f", "f")
        table = table_of(app, "#nodes")
        assert len(table.view.rows) == 25
        await press(app, pilot, "down", "enter")
        assert [r.rack for r in table.view.rows] == ["li-r002"] * 8
        await press(app, pilot, "escape")
        assert len(table.view.rows) == 25


async def test_marks_stay_with_their_nodes_through_sort_filter_and_update() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "2", "space", "down", "space")
        table = table_of(app, "#nodes")
        assert table.marks == {"gpu001", "gpu003"}
        here = table.key
        await press(app, pilot, "o", "t")
        assert table.key == here
        source.change(1.0)
        app.screen.reload()  # type: ignore[attr-defined]
        await settle(app, pilot)
        assert table.marks == {"gpu001", "gpu003"}
        assert table.key == here


async def test_drain_of_a_broken_node_takes_three_keys() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, ":", "=gpu098", "enter")
        await press(app, pilot, "d", "enter")
        assert not source.done
        await press(app, pilot, "enter")
        assert source.done[0].token == ("drain", ("gpu098",), "hw: Xid 79: card 3 has fallen off the bus")
        assert "draining" in text_of(app)


async def test_drain_without_a_reason_is_refused() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "2", "d", "enter", "enter")
        assert isinstance(app.screen, ActScreen)
        assert app.screen.step == "reason"
        assert not source.done
        assert "type the reason" in text_of(app)
        assert "not possible" not in text_of(app), "nothing was typed yet: that is no mistake"


async def test_tab_goes_through_the_ways_to_treat_running_work() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "2", "d", "tab", "tab", "tab", "tab")
        assert "running work is ended now" in text_of(app)
        assert source.asked[-1] == ("drain", "now")
        await press(app, pilot, "tab")
        assert "running work ends by itself" in text_of(app)


async def test_a_window_in_the_future_and_single_cards_are_typed_in_the_sheet() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "2", "m", "=maint: new switch", "down", "=22:00", "down", "=4h")
        assert isinstance(app.screen, ActScreen)
        app.screen._plan()
        await settle(app, pilot)
        assert source.asked[-1] == ("maint", "wait")
        assert source.more == {"begin": "22:00", "until": "4h"}
        await press(app, pilot, "enter")
        assert app.screen.step == "confirm"
        await press(app, pilot, "escape", "end", "=, rack by rack", "enter")
        app.screen._plan()
        await settle(app, pilot)
        await press(app, pilot, "enter", "enter")
        assert source.done[0].token[2] == "maint: new switch, rack by rack"


async def test_cards_that_are_marked_are_drained_and_no_others() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, ":", "=gpu098", "enter", "down", "space", "space", "d")
        assert source.more == {"cards": "1,2"}
        await press(app, pilot, "enter", "enter")
        assert source.done[0].verb == "drain"


async def test_a_plan_is_taken_back_by_a_key() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "5", "u", "enter", "enter")
        assert source.done[0].verb == "undo"


async def test_many_nodes_need_their_number_typed() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, ":", "=qingpu", "enter")
        await press(app, pilot, "A", "d", "=maint: new switch")
        assert isinstance(app.screen, ActScreen)
        app.screen._plan()
        await settle(app, pilot)
        await press(app, pilot, "enter", "=39", "enter")
        assert not source.done
        await press(app, pilot, "backspace", "backspace", "=40", "enter")
        assert len(source.done) == 1
        assert source.done[0].count == 40


async def test_a_rack_is_drained_with_the_keys_a_manager_has() -> None:
    """From the worst node of the overview: 2, M, d, reason, Enter, Enter."""
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "2", "M", "d", "=maint: x", "enter")
        assert isinstance(app.screen, ActScreen)
        app.screen._plan()
        await settle(app, pilot)
        await press(app, pilot, "enter", "enter")
        assert source.done[0].count == 8


async def test_resume_acknowledge_copy_record_and_help() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "2", "a")
        assert source.acked == ["gpu001"]
        await press(app, pilot, "r", "enter", "enter")
        assert source.done[0].verb == "resume"
        await press(app, pilot, "escape", "c")
        assert app.clipboard == "gpu001"
        await press(app, pilot, "y")
        assert isinstance(app.screen, TextScreen)
        assert '"noun": "node"' in text_of(app)
        await press(app, pilot, "escape", "?")
        text = text_of(app)
        assert "Space" in text
        assert "fold" in text


async def test_heat_map_moves_and_opens_the_node_under_the_cursor() -> None:
    async with opened() as (app, pilot):
        await press(app, pilot, "3", "down", "right", "m")
        assert "gpu008 card 1" in app.screen.query_one("#status", RunLine).text
        await press(app, pilot, "enter")
        assert isinstance(app.screen, NodeScreen)
        assert app.screen.node == "gpu008"


async def test_panes_of_a_node_one_at_a_time_on_a_small_screen() -> None:
    async with opened() as (app, pilot):
        await press(app, pilot, "enter", "tab", "tab")
        assert "Xid 79: card 3" in text_of(app)
        assert app.screen.query_one("#pane-events").display
        assert not app.screen.query_one("#pane-history").display


async def test_other_screens_show_their_lists() -> None:
    async with opened() as (app, pilot):
        for key, words in (("4", "tenant orion"), ("5", "Nodes of plan p-drain003"), ("6", "Xid 79")):
            await press(app, pilot, key)
            assert words in text_of(app)


async def test_speaks_chinese_at_once() -> None:
    async with opened() as (app, pilot):
        app.speak("zh")
        await settle(app, pilot)
        text = text_of(app)
        assert "严重" in text
        assert "实时" in text


async def test_quit() -> None:
    async with opened() as (app, pilot):
        await pilot.press("q")
        await pilot.pause()
        assert app.return_code == 0


async def test_without_a_plan_nothing_seems_to_be_on_its_way() -> None:
    class Idle(FleetSource):
        def plans(self) -> PlansView:
            view = super().plans()
            return replace(view, plans=replace(view.plans, rows=[]))

    async with opened(Idle()) as (app, pilot):
        await press(app, pilot, "5")
        assert "no plan yet" in text_of(app)
        assert "reading the store" not in text_of(app)
