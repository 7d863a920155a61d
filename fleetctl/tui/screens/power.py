"""Racks and feeds against their budgets, worst first; Enter goes on to the rack's nodes."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import DataScreen
from fleetctl.tui.source import PowerView
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.views.units import show_watts


class PowerScreen(DataScreen):
    MODE: ClassVar[str] = "power"
    AUTO_FOCUS = "#power-racks"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "fails", "feed fails")]

    def body(self) -> ComposeResult:
        with Vertical(id="power-racks-box"):
            yield RunLine(id="power-racks-title", classes="heading")
            yield FleetTable(id="power-racks", empty="no rack in fleet.toml")
        with Vertical(id="power-feeds-box"):
            yield RunLine(id="power-feeds-title", classes="heading")
            yield FleetTable(id="power-feeds", empty="no feed in fleet.toml")

    def load(self) -> PowerView:
        return self.source.power()

    def show(self, data: PowerView) -> None:
        now = self.source.now()
        self.query_one("#power-racks", FleetTable).show(data.racks, now=now)
        self.query_one("#power-feeds", FleetTable).show(data.feeds, now=now)
        known = [r.draw.value for r in data.racks.rows if r.draw.value is not None]
        silent = len(data.racks.rows) - len(known)
        runs: list[Run] = [
            (f" {_('Racks')} ", "strong"),
            (f"{len(data.racks.rows)} ", "muted"),
            (f" {show_watts(sum(known))} " if known else " - ", "plain"),
        ]
        if silent:
            runs.append((f" {silent} {_('not measured')} ", "blind"))
        over = sum(1 for r in data.racks.rows if r.left_w is not None and r.left_w < 0)
        if over:
            runs.append((f" {over} {_('over budget')} ", "crit"))
        self.query_one("#power-racks-title", RunLine).show(runs)
        self.query_one("#power-feeds-title", RunLine).show(
            [(f" {_('Feeds')} ", "strong"), (f"{len(data.feeds.rows)} ", "muted")]
        )

    def on_fleet_table_chosen(self, event: FleetTable.Chosen) -> None:
        table = self.sortable()
        if table is not None and table.id == "power-racks" and table.key:
            self.home.jump(table.key)

    def action_fails(self) -> None:
        """What the loss of the feed under the cursor would do."""
        from fleetctl.tui.screens.text import TextScreen

        feeds = self.query_one("#power-feeds", FleetTable)
        if feeds.key is None:
            self.say(_("no feed in fleet.toml"))
            return
        lines = self.source.feed_fails(feeds.key)
        self.app.push_screen(TextScreen(f"{feeds.key} {_('fails')}", [[(text, tone)] for text, tone in lines]))
