"""How fast and how many connections are set up, so that no sshd, jump host, account or event loop is overrun.

    turn        a token bucket per jump host or site, with jitter: a whole fleet does not knock in the same millisecond
    approach    reaching the port; many at once, because a dark host waits there for its full time-out and costs nothing
    handshake   key exchange and login; few at once per site and in all, because that costs CPU on both sides

Never more than DOOR at one address: a stock sshd drops unauthenticated connections beyond ten (MaxStartups 10:30:100).
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fleetctl.clock import Clock

DOOR = 8  # connections being set up at one sshd
APPROACHES_PER_HANDSHAKE = 16  # of the slots for reaching a port
BURST_S = 0.2  # of unused turns that may be caught up at once


class TokenBucket:
    """Turns at `rate` per second on average; each gap is 0.5 to 1.5 of the mean."""

    def __init__(self, rate: float, clock: Clock, rng: random.Random) -> None:
        self._gap_s = 1.0 / rate
        self._clock = clock
        self._rng = rng
        self._next_at = float("-inf")

    async def turn(self) -> None:
        now = self._clock.monotonic()
        at = max(self._next_at, now - BURST_S)
        self._next_at = at + self._gap_s * self._rng.uniform(0.5, 1.5)
        if at > now:
            await self._clock.sleep(at - now)


class SetupLimits:
    """All limits of one transport. site_limits: site -> handshakes at once."""

    def __init__(
        self,
        *,
        site_limits: Mapping[str, int],
        max_connecting: int,
        connects_per_second: float,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._site_limits = site_limits
        self._default_limit = max_connecting
        self._all = asyncio.Semaphore(max_connecting)
        self._buckets: dict[str, TokenBucket] = defaultdict(lambda: TokenBucket(connects_per_second, clock, rng))
        self._handshakes: dict[str, asyncio.Semaphore] = {}
        self._approaches: dict[str, asyncio.Semaphore] = {}
        self._doors: dict[str, asyncio.Semaphore] = {}
        self._at_door: dict[str, int] = defaultdict(int)

    @asynccontextmanager
    async def approach(self, site: str, address: str, via: str) -> AsyncIterator[None]:
        """Held from before the first packet until login or failure. Waits for a turn first."""
        door = self._doors.setdefault(f"{via}>{address}", asyncio.Semaphore(DOOR))
        self._at_door[f"{via}>{address}"] += 1
        try:
            async with self._approach_slots(site):
                await self._buckets[via or f"site {site}"].turn()
                async with door:
                    yield
        finally:
            self._at_door[f"{via}>{address}"] -= 1
            if not self._at_door[f"{via}>{address}"]:  # 12,500 idle semaphores would be 12,500 too many
                del self._at_door[f"{via}>{address}"], self._doors[f"{via}>{address}"]

    @asynccontextmanager
    async def handshake(self, site: str) -> AsyncIterator[None]:
        slots = self._handshakes.get(site)
        if slots is None:
            slots = self._handshakes[site] = asyncio.Semaphore(self._limit(site))
        async with slots, self._all:
            yield

    def _approach_slots(self, site: str) -> asyncio.Semaphore:
        slots = self._approaches.get(site)
        if slots is None:
            slots = self._approaches[site] = asyncio.Semaphore(self._limit(site) * APPROACHES_PER_HANDSHAKE)
        return slots

    def _limit(self, site: str) -> int:
        return max(1, min(self._site_limits.get(site, self._default_limit), self._default_limit))
