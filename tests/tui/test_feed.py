"""How a change in the store comes to the screen: once per change, and in words when the store cannot be asked."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Any

import pytest

from fleetctl.errors import StoreCorruptError
from fleetctl.tui.app import Console
from fleetctl.tui.feed import Feed
from fleetctl.tui.messages import FeedBroken, StoreChanged
from fleetctl.tui.widgets.bars import RunLine
from tests.fakes.fleet_source import FleetSource
from tests.tui.conftest import opened, settle, table_of, text_of


def test_the_feed_speaks_once_per_change_and_says_why_it_cannot() -> None:
    said: list[Any] = []
    answers: list[Any] = [1, 1, 2, StoreCorruptError("fleet.db is damaged", hint="fleetctl db check"), 2]

    def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    feed = Feed(ask, lambda message: bool(said.append(message)) or True)
    for _number in range(5):
        feed.look()
    assert [m.version if isinstance(m, StoreChanged) else m.text for m in said] == [
        1, 2, "fleet.db is damaged. fleetctl db check", 2,
    ]  # fmt: skip


async def test_the_title_tells_of_the_engine_as_soon_as_it_is_known() -> None:
    """The screen may be drawn by then: it must not say "no engine yet" until its next second."""
    source, answer = FleetSource(), Event()
    pulse = source.pulse
    source.pulse = lambda: (answer.wait(60), pulse())[1]  # type: ignore[method-assign]
    app = Console(source, watch=False)
    async with app.run_test(size=(80, 24)) as pilot:
        async with asyncio.timeout(60):
            while not table_of(app, "#worst").loaded:
                await pilot.pause(0.01)
        app.screen.tick = lambda: None  # type: ignore[attr-defined]  # that second never passes
        assert "no engine yet" in text_of(app)
        answer.set()
        await settle(app, pilot)
        assert "no engine yet" not in text_of(app)


async def test_a_change_is_handed_to_the_screen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain = Console._ask_pulse
    monkeypatch.setattr(Console, "_ask_pulse", lambda self: (asked.append(1), plain(self))[1])
    source = FleetSource()
    async with opened(source) as (app, pilot):
        asked.clear()
        app.screen._next_at = 0.0  # type: ignore[attr-defined]
        source.rows[97] = source.rows[0]
        source.change(0.01)
        app.post_message(StoreChanged(source.version()))
        await settle(app, pilot)
        await settle(app, pilot)
        assert asked == [1]
        assert "gpu098" not in table_of(app, "#worst").view.keys


async def test_a_store_that_cannot_be_asked_shows_in_words() -> None:
    async with opened() as (app, pilot):
        app.post_message(FeedBroken("fleet.db is damaged"))
        await settle(app, pilot)
        app.screen.tell()  # type: ignore[attr-defined]
        await pilot.pause()
        assert "fleet.db is damaged" in app.screen.query_one("#status", RunLine).text
        assert "✗ store" in text_of(app)
        app.post_message(StoreChanged(2))
        await settle(app, pilot)
        assert "damaged" not in app.screen.query_one("#status", RunLine).text
