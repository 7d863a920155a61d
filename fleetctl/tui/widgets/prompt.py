"""The one-line question at the bottom: a filter, a place to jump to, a reason."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static


class FirstMatch(Suggester):
    """The first name, in order, that begins with what was typed. Names are sorted, so a fleet costs a bisection."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._names = names

    async def get_suggestion(self, value: str) -> str | None:
        at = bisect_left(self._names, value)
        if value and at < len(self._names) and self._names[at].startswith(value):
            return self._names[at]
        return None


class Prompt(Horizontal):
    """Hidden until `ask`. Enter posts Answered, Esc posts Dropped, typing posts Typed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", "cancel", show=False)]

    class Typed(Message):
        def __init__(self, what: str, text: str) -> None:
            super().__init__()
            self.what, self.text = what, text

    class Answered(Typed):
        pass

    class Dropped(Typed):
        pass

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.what = ""
        self.display = False

    def compose(self) -> ComposeResult:
        yield Static("", id="prompt-sign")
        yield Input(id="prompt-input", compact=True, select_on_focus=False)

    def ask(self, what: str, sign: str, text: str = "", names: Sequence[str] = ()) -> None:
        """what: comes back in the messages; sign: shown before the text; names: sorted, for completion with right."""
        self.what = what
        self.query_one("#prompt-sign", Static).update(sign)
        field = self.query_one(Input)
        field.suggester = FirstMatch(names) if names else None
        with field.prevent(Input.Changed):
            field.value = text
        field.cursor_position = len(text)
        # At once, not with the next layout: the keys that follow are meant for this field.
        self.display = True
        self.screen.set_focus(field)

    def close(self) -> None:
        self.display = False

    @property
    def asking(self) -> bool:
        return bool(self.display)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.asking:
            self.post_message(self.Typed(self.what, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close()
        self.post_message(self.Answered(self.what, event.value))

    def action_drop(self) -> None:
        self.close()
        self.post_message(self.Dropped(self.what, self.query_one(Input).value))
