"""Long text one can scroll with the keys: help, a raw record, the lines of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.strip import Strip

from fleetctl.tui.widgets.drawn import Drawn, Run


class TextPane(Drawn, can_focus=True):
    """Lines of runs. Nothing is wrapped: a record stays as it is written, long lines move with left and right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "by(-1)", "up", show=False),
        Binding("down,j", "by(1)", "down", show=False),
        Binding("pageup,ctrl+b", "by(-20)", "page up", show=False),
        Binding("pagedown,ctrl+f,space", "by(20)", "page down", show=False),
        Binding("home,g", "by(-1000000)", "top", show=False),
        Binding("end,G", "by(1000000)", "bottom", show=False),
        Binding("left,h", "aside(-8)", "scroll left", show=False),
        Binding("right,l", "aside(8)", "scroll right", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.lines: Sequence[Sequence[Run]] = ()

    def show(self, lines: Sequence[Sequence[Run]]) -> None:
        if lines == self.lines:
            return
        self.lines = lines
        width = max((sum(cell_len(text) for text, _tone in line) for line in lines), default=0)
        self.virtual_size = Size(width, len(lines))
        self.refresh()

    @property
    def text(self) -> str:
        return "\n".join("".join(text for text, _tone in line) for line in self.lines)

    def action_by(self, lines: int) -> None:
        self.scroll_to(y=max(0, self.scroll_offset.y + lines), animate=False)

    def action_aside(self, cells: int) -> None:
        self.scroll_to(x=max(0, self.scroll_offset.x + cells), animate=False)

    def render_line(self, y: int) -> Strip:
        width = self.room
        x, top = self.scroll_offset
        if top + y >= len(self.lines):
            return self.blank()
        line = self.strip(self.lines[top + y])
        return line.crop(x, x + width).adjust_cell_length(width, self.tone("plain"))
