"""The base of everything drawn line by line: tones as ready Rich styles, and runs of text put together into strips."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fleetctl.tui.look import Symbols, symbols

Run = tuple[str, str]  # text, tone


class Drawn(ScrollView, can_focus=False):
    """A ScrollView that knows the tones. Subclasses implement `render_line(y)`."""

    ALLOW_SELECT = False  # the cursor marks rows; text selection with the mouse would fight with it

    glyphs: Symbols

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.glyphs = symbols()
        self._tones: dict[tuple[str, ...], Style] = {}
        self._drawn_lines: dict[int, Strip] = {}  # screen line -> what is there
        self._drawn_as: tuple[object, ...] = ()

    @property
    def room(self) -> int:
        """Cells of a line; the last one is left to the mark of where we are when there is more than fits."""
        return max(0, self.size.width - (self.virtual_size.height > self.size.height))

    def notify_style_update(self) -> None:
        """The theme or a class changed: forget the styles made from it."""
        super().notify_style_update()
        self._tones.clear()
        self._drawn_lines.clear()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """As Widget.refresh, for regions of the visible part."""
        if repaint:
            for y in {y for region in regions for y in region.line_range} if regions else list(self._drawn_lines):
                self._drawn_lines.pop(y, None)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines as they are drawn, without the passes a box model needs (half the cost of a page): nothing here has a
        border or padding, and filters were applied to the tones already."""
        if self.opacity < 1.0:
            return super().render_lines(crop)
        size, whole, top = self.size, self.virtual_size.height, self.scroll_offset.y
        more = whole > size.height
        shown_as = (size, self.scroll_offset, whole)
        if shown_as != self._drawn_as:
            self._drawn_lines.clear()
            self._drawn_as = shown_as
        strips, lines = [], self._drawn_lines
        for y in crop.line_range:
            strip = lines.get(y)
            if strip is None:
                strip = self.render_line(y).adjust_cell_length(size.width - more, self.tone("plain"))
                if more:
                    # A mark drawn here instead of a scrollbar: the toolkit's costs as much as all these lines.
                    first = top * size.height // whole
                    inside = first <= y <= first + size.height * size.height // whole
                    strip = Strip(
                        [*strip, Segment(self.glyphs.thumb if inside else " ", self.tone("muted"))], size.width
                    )
                lines[y] = strip
            strips.append(strip)
        if crop.column_span != (0, size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

    def blank(self) -> Strip:
        """An empty line."""
        return Strip.blank(self.size.width, self.tone("plain"))

    def tone(self, *names: str) -> Style:
        """The style of one tone, later ones laid over earlier ones, as it goes to the terminal. Made once per theme.

        The app has the tones as component classes, once for all: the toolkit works out every component class of a
        widget whenever that is styled, and 25 tones in each of ten widgets were a third of the first frame.
        """
        style = self._tones.get(names)
        if style is None:
            style = self.rich_style
            for name in names:
                if name != "plain":
                    style += self.app.get_component_styles(f"tone--{name}").partial_rich_style
            background = self.background_colors[1]
            segments = [Segment("x", style)]
            for line_filter in self.app.get_line_filters():
                segments = line_filter.apply(segments, background)
            style = self._tones[names] = segments[0].style or Style.null()
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
