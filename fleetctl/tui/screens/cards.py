"""All cards as a picture: where it is hot, busy, full, or silent."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import DataScreen
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.heat_map import CardGrid, HeatMap
from fleetctl.views.units import show_age, show_unit

METRICS: tuple[tuple[str, str], ...] = (
    ("temp_c", "temperature"),
    ("util_pct", "utilisation"),
    ("mem_pct", "memory"),
    ("power_w", "power"),
)


class CardsScreen(DataScreen):
    MODE: ClassVar[str] = "cards"
    AUTO_FOCUS = "#heat"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "metric", "other figure"),
        Binding("x", "hottest", "next hottest"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.metric = METRICS[0][0]
        self._hot: list[int] = []

    def body(self) -> ComposeResult:
        yield RunLine(id="legend", classes="heading")
        yield HeatMap(id="heat")

    def load(self) -> CardGrid:
        return self.source.cards(self.metric)

    def show(self, data: CardGrid) -> None:
        if data.metric != self.metric:
            return
        heat = self.query_one(HeatMap)
        heat.show(data)
        self._hot = []
        title = _(dict(METRICS)[self.metric])
        unit = "C" if data.unit == "°C" else data.unit
        self.query_one("#legend", RunLine).show([(f" {title} {unit}  ", "strong"), *heat.legend()])

    def status(self) -> tuple[list[Run], list[Run]]:
        heat = self.query_one(HeatMap)
        if heat.here is None or heat.grid is None:
            return [], []
        host, card = heat.here
        value = "-" if heat.value is None else show_unit(heat.value, heat.grid.unit)
        known = sum(v is not None for v in heat.grid.values)
        age = "" if heat.grid.at is None else f", {show_age(heat.grid.at, self.source.now())}"
        left: list[Run] = [(f" {host} ", "strong"), (f"{_('card')} {card}  ", "muted"), (value, "accent")]
        return left, [(f"{known:,} {_('of')} {len(heat.grid.values):,} {_('cards')}{age} ", "muted")]

    def on_heat_map_moved(self) -> None:
        self.tell()

    def on_heat_map_chosen(self, event: HeatMap.Chosen) -> None:
        self.home.open_node(event.host)

    def action_metric(self) -> None:
        names = [name for name, _title in METRICS]
        self.metric = names[(names.index(self.metric) + 1) % len(names)]
        self.reload()

    def action_hottest(self) -> None:
        """To the card with the highest value; again: to the next."""
        heat = self.query_one(HeatMap)
        if heat.grid is None:
            return
        if not self._hot:
            values = heat.grid.values
            known = [i for i, v in enumerate(values) if v is not None]
            self._hot = sorted(known, key=lambda i: -(values[i] or 0.0))[:50][::-1]
        if self._hot:
            heat.go_to(self._hot.pop())
