"""What the widgets decide without a screen: order, widths, rasters, levels; and how little an update sends."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fleetctl.model.states import Health
from fleetctl.tui.look import ASCII, BRAILLE, clean, fit, meter
from fleetctl.tui.screens.data_screen import sort_letters
from fleetctl.tui.widgets.arranged import Order, arrange
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.tui.widgets.heat_map import UNKNOWN, CardGrid, lay_cards
from fleetctl.tui.widgets.plot import Plot, Series, _newest, bounds, raster
from fleetctl.views import groups, nodes
from tests.fakes.fleet_source import FleetSource
from tests.tui.conftest import opened, press, settle, table_of


@given(st.text(max_size=40), st.integers(0, 30), st.booleans())
def test_a_cell_is_as_wide_as_its_column_whatever_is_in_it(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(clean(text), width, right)) == width


@given(st.text(max_size=40))
def test_no_text_can_move_the_cursor(text: str) -> None:
    assert not any(unicodedata.category(c).startswith("C") for c in clean(text))


@given(st.floats(-50, 200) | st.none(), st.integers(1, 20))
def test_a_meter_fills_its_width(value: float | None, width: int) -> None:
    assert len("".join(meter(value, width, BRAILLE))) == width


def test_signs_are_of_certain_width_and_ascii_is_ascii() -> None:
    for text in (getattr(BRAILLE, name) for name in BRAILLE.__slots__):
        assert all(unicodedata.east_asian_width(c) in ("N", "Na") for c in text)
    assert all(getattr(ASCII, name).isascii() for name in ASCII.__slots__)


@pytest.mark.parametrize("reverse", [False, True])
def test_unknown_stays_at_the_end_whichever_way_one_sorts(reverse: bool) -> None:
    table = FleetSource().nodes()
    temps = [row.temp_c for row in arrange(table, Order("temp_c", reverse)).rows]
    known = [t for t in temps if t is not None]
    assert known == sorted(known, reverse=reverse)
    assert None not in temps[: len(known)]
    assert len(known) < len(temps)


def test_health_sorts_worst_first_and_blind_before_warn() -> None:
    order = [row.health.value for row in arrange(FleetSource().nodes(), Order("health")).rows]
    assert list(dict.fromkeys(order)) == ["crit", "unknown", "warn", "ok"]


def test_every_column_has_a_letter_of_its_own() -> None:
    for columns in (nodes.COLUMNS[:20], groups.COLUMNS):
        assert len(sort_letters(columns)) == len(columns)


def test_groups_add_up_to_the_fleet() -> None:
    rows = FleetSource(hosts=300).rows
    for by in ("site", "rack", "chip", "state"):
        found = groups.group_nodes(rows, by)
        assert sum(g.totals.nodes for g in found) == 300
        assert sum(g.totals.health.get(Health.CRIT, 0) for g in found) == sum(r.health.value == "crit" for r in rows)
        assert sorted(n for g in found for n in g.members) == sorted(r.name for r in rows)
    unknown = replace(rows[0], util_pct=None, power_w=None, temp_c=None, cards=None, cards_found=None)
    (alone,) = groups.group_nodes([unknown], "site")
    shown = {c.name: c.value(alone) for c in groups.COLUMNS}
    assert all(shown[name] is None for name in ("util_pct", "power_w", "temp_c", "cards", "found"))


def grid(cards: list[int], values: list[float | None] | None = None) -> CardGrid:
    starts = [0]
    for count in cards:
        starts.append(starts[-1] + count)
    hosts = [(f"n{i}", f"r{i // 3}") for i in range(len(cards))]
    known = values if values is not None else [50.0] * starts[-1]
    return CardGrid("temp_c", "°C", hosts, starts, known, (10, 20, 30, 40, 50, 60, 70))


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(20, 220))
def test_every_card_stands_in_the_picture_once_and_none_overlap(cards: list[int], width: int) -> None:
    lines = lay_cards(grid(cards), width)
    seen: list[int] = []
    for line in lines:
        end = 0
        for x, start, count, _host in line.spans:
            assert x >= end
            end = x + count
            seen += range(start, start + count)
    assert sorted(seen) == list(range(sum(cards)))


def test_an_unknown_card_is_never_cold() -> None:
    one = grid([2], [None, 0.0])
    assert (one.level(0), one.level(1)) == (UNKNOWN, 0)


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.floats(-1e6, 1e6) | st.none()), max_size=60),
    st.integers(1, 60),
    st.integers(1, 9),
)
def test_a_plot_takes_any_points(points: list[tuple[int, float | None]], columns: int, lines: int) -> None:
    series = Series("x", "", sorted(points, key=lambda p: p[0]), 0.0, 1000.0)
    cells = raster(series.points, series.since, series.until, columns, lines, *bounds(series))
    assert [len(row) for row in cells] == [columns] * lines
    assert any(map(any, cells)) == any(v is not None for _at, v in points)


async def test_a_plot_tells_its_lines_apart_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCTL_SYMBOLS", "ascii")
    async with opened(size=(80, 24)) as (app, pilot):
        plot = Plot()
        await app.screen.mount(plot)
        wall = [(float(t), 5000.0) for t in range(0, 101, 10)]
        cards = [(float(t), 3000.0) for t in range(0, 101, 10)]
        plot.show(Series("power of cards", "W", cards, 0.0, 100.0, 0.0, None, 9000.0, wall, "at the wall"))
        await pilot.pause()
        lines = [plot.render_line(y).text for y in range(plot.size.height)]
    assert "power of cards  3000 W   at the wall 5000 W   limit at 9000" in lines[0]
    assert [mark for line in lines[1:-1] for mark in "-o*" if mark in line] == ["-", "o", "*"]


def test_a_plot_says_how_old_its_newest_value_is() -> None:
    assert _newest([(0.0, 12_345.0)], " W", 100.0) == "12.3 kW"
    assert _newest([(0.0, 7.5)], " C", 7200.0) == "7.5 C (2h old)"
    assert _newest([(0.0, 7.5), (10.0, None)], " C", 10.0) == "-"
    assert _newest([], " C", 10.0) == "-"


def test_a_gap_in_a_plot_stays_a_gap() -> None:
    points = [(float(t), 5.0) for t in range(0, 400, 10)] + [(float(t), 5.0) for t in range(700, 1001, 10)]
    cells = raster(points, 0.0, 1000.0, 100, 1, 0.0, 10.0)[0]
    assert all(cells[2:38])
    assert not any(cells[45:68])


async def test_an_update_sends_only_the_cells_that_changed() -> None:
    source = FleetSource()
    async with opened(source, size=(160, 30)) as (app, pilot):
        await press(app, pilot, "2")
        table = table_of(app, "#nodes")
        asked: list[int] = []
        plain = table.refresh

        def watch(*regions: object, **rest: object) -> FleetTable:
            asked.extend(r.width * r.height for r in regions or (table.size.region,))  # type: ignore[attr-defined]
            return plain(*regions, **rest)  # type: ignore[arg-type]

        table.refresh = watch  # type: ignore[method-assign, assignment]
        table.show(source.nodes(), now=source.now())
        assert asked == []
        row = source.rows[3]
        source.rows[3] = replace(row, temp_c=(row.temp_c or 0) + 1)
        table.show(source.nodes(), now=source.now())
        assert 0 < sum(asked) <= 12
        await settle(app, pilot)
        source.rows[150] = replace(source.rows[150], temp_c=1.0)  # not on the screen
        asked.clear()
        table.show(source.nodes(), now=source.now())
        assert asked == []


async def test_the_cursor_stays_on_its_node_when_rows_before_it_go() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "2", "down", "down", "down")
        table = table_of(app, "#nodes")
        assert table.key == "gpu004"
        del source.rows[0:2]
        table.show(source.nodes(), now=source.now())
        await settle(app, pilot)
        assert (table.key, table.cursor) == ("gpu004", 1)


async def test_lines_drawn_with_other_columns_are_drawn_again() -> None:
    source = FleetSource()
    async with opened(source) as (app, pilot):
        await press(app, pilot, "2")
        table = table_of(app, "#nodes")
        drawn = {y: (state, cells[:-1]) for y, (state, cells) in table._shown.items()}
        table._shown = drawn
        table._layout_of, table._laid = (), table._laid[:-1]  # as it was while a scroll bar took the room
        table.redraw()
        await settle(app, pilot)
        assert all(len(cells) == len(table._lay()) for _state, cells in table._shown.values())
