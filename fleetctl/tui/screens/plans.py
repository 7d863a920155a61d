"""Drains and other plans under way: how far each is, and on which node it waits."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import DataScreen, pick
from fleetctl.tui.source import PlansView
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.views import plans

SHOWN = "id verb state total done waiting failed reason created_at who note"


class PlansScreen(DataScreen):
    MODE: ClassVar[str] = "plans"
    AUTO_FOCUS = "#plans"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("u", "undo", "undo")]

    def __init__(self) -> None:
        super().__init__()
        self._view: PlansView | None = None
        self._steps_of: str | None = None

    def body(self) -> ComposeResult:
        with Vertical(id="plans-box"):
            yield RunLine(id="plans-title", classes="heading")
            yield FleetTable(pick(plans.COLUMNS, SHOWN), id="plans", empty="no plan yet: mark nodes and press d")
        with Vertical(id="steps-box"):
            yield RunLine(id="steps-title", classes="heading")
            yield FleetTable(id="steps", empty="-")

    def load(self) -> PlansView:
        return self.source.plans()

    def show(self, data: PlansView) -> None:
        self._view, self._steps_of = data, None
        self.query_one("#plans", FleetTable).show(data.plans, now=self.source.now())
        self.query_one("#plans-title", RunLine).show(
            [(f" {_('Plans')} ", "strong"), (f"{len(data.plans.rows)}", "muted")]
        )
        room = max(5, (self.size.height - 5) // 2)
        self.query_one("#plans-box").styles.height = min(max(len(data.plans.rows), 1) + 2, room)
        self.query_one("#steps-box").display = bool(data.plans.rows)
        self._show_steps()

    def on_fleet_table_moved(self) -> None:
        self._show_steps()
        self.tell()

    def _show_steps(self) -> None:
        key = self.query_one("#plans", FleetTable).key
        if self._view is None or key is None or key == self._steps_of:
            return
        self._steps_of = key
        self.query_one("#steps", FleetTable).show(self._view.steps(key), now=self.source.now())
        self.query_one("#steps-title", RunLine).show([(f" {_('Nodes of plan')} {key}", "strong")])

    def action_undo(self) -> None:
        """Take the plan under the cursor back, after its undo was read and confirmed."""
        key = self.query_one("#plans", FleetTable).key
        if self._view is not None and key is not None:
            hosts = list(dict.fromkeys(row.host for row in self._view.steps(key).rows))
            self.home.act("undo", hosts, undo=key)

    def on_fleet_table_chosen(self, event: FleetTable.Chosen) -> None:
        if event.table.id == "steps":
            self.home.open_node(event.key)
        else:
            self.action_record()
