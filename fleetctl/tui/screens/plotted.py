"""A screen of tables with plots of the row under the cursor: beside the lower table where there is room, in its place
where there is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import DataScreen
from fleetctl.tui.screens.node import SPANS_H, span_text
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.tui.widgets.plot import Series
from fleetctl.tui.widgets.plots import Plots

FRAME = 4  # lines of title, status, keys, and one of air


class PlottedScreen(DataScreen):
    """Subclasses hold an upper box (first of TABLES), and below it a box of class `beside` and one Plots."""

    TABLES: ClassVar[tuple[str, str]] = ("", "")  # ids of the upper and the lower table
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "plot", "plot"),
        Binding("t", "span", "time span"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.hours = 24.0
        self.shown = 0  # 0: the lower table, n: the n-th plot, where there is not room for all

    def series(self, kind: str, name: str, hours: float) -> Sequence[Series]:
        """What is drawn of one row. Runs in a worker thread."""
        raise NotImplementedError

    @property
    def roomy(self) -> bool:
        return self.size.width >= 132 and self.size.height >= 36

    def under_cursor(self) -> tuple[str, str] | None:
        """(noun, key) of the row that the plots are about: of the lower table while it has the focus."""
        upper, lower = (self.query_one(f"#{name}", FleetTable) for name in self.TABLES)
        table = lower if lower.has_focus else upper
        return (table.noun, table.key) if table.key is not None else None

    def share_room(self, rows: int) -> None:
        """The upper box is as high as its rows, but leaves the lower part its own."""
        room = self.size.height - FRAME
        box = self.query_one(f"#{self.TABLES[0]}-box")
        box.styles.height = max(4, min(rows + 2, room * 3 // 5 if self.roomy else room // 2))

    def draw(self) -> None:
        """Bring the plots up to date with the cursor, the span and the room."""
        if not self.alive:
            return
        under, plots = self.under_cursor(), self.query_one(Plots)
        plots.only = self.shown - 1 if self.shown and not self.roomy else None
        self.set_class(bool(self.shown), "-plotting")
        if under is None:
            plots.show(())
        elif self.shown or self.roomy:
            hours = self.hours
            plots.want((*under, hours), lambda: self.series(*under, hours))
            plots.arrange_plots()
        self.tell()

    def on_fleet_table_moved(self) -> None:
        self.draw()

    def on_descendant_focus(self) -> None:
        self.draw()

    def on_resize(self, event: object) -> None:
        self.call_after_refresh(self.draw)

    def status(self) -> tuple[list[Run], list[Run]]:
        under = self.under_cursor()
        if under is None or not (self.roomy or self.shown):
            return [], []
        return [], [(f"{under[1]}  {_('history')} {span_text(self.hours)} ", "muted")]

    def action_plot(self) -> None:
        """The lower table, then each plot in turn; where there is room for all, the plots alone and back."""
        most = 1 if self.roomy else max(1, self.query_one(Plots).count)
        self.shown = (self.shown + 1) % (most + 1)
        if self.shown:
            self.query_one(f"#{self.TABLES[0]}", FleetTable).focus()
        self.draw()

    def action_span(self) -> None:
        self.hours = SPANS_H[(SPANS_H.index(self.hours) + 1) % len(SPANS_H)]
        self.draw()
