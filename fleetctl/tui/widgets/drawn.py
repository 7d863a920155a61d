"""The base of everything drawn line by line: tones as ready Rich styles, and runs of text put together into strips."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fleetctl.tui.look import TONE_CLASSES, Symbols, symbols

Run = tuple[str, str]  # text, tone


class Drawn(ScrollView):
    """A ScrollView that knows the tones. Subclasses implement `render_line(y)`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = TONE_CLASSES
    ALLOW_SELECT = False  # the cursor marks rows; text selection with the mouse would fight with it

    glyphs: Symbols

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.glyphs = symbols()
        self._tones: dict[tuple[str, ...], Style] = {}

    def notify_style_update(self) -> None:
        """The theme or a class changed: forget the styles made from it."""
        super().notify_style_update()
        self._tones.clear()

    def tone(self, *names: str) -> Style:
        """The style of one tone, later ones laid over earlier ones. Made once per theme."""
        style = self._tones.get(names)
        if style is None:
            style = self.rich_style
            for name in names:
                if name != "plain":
                    style += self.get_component_rich_style(f"tone--{name}", partial=True)
            self._tones[names] = style
        return style

    def strip(self, runs: Iterable[Run], *over: str, width: int | None = None, fill: str = "plain") -> Strip:
        """One line from runs of text. over: tones laid over the whole line (the cursor); width pads to the edge, in
        the tone `fill`."""
        segments: list[Segment] = []
        text, last = "", None
        for piece, tone in runs:  # neighbours of one tone become one segment: fewer escape sequences
            if tone == last:
                text += piece
            else:
                if text:
                    segments.append(Segment(text, self.tone(last or "plain", *over)))
                text, last = piece, tone
        if text:
            segments.append(Segment(text, self.tone(last or "plain", *over)))
        line = Strip(segments)
        if width is not None and line.cell_length != width:
            line = line.adjust_cell_length(width, self.tone(fill, *over))
        return line
