"""What happened, newest first; repeats are one line with a count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetctl.errors import FleetctlError
from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import DataScreen
from fleetctl.tui.widgets.arranged import arrange
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.tui.widgets.prompt import Prompt
from fleetctl.views.column import Table
from fleetctl.views.filter import compile_filter


class EventsScreen(DataScreen):
    MODE: ClassVar[str] = "events"
    AUTO_FOCUS = "#events"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "filter", "filter", key_display="/")]

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""
        self._bad = ""
        self._keep: Callable[[Any], bool] | None = None
        self._table: Table[Any] | None = None

    def body(self) -> ComposeResult:
        yield FleetTable(id="events", empty="nothing has happened, or nothing passes the filter")

    def load(self) -> Table[Any]:
        return self.source.events()

    def show(self, data: Table[Any]) -> None:
        self._table = data
        table = self.query_one(FleetTable)
        table.show(data, arrange(data, table.order, self._keep), now=self.source.now())

    def status(self) -> tuple[list[Run], list[Run]]:
        view = self.query_one(FleetTable).view
        if self._bad:
            return [(f" {self._bad}", "crit")], []
        left: list[Run] = [(f" / {self.filter_text} ", "accent")] if self.filter_text else []
        return left, [(f"{len(view.rows):,} {_('of')} {view.total:,} ", "muted")]

    def action_filter(self) -> None:
        self.query_one(Prompt).ask("filter", "/", self.filter_text)

    def on_prompt_typed(self, event: Prompt.Typed) -> None:
        if event.what == "filter" and self._table is not None:
            try:
                self._keep = compile_filter(event.text, self._table.columns, now=self.source.now)
            except FleetctlError as error:
                self._bad = str(error)
            else:
                self.filter_text, self._bad = event.text.strip(), ""
                self.show(self._table)
            self.tell()

    def on_prompt_dropped(self, event: Prompt.Dropped) -> None:
        super().on_prompt_dropped(event)
        self.filter_text, self._bad, self._keep = "", "", None
        if self._table is not None:
            self.show(self._table)
            self.tell()

    def on_fleet_table_chosen(self, event: FleetTable.Chosen) -> None:
        host = getattr(event.row, "host", None)
        if host:
            self.home.open_node(host)
