"""What time it is. Always passed in, so that tests and replays own time."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Three questions about time; `tests/fakes/clock.py` answers them without waiting."""

    def now(self) -> float:
        """Seconds since the epoch, UTC. May jump; only for stamps and ages."""

    def monotonic(self) -> float:
        """Seconds that never jump; only for durations and deadlines."""

    async def sleep(self, seconds: float) -> None:
        """Give the loop away for that long."""


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
