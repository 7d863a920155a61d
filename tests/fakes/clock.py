"""A clock that stands still until told: `await clock.advance(5)` moves it and lets everyone run who was due."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")
START = 1_700_000_000.0


class FakeClock:
    """Implements fleetctl.clock.Clock."""

    def __init__(self, now: float = START) -> None:
        self._start = now
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking sleepers in their order; each gets a few turns of the loop to do what it does."""
        end = self._elapsed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, at)
            if not future.done():
                future.set_result(None)
            await settle()
        self._elapsed = end
        await settle()


async def at_once(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Stands in for `asyncio.to_thread` beside a clock that stands still, which waits for no thread."""
    return function(*arguments, **named)


async def settle(turns: int = 10) -> None:
    """Let everything run that can run without time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)
