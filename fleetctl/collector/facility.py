"""The slow lane: every BMC, PDU, cooler and meter at its own pace, one session each, never waiting for another.

Whoever gets no answer soon gives up his place to the next. An endpoint that fails moves to a lane of its own with few
places, so that a hundred hanging BMCs hold up nobody; its last values stay in the store with their age. A refused
password is not tried again for hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fleetctl.clock import Clock
from fleetctl.collector.places import Places
from fleetctl.config.schema import Config
from fleetctl.errors import AuthError, FleetctlError, ParseError, TimedOutError, UsageError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.facility.endpoints import Asked, endpoints
from fleetctl.facility.source import Source, open_source
from fleetctl.inventory import Inventory
from fleetctl.model.facility import EndpointReport, EndpointResult, SourceTrouble

log = logging.getLogger("fleetctl.facility")

BATCH = 500
FLUSH_S = 1.0
SLOW_PLACES = 64  # endpoints that failed last time and are asked at once
PATIENCE_S = 2.0  # a poll that takes longer goes on without a place
FULL_PLACES = 64  # complete readings at once: each holds what it has read so far
FULL_PATIENCE_S = 10.0
BACKOFF_MAX_S = 600.0
AUTH_RETRY_S = 6 * 3600.0  # a wrong password three times in a row locks many BMCs
OnResults = Callable[[list[EndpointResult]], Awaitable[None]]


@dataclass
class LaneStats:
    """What the lane did since it began."""

    asked: int = 0
    failed: int = 0
    waiting: int = 0


class FacilityCollector:
    """Asks all endpoints of a fleet for ever. `run` ends when it is cancelled; sessions are closed then."""

    def __init__(
        self,
        config: Config,
        inventory: Inventory,
        clock: Clock,
        *,
        opener: Callable[[Endpoint], Source] = open_source,
        asked: Mapping[str, Asked] | None = None,
    ) -> None:
        self.endpoints = dict(asked) if asked is not None else endpoints(config, inventory)
        self.stats = LaneStats()
        self._clock = clock
        self._open = opener
        most = config.facility.concurrency
        self._fast = Places(clock, most, PATIENCE_S)
        self._full = Places(clock, min(FULL_PLACES, most), FULL_PATIENCE_S)
        self._slow = Places(clock, min(SLOW_PLACES, most))
        self._results: list[EndpointResult] = []
        self._hints: dict[str, asyncio.Event] = {}  # of endpoints that may be woken: only where traps are heard
        self._barred: set[str] = set()  # refused a password: nothing wakes them early

    def take_hints(self) -> None:
        """From now on `hint` wakes endpoints. Before `run`."""
        self._hints = {name: asyncio.Event() for name in self.endpoints}

    def hint(self, name: str) -> None:
        """Something happened at that endpoint: ask it at once, unless it refuses us."""
        if name in self._hints and name not in self._barred:
            self._hints[name].set()

    async def _pause(self, name: str, seconds: float) -> None:
        """Sleep, or less where a hint comes."""
        hint = self._hints.get(name)
        if hint is None:
            await self._clock.sleep(seconds)
            return
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(hint.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        hint.clear()

    async def run(self, on_results: OnResults) -> None:
        """Ask everybody at his pace; hand results on at most every second, at most 500 at a time. A lull is handed on,
        too: what was told before it is then looked at."""
        tasks = [asyncio.create_task(self._serve(one)) for one in self.endpoints.values()]
        try:
            while True:
                await self._clock.sleep(FLUSH_S)
                self._fast.tidy()
                self._full.tidy()
                if not self._results:
                    await on_results([])
                while self._results:
                    batch, self._results = self._results[:BATCH], self._results[BATCH:]
                    await on_results(batch)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def once(self, on_results: OnResults) -> None:
        """One complete reading of everybody, for `fleetctl poll` under cron."""

        async def one(asked: Asked) -> None:
            source: Source | None = None
            try:
                source = self._open(asked.endpoint())
                async with self._full.one():
                    self._results.append(self._result(asked, await source.read(), 0.0))
            except FleetctlError as error:
                self._results.append(self._failure(asked, error, 0.0))
            finally:
                if source is not None:
                    await _close(source)

        await asyncio.gather(*(one(asked) for asked in self.endpoints.values()))
        results, self._results = self._results, []
        for i in range(0, len(results), BATCH):
            await on_results(results[i : i + BATCH])

    async def _serve(self, asked: Asked) -> None:
        """One endpoint for ever. Starts and complete readings are spread over their pace by a stable hash of the name."""
        share = zlib.crc32(asked.name.encode()) / 2**32
        due = self._clock.monotonic() + share * asked.every_s
        source: Source | None = None
        full_at = float("-inf")
        failures = 0
        try:
            while True:
                await self._pause(asked.name, max(0.0, due - self._clock.monotonic()))
                due = min(due, self._clock.monotonic())  # earlier where a hint came
                began = self._clock.monotonic()
                wait = asked.every_s
                try:
                    # Where too many are read completely, who was read before is polled until it is his turn.
                    full = began >= full_at and (source is None or not self._full.full)
                    async with (self._slow if failures else self._full if full else self._fast).one():
                        self.stats.asked += 1
                        if source is None:
                            source = self._open(await asyncio.to_thread(asked.endpoint))
                        report = await (source.read() if full else source.poll())
                    if full:  # all begin in the same few seconds; their second complete reading does not
                        full_at = began + asked.full_every_s * (1.0 if full_at > 0 else 0.5 + share / 2)
                    if failures:
                        log.info("%s answers again", asked.name)
                    failures = 0
                    self._barred.discard(asked.name)
                    self._results.append(self._result(asked, report, self._clock.monotonic() - began))
                except FleetctlError as error:
                    failures += 1
                    self.stats.failed += 1
                    if failures == 1:
                        log.warning("%s: %s", asked.name, error)
                    self._results.append(self._failure(asked, error, self._clock.monotonic() - began))
                    wait = _backoff(asked, error, failures)
                    if isinstance(error, AuthError | UsageError):
                        self._barred.add(asked.name)
                    if source is not None:
                        await _close(source)
                        source = None
                        full_at = float("-inf")
                except Exception as error:  # a stranger's source may raise anything; it is one finding on one device
                    failures += 1
                    self.stats.failed += 1
                    log.exception("%s: its source failed", asked.name)
                    self._results.append(self._failure(asked, ParseError(f"{type(error).__name__}: {error}"), 0.0))
                    wait = _backoff(asked, ParseError(""), failures)
                me = asyncio.current_task()
                if me is not None and me.cancelling():  # some libraries swallow being cancelled
                    raise asyncio.CancelledError
                # On the beat, not a little later each time; beats that were missed are not made up for.
                due = max(due + wait, self._clock.monotonic())
        finally:
            if source is not None:
                await _close(source)

    def _result(self, asked: Asked, report: EndpointReport, took: float) -> EndpointResult:
        return EndpointResult(
            asked.name, asked.kind, asked.url, self._clock.now(), asked.host, asked.site, report, duration_s=took
        )

    def _failure(self, asked: Asked, error: FleetctlError, took: float) -> EndpointResult:
        return EndpointResult(
            name=asked.name,
            kind=asked.kind,
            url=asked.url,
            at=self._clock.now(),
            host=asked.host,
            site=asked.site,
            trouble=trouble_of(error),
            text=str(error),
            duration_s=took,
        )


async def _close(source: Source) -> None:
    with contextlib.suppress(FleetctlError, OSError, TimeoutError):
        await source.close()


def _backoff(asked: Asked, error: FleetctlError, failures: int) -> float:
    """Longer with every failure, never shorter than the endpoint's own pace."""
    if isinstance(error, AuthError | UsageError):
        return AUTH_RETRY_S
    wait: float = asked.every_s * 2 ** min(failures - 1, 6)
    return max(asked.every_s, min(wait, BACKOFF_MAX_S))


def trouble_of(error: FleetctlError) -> SourceTrouble:
    """Which finding an error is."""
    if isinstance(error, AuthError):
        return SourceTrouble.TLS if "certificate" in str(error) else SourceTrouble.AUTH
    if isinstance(error, TimedOutError):
        return SourceTrouble.TIMED_OUT
    if isinstance(error, ParseError):
        return SourceTrouble.TOO_LARGE if "many" in str(error) else SourceTrouble.UNREADABLE
    return SourceTrouble.UNREACHABLE
