"""How many may ask at once, without those who get no answer holding up the rest."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleetctl.clock import Clock


class Places:
    """So many places. Who takes longer than `patience_s` goes on without his, and the next one may begin.

    `tidy` takes the places back; whoever owns this calls it about every second.
    """

    def __init__(self, clock: Clock, count: int, patience_s: float = math.inf) -> None:
        self._clock = clock
        self._patience_s = patience_s
        self._free = asyncio.Semaphore(count)
        self._taken: dict[object, float] = {}  # who sits there -> since when, the longest first

    @property
    def full(self) -> bool:
        return self._free.locked()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        await self._free.acquire()
        me = object()
        self._taken[me] = self._clock.monotonic()
        try:
            yield
        finally:
            self._leave(me)

    def tidy(self) -> None:
        late = self._clock.monotonic() - self._patience_s
        for one, since in list(self._taken.items()):
            if since > late:
                break
            self._leave(one)

    def _leave(self, one: object) -> None:
        if self._taken.pop(one, None) is not None:
            self._free.release()
