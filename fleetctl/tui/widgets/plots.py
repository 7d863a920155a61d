"""A few plots of what is under the cursor: loaded in a thread, one question at a time, the last one asked wins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence

from textual.app import ComposeResult
from textual.containers import Container

from fleetctl.errors import FleetctlError
from fleetctl.tui.widgets.plot import Plot, Series

AGAIN_S = 30.0  # history has a value per quarter of an hour; the newest one is asked for this often
Load = Callable[[], Sequence[Series]]


class Plots(Container):
    """Up to `most` plots. `only` shows a single one where there is no room for more."""

    def __init__(self, most: int, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.most = most
        self.count = 0  # plots there are now
        self.only: int | None = None
        self._series: Sequence[Series] = ()
        self._what: Hashable = None
        self._asked_at = 0.0
        self._wanted: tuple[Hashable, Load] | None = None
        self._loading = False

    def compose(self) -> ComposeResult:
        for number in range(self.most):
            yield Plot(id=f"{self.id}-{number}")

    def want(self, what: Hashable, load: Load) -> None:
        """Show what `load` brings; asked again for the same thing, it is loaded again after half a minute."""
        now = time.monotonic()
        if what == self._what and now - self._asked_at < AGAIN_S:
            return
        self._what, self._asked_at = what, now
        self._wanted = (what, load)
        if not self._loading:
            self._loading = True
            self.run_worker(self._load(), group="plots")

    async def _load(self) -> None:
        try:
            while self._wanted is not None:
                (what, load), self._wanted = self._wanted, None
                try:
                    series = await asyncio.to_thread(load)
                except FleetctlError:
                    series = ()  # the tables beside it say what is wrong
                if what == self._what and self.is_attached:
                    self.show(series)
        finally:
            self._loading = False

    def show(self, series: Sequence[Series]) -> None:
        self._series = series
        self.count = min(len(series), self.most)
        self.arrange_plots()

    def arrange_plots(self) -> None:
        """After `only` changed: which plots can be seen."""
        for number, plot in enumerate(self.query(Plot)):
            plot.display = number < self.count and self.only in (None, number)
            if number < self.count:
                plot.show(self._series[number])
