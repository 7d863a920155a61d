"""A text over the screen: raw records, and whatever else is read and left again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from fleetctl.i18n import _
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.text_pane import TextPane


class TextScreen(ModalScreen[None]):
    """Title, text, how to leave."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark,y", "dismiss", "back"),
        Binding("c", "copy", "copy"),
    ]

    def __init__(self, title: str, lines: Sequence[Sequence[Run]]) -> None:
        super().__init__()
        self._heading, self._lines = title, lines

    def compose(self) -> ComposeResult:
        with Vertical(classes="sheet"):
            yield RunLine(classes="sheet-title")
            yield TextPane()

    def on_mount(self) -> None:
        self.query_one(RunLine).show([(f" {self._heading}", "strong")], [(_("Esc back   c copy "), "muted")])
        pane = self.query_one(TextPane)
        pane.show(self._lines)
        pane.focus()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.query_one(TextPane).text)
