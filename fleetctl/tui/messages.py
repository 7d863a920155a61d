"""What travels up: things that happened, for whoever is on screen."""

from __future__ import annotations

from textual.message import Message


class StoreChanged(Message, bubble=False):
    """Somebody committed to the store. It does not bubble: the app hands it to the screen, which would hand it back.
    Messages that wait replace each other: one reload answers many changes."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, StoreChanged)


class FeedBroken(Message, bubble=False):
    """The store cannot be asked any more, and why; shown until it answers again."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, FeedBroken)
