"""A console on a made-up fleet, driven by keys; nothing here waits for real time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot

from fleetctl.i18n import set_language
from fleetctl.tui.app import Console
from fleetctl.tui.widgets.fleet_table import FleetTable
from tests.fakes.fleet_source import FleetSource


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same terminal everywhere: true colour, UTF-8, English, UTC."""
    for name in ("NO_COLOR", "FLEETCTL_LANG", "LC_ALL", "LC_MESSAGES", "FLEETCTL_SYMBOLS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    set_language("en")
    yield
    set_language(None)


@asynccontextmanager
async def opened(
    source: FleetSource | None = None, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Console, Pilot[None]]]:
    """The console, loaded."""
    app = Console(source or FleetSource(), watch=False)
    async with app.run_test(size=size) as pilot:
        await settle(app, pilot)
        yield app, pilot


async def settle(app: Console, pilot: Pilot[None]) -> None:
    """Wait until workers are done and what they brought is drawn."""
    quiet = 0
    while quiet < 3:  # an answer may start the next worker: done is when nothing runs three times in a row
        await pilot.pause()
        running = [worker for worker in app.workers if not worker.is_finished]
        quiet = 0 if running else quiet + 1
        if running:
            await app.workers.wait_for_complete(running)


async def press(app: Console, pilot: Pilot[None], *keys: str) -> None:
    """Press keys one after the other, each answered before the next. `=text` types the text."""
    for key in keys:
        for one in key[1:] if key.startswith("=") and len(key) > 1 else [key]:
            await pilot.press(one)
        await settle(app, pilot)


def table_of(app: Console, selector: str) -> FleetTable:
    return app.screen.query_one(selector, FleetTable)


def text_of(app: Console) -> str:
    """What is on the screen, as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
