"""Power against budgets: sites, their halls, racks and nodes, worst first, the feeds that carry them, and the last hours
of whatever stands under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical

from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import pick
from fleetctl.tui.screens.plotted import PlottedScreen
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.tui.widgets.plot import Series
from fleetctl.tui.widgets.plots import Plots
from fleetctl.views.power import FEED_COLUMNS
from fleetctl.views.power_places import PowerPlace, PowerView
from fleetctl.views.units import show_watts

FEED_NAMES = "feed load_pct power_w limit_w left_w at racks source"
LEVEL_TITLES = {"site": "Sites", "hall": "Halls", "rack": "Racks", "node": "Nodes"}


class PowerScreen(PlottedScreen):
    """Enter goes in, Esc out, `w` to the worst racks of all. Where room is short, `p` changes feeds for the plots."""

    MODE: ClassVar[str] = "power"
    AUTO_FOCUS = "#power-places"
    TABLES: ClassVar[tuple[str, str]] = ("power-places", "power-feeds")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "worst", "worst racks"),
        Binding("f", "fails", "feed fails"),
        Binding("escape", "out", "back", show=False),
        Binding("backspace", "out", "back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.place: PowerPlace | None = None  # None: wherever the fleet begins to differ
        self._from = ""  # what we came out of: the cursor goes back there

    def body(self) -> ComposeResult:
        with Vertical(id="power-places-box"):
            yield RunLine(id="power-places-title", classes="heading")
            yield FleetTable(id="power-places", empty="no rack in fleet.toml")
        with Container(id="power-below", classes="below"):
            with Vertical(id="power-feeds-box", classes="beside"):
                yield RunLine(id="power-feeds-title", classes="heading")
                yield FleetTable(pick(FEED_COLUMNS, FEED_NAMES), id="power-feeds", empty="no feed in fleet.toml")
            yield Plots(2, id="power-plots", classes="plots")

    def load(self) -> PowerView:
        return self.source.power(self.place)

    def show(self, data: PowerView) -> None:
        if self.place is not None and data.place.within != self.place.within:
            return  # a key was faster; what it asked for is being loaded
        now = self.source.now()
        self.place = data.place
        places = self.query_one("#power-places", FleetTable)
        places.show(data.places, now=now)
        if self._from and places.go_to(self._from):
            self._from = ""
        self.query_one("#power-feeds", FleetTable).show(data.feeds, now=now)
        runs: list[Run] = [(f" {_('Power')} ", "strong")]
        runs += [(f"/ {name} ", "accent") for _kind, name in data.place.within]
        runs.append((f"/ {_(LEVEL_TITLES[data.place.level])} {len(data.places.rows)} ", "muted"))
        least = "" if data.draw.is_complete else ">="
        runs.append((f"  {least}{show_watts(data.draw.value)} " if data.draw.value is not None else "  - ", "strong"))
        if data.over:
            runs.append((f"  {self._mark()} {data.over} {_('over budget')} ", "crit"))
        if data.silent:
            runs.append((f"  {data.silent} {_('not measured')} ", "blind"))
        if data.stranded_w:
            runs.append((f"  {show_watts(data.stranded_w)} {_('stranded')} ", "muted"))
        self.query_one("#power-places-title", RunLine).show(runs)
        self.query_one("#power-feeds-title", RunLine).show(
            [(f" {_('Feeds')} ", "strong"), (f"{len(data.feeds.rows)} ", "muted")]
        )
        self.share_room(len(data.places.rows))
        self.draw()

    def _mark(self) -> str:
        return self.query_one("#power-places", FleetTable).glyphs.crit

    def series(self, kind: str, name: str, hours: float) -> Sequence[Series]:
        return self.source.power_plots(kind, name, hours)

    # Keys

    def go(self, place: PowerPlace, came_from: str = "") -> None:
        """Show another level."""
        self.place, self._from = place, came_from
        self.query_one("#power-places", FleetTable).focus()
        self.reload()

    def on_fleet_table_chosen(self, event: FleetTable.Chosen) -> None:
        if event.table.id == "power-feeds":
            self.action_fails()
        elif event.table.noun == "node":
            self.home.open_node(event.key)
        elif self.place is not None:
            self.go(self.place.inside(event.table.noun, event.key))

    def action_out(self) -> None:
        outside = self.place.outside() if self.place is not None else None
        if outside is None or self.place is None:
            super().action_out()
        else:
            self.go(outside, self.place.within[-1][1] if self.place.within else "")

    def action_worst(self) -> None:
        """All racks of the fleet, the fullest first."""
        self.go(PowerPlace("rack"))

    def action_fails(self) -> None:
        """What the loss of the feed under the cursor would do."""
        from fleetctl.tui.screens.text import TextScreen

        feeds = self.query_one("#power-feeds", FleetTable)
        if feeds.key is None:
            self.say(_("no feed in fleet.toml"))
            return
        lines = self.source.feed_fails(feeds.key)
        self.app.push_screen(TextScreen(f"{feeds.key} {_('fails')}", [[(text, tone)] for text, tone in lines]))
