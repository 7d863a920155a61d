"""Who waits and why, and who holds what until when."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import DataScreen
from fleetctl.tui.source import QueueView
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.fleet_table import FleetTable


class QueueScreen(DataScreen):
    MODE: ClassVar[str] = "queue"
    AUTO_FOCUS = "#requests"

    def body(self) -> ComposeResult:
        with Vertical(id="requests-box"):
            yield RunLine(id="requests-title", classes="heading")
            yield FleetTable(id="requests", empty="nobody waits")
        with Vertical(id="leases-box"):
            yield RunLine(id="leases-title", classes="heading")
            yield FleetTable(id="leases", empty="nothing is leased")

    def load(self) -> QueueView:
        return self.source.queue()

    def show(self, data: QueueView) -> None:
        now = self.source.now()
        self.query_one("#requests", FleetTable).show(data.requests, now=now)
        self.query_one("#leases", FleetTable).show(data.leases, now=now)
        for where, title, count in (
            ("#requests-title", _("Waiting"), len(data.requests.rows)),
            ("#leases-title", _("Leases"), len(data.leases.rows)),
        ):
            self.query_one(where, RunLine).show([(f" {title} ", "strong"), (f"{count} ", "muted")])
        room = max(4, (self.size.height - 5) // 2)
        self.query_one("#requests-box").styles.height = min(max(len(data.requests.rows), 1) + 2, room)

    def on_fleet_table_chosen(self, event: FleetTable.Chosen) -> None:
        self.action_record()
