"""Coolers of every zone, and every endpoint of power and cooling with how fresh it is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import DataScreen
from fleetctl.tui.source import CoolingView
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable


class CoolingScreen(DataScreen):
    MODE: ClassVar[str] = "cooling"
    AUTO_FOCUS = "#coolers"

    def body(self) -> ComposeResult:
        with Vertical(id="coolers-box"):
            yield RunLine(id="coolers-title", classes="heading")
            yield FleetTable(id="coolers", empty="no cooling zone in fleet.toml")
        with Vertical(id="endpoints-box"):
            yield RunLine(id="endpoints-title", classes="heading")
            yield FleetTable(id="endpoints", empty="no endpoint in fleet.toml")

    def load(self) -> CoolingView:
        return self.source.cooling()

    def show(self, data: CoolingView) -> None:
        now = self.source.now()
        self.query_one("#coolers", FleetTable).show(data.coolers, now=now)
        self.query_one("#endpoints", FleetTable).show(data.endpoints, now=now)
        leaking = [r.loop.device for r in data.coolers.rows if r.loop.is_leaking]
        runs: list[Run] = [(f" {_('Cooling')} ", "strong"), (f"{len(data.coolers.rows)} ", "muted")]
        if leaking:
            runs.append((f" {_('LEAK')}: {', '.join(leaking)} ", "crit"))
        self.query_one("#coolers-title", RunLine).show(runs)
        silent = sum(1 for r in data.endpoints.rows if r.state == "silent")
        runs = [(f" {_('Endpoints')} ", "strong"), (f"{len(data.endpoints.rows)} ", "muted")]
        if silent:
            runs.append((f" {silent} {_('silent')} ", "warn"))
        self.query_one("#endpoints-title", RunLine).show(runs)
