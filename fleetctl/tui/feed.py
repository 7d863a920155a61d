"""Says when the store has changed: one thread asks `PRAGMA data_version` and posts StoreChanged, nothing else.

The question costs microseconds and reads no table, so half a second of delay is a choice for the eye, not for the disk.
"""

from __future__ import annotations

import threading
from typing import Protocol

from textual.message import Message

from fleetctl.errors import FleetctlError
from fleetctl.tui.messages import FeedBroken, StoreChanged

PERIOD_S = 0.5


class Post(Protocol):
    def __call__(self, message: Message, /) -> bool: ...


class Ask(Protocol):
    def __call__(self) -> int: ...


class Feed:
    """Start it with the app, stop it with the app. Several commits within one period are one message."""

    def __init__(self, ask: Ask, post: Post, *, period_s: float = PERIOD_S) -> None:
        self._ask, self._post, self._period_s = ask, post, period_s
        self._ended = threading.Event()
        self._last: int | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="fleetctl-feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def look(self) -> None:
        """One look: post what is new."""
        try:
            version = self._ask()
        except FleetctlError as error:
            self._last = None
            self._post(FeedBroken(f"{error}. {error.hint}" if error.hint else str(error)))
            return
        if version != self._last:
            self._last = version
            self._post(StoreChanged(version))

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            self.look()
