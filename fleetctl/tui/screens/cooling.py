"""Coolers of every zone, worst first, every endpoint of power and cooling with how fresh it is, and what they did lately."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from fleetctl.i18n import _
from fleetctl.tui.look import clean
from fleetctl.tui.screens.plotted import PlottedScreen
from fleetctl.tui.source import CoolingView
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.tui.widgets.plot import Series
from fleetctl.tui.widgets.plots import Plots

NAMED = 3  # coolers named in the heading; the table has them all at its top


class CoolingScreen(PlottedScreen):
    """Where room is short, `p` changes the endpoints for the plots of the row under the cursor."""

    MODE: ClassVar[str] = "cooling"
    AUTO_FOCUS = "#coolers"
    TABLES: ClassVar[tuple[str, str]] = ("coolers", "endpoints")

    def body(self) -> ComposeResult:
        with Vertical(id="coolers-box"):
            yield RunLine(id="coolers-title", classes="heading")
            yield FleetTable(id="coolers", empty="no cooling zone in fleet.toml")
        with Container(id="cooling-below", classes="below"):
            with Vertical(id="endpoints-box", classes="beside"):
                yield RunLine(id="endpoints-title", classes="heading")
                yield FleetTable(id="endpoints", empty="no endpoint in fleet.toml")
            yield Plots(3, id="cooling-plots", classes="plots")

    def load(self) -> CoolingView:
        return self.source.cooling()

    def show(self, data: CoolingView) -> None:
        now = self.source.now()
        coolers = self.query_one("#coolers", FleetTable)
        coolers.show(data.coolers, now=now)
        self.query_one("#endpoints", FleetTable).show(data.endpoints, now=now)
        runs: list[Run] = [(f" {_('Cooling')} ", "strong"), (f"{len(data.coolers.rows)} ", "muted")]
        for state, title, tone in (("leak", _("LEAK"), "crit"), ("no flow", _("NO FLOW"), "crit")):
            names = [r.loop.device for r in data.coolers.rows if r.state == state]
            if names:
                more = f" +{len(names) - NAMED}" if len(names) > NAMED else ""
                runs.append((f" {coolers.glyphs.crit} {title}: {', '.join(names[:NAMED])}{more} ", tone))
        self.query_one("#coolers-title", RunLine).show(runs)
        silent = sum(1 for r in data.endpoints.rows if r.state == "silent")
        runs = [(f" {_('Endpoints')} ", "strong"), (f"{len(data.endpoints.rows)} ", "muted")]
        if silent:
            runs.append((f" {silent} {_('silent')} ", "warn"))
        self.query_one("#endpoints-title", RunLine).show(runs)
        self.share_room(len(data.coolers.rows))
        self.draw()

    def series(self, kind: str, name: str, hours: float) -> Sequence[Series]:
        return self.source.cooling_plots(kind, name, hours)

    def status(self) -> tuple[list[Run], list[Run]]:
        left, right = super().status()
        row = self.query_one("#endpoints", FleetTable).row
        if self.focused is self.query_one("#endpoints") and row is not None and row.trouble:
            left = [(f" {row.name} ", "strong"), (clean(row.trouble), "warn")]
        return left, right

    def on_fleet_table_chosen(self, event: FleetTable.Chosen) -> None:
        """The node of a BMC; of anything else, all it says."""
        if event.table.id == "endpoints" and event.row.host:
            self.home.open_node(event.row.host)
        else:
            self.action_record()
