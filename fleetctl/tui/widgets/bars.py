"""The lines around a screen: who and when at the top, what is under the cursor and which keys work at the bottom."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.geometry import Region
from textual.strip import Strip

from fleetctl.i18n import _
from fleetctl.tui.look import clean
from fleetctl.tui.widgets.drawn import Drawn, Run
from fleetctl.views.units import show_age


class RunLine(Drawn):
    """One line of text runs, with some at the right edge. What does not fit is left out at the right, whole runs first."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._left: tuple[Run, ...] = ()
        self._right: tuple[Run, ...] = ()

    def show(self, left: Sequence[Run], right: Sequence[Run] = ()) -> None:
        """Show other text; nothing is drawn when it is the same as before."""
        new = (tuple(left), tuple(right))
        if new != (self._left, self._right):
            self._left, self._right = new
            self.refresh()

    @property
    def text(self) -> str:
        """What stands there, without tones (for tests and screen readers)."""
        return "".join(text for text, _tone in (*self._left, *self._right))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return self.blank()
        left = self.strip(self._left)
        right = self.strip(self._right)
        room = width - right.cell_length
        if room < min(left.cell_length, width // 3):
            return left.adjust_cell_length(width, self.tone("plain"))
        return Strip.join([left.adjust_cell_length(room, self.tone("plain")), right])


class TitleBar(RunLine):
    """Fleet, modes, age of the newest data, engine. Turns red in word and colour when data or engine is old."""

    def tell(
        self,
        fleet: str,
        modes: Sequence[tuple[str, str, bool]],
        data_age_s: float | None,
        engine: tuple[str, str],
        stale_s: float,
    ) -> None:
        """modes: (key, title, is here); data_age_s: None when there is none; engine: (text, tone)."""
        if data_age_s is None:
            age: Run = (f" {self.glyphs.blind} {_('no data yet')} ", "blind")
        elif data_age_s > stale_s:
            age = (f" {self.glyphs.warn} {_('data')} {show_age(0.0, data_age_s)} {_('old')} ", "warn")
        else:
            age = (f" {_('data')} {show_age(0.0, data_age_s)} ", "ok")
        right: list[Run] = [age, (f" {engine[0]} ", engine[1])]
        used = sum(cell_len(text) for text, _tone in right) + cell_len(fleet) + 3
        wide = used + sum(cell_len(title) + 4 for _key, title, _here in modes) <= self.size.width
        left: list[Run] = [(f" {clean(fleet)} ", "accent"), (" ", "plain")]
        for key, title, here in modes:
            left.append((f" {key} {title} " if wide or here else f" {key} ", "cursor" if here else "muted"))
        self.show(left, right)


class KeyBar(RunLine):
    """The keys that work here, from the bindings themselves; as many as fit."""

    def tell(self, keys: Sequence[tuple[str, str]]) -> None:
        runs: list[Run] = [(" ", "plain")]
        used = 1
        for key, what in keys:
            size = cell_len(key) + cell_len(what) + 3
            if used + size > self.size.width:
                break
            runs += [(key, "accent"), (f" {what}  ", "muted")]
            used += size
        self.show(runs)


class RunBlock(Drawn):
    """A few lines of runs; only lines that differ are drawn again."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[tuple[Run, ...]] = []

    def show(self, lines: Sequence[Sequence[Run]]) -> None:
        new = [tuple(line) for line in lines]
        old, self._lines = self._lines, new
        if len(old) != len(new):
            self.styles.height = len(new)
            self.refresh()
            return
        for y, (before, after) in enumerate(zip(old, new, strict=True)):
            if before != after:
                self.refresh(Region(0, y, self.size.width, 1))

    @property
    def text(self) -> str:
        return "\n".join("".join(text for text, _tone in line) for line in self._lines)

    def render_line(self, y: int) -> Strip:
        if y >= len(self._lines):
            return self.blank()
        return self.strip(self._lines[y], width=self.size.width)
