"""The slow lane: every BMC, PDU, cooler and meter at its own pace, one session each, never waiting for another.

Whoever gets no answer soon gives up his place to the next. An endpoint that fails moves to a lane of its own with few
places, so that a hundred hanging BMCs hold up nobody; its last values stay in the store with their age. A refused
password is not tried again for hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fleetctl import garbage
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
BEAT_S = 0.2  # how late a question may begin
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


@dataclass(slots=True, eq=False)
class _Known:
    """One endpoint and where we are with it."""

    asked: Asked
    share: float  # 0 to 1, by a stable hash of the name: spreads starts and complete readings over their time
    due: float = 0.0
    source: Source | None = None
    full_at: float = 0.0  # when everything is read again
    failures: int = 0
    busy: bool = False
    hinted: bool = False  # something happened there while it was being asked
    barred: bool = False  # refused a password: nothing wakes it early


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
        self._known = {n: _Known(one, zlib.crc32(n.encode()) / 2**32) for n, one in self.endpoints.items()}
        self._due: list[tuple[float, int, _Known]] = []  # a heap; entries that no longer hold are passed over
        self._order = itertools.count()
        self._asking: set[asyncio.Task[None]] = set()

    def hint(self, name: str) -> None:
        """Something happened at that endpoint: ask it at once, unless it refuses us."""
        known = self._known.get(name)
        if known is None or known.barred:
            return
        if known.busy:
            known.hinted = True
        else:
            self._ask_at(known, self._clock.monotonic())

    async def run(self, on_results: OnResults) -> None:
        """Ask everybody at his pace; hand results on at most every second, at most 500 at a time. A lull is handed on,
        too: what was told before it is then looked at."""
        start = self._clock.monotonic()
        for known in self._known.values():
            self._ask_at(known, start + known.share * known.asked.every_s)
        beat = asyncio.create_task(self._beat())
        frozen = False
        try:
            while True:
                await self._clock.sleep(FLUSH_S)
                if beat.done():
                    beat.result()
                if not frozen and self.stats.asked > len(self.endpoints):  # everybody is connected and was read
                    garbage.freeze()
                    frozen = True
                if not self._results:
                    await on_results([])
                while self._results:
                    batch, self._results = self._results[:BATCH], self._results[BATCH:]
                    await on_results(batch)
        finally:
            for task in (beat, *self._asking):
                task.cancel()
            await asyncio.gather(beat, *self._asking, return_exceptions=True)
            opened = [known.source for known in self._known.values() if known.source is not None]
            await asyncio.gather(*(_close(source) for source in opened), return_exceptions=True)

    async def _beat(self) -> None:
        """Begin with those who are due, a bunch at a time: they cost half as much as one by one."""
        while True:
            await self._clock.sleep(BEAT_S)
            self._fast.tidy()
            self._full.tidy()
            now = self._clock.monotonic()
            while self._due and self._due[0][0] <= now:
                due, _, known = heapq.heappop(self._due)
                if due == known.due and not known.busy:
                    known.busy = True
                    task = asyncio.create_task(self._serve(known))
                    self._asking.add(task)
                    task.add_done_callback(self._asking.discard)

    def _ask_at(self, known: _Known, due: float) -> None:
        known.due = due
        heapq.heappush(self._due, (due, next(self._order), known))

    async def once(self) -> list[EndpointResult]:
        """One complete reading of everybody, for `fleetctl poll` under cron; every session is closed then."""
        beat = asyncio.create_task(self._beat())  # nobody is due: it takes places from those who are slow
        try:
            await asyncio.gather(*(self._try(known) for known in self._known.values()))
        finally:
            beat.cancel()
            opened = [known.source for known in self._known.values() if known.source is not None]
            await asyncio.gather(beat, *(_close(source) for source in opened), return_exceptions=True)
        results, self._results = self._results, []
        return results

    async def _serve(self, known: _Known) -> None:
        """Ask one endpoint once, and say when it is asked next."""
        wait = known.asked.every_s
        try:
            wait = await self._try(known)
        finally:
            now = self._clock.monotonic()
            # On the beat, not a little later each time; beats that were missed are not made up for.
            due = max(known.due + wait, now)
            known.busy = False
            self._ask_at(known, now if known.hinted and not known.barred else due)
            known.hinted = False

    async def _try(self, known: _Known) -> float:
        """Ask it; returns after how many seconds it may be asked again."""
        asked, began = known.asked, self._clock.monotonic()
        try:
            # Where too many are read completely, who was read before is polled until it is his turn.
            full = began >= known.full_at and (known.source is None or not self._full.full)
            async with (self._slow if known.failures else self._full if full else self._fast).one():
                self.stats.asked += 1
                if known.source is None:
                    known.source = self._open(await asyncio.to_thread(asked.endpoint))
                report = await (known.source.read() if full else known.source.poll())
            if full:  # all begin in the same few seconds; their second complete reading does not
                known.full_at = began + asked.full_every_s * (1.0 if known.full_at > 0 else 0.5 + known.share / 2)
            if known.failures:
                log.info("%s answers again", asked.name)
            known.failures, known.barred = 0, False
            self._results.append(self._result(asked, report, self._clock.monotonic() - began))
            return asked.every_s
        except FleetctlError as error:
            known.failures += 1
            self.stats.failed += 1
            if known.failures == 1:
                log.warning("%s: %s", asked.name, error)
            self._results.append(self._failure(asked, error, self._clock.monotonic() - began))
            known.barred = isinstance(error, AuthError | UsageError)
            source, known.source, known.full_at = known.source, None, 0.0
            if source is not None:
                await _close(source)
            return _backoff(asked, error, known.failures)
        except Exception as error:  # a stranger's source may raise anything; it is one finding on one device
            known.failures += 1
            self.stats.failed += 1
            log.exception("%s: its source failed", asked.name)
            self._results.append(self._failure(asked, ParseError(f"{type(error).__name__}: {error}"), 0.0))
            return _backoff(asked, ParseError(""), known.failures)

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
    return SourceTrouble.REFUSED if "busy" in str(error) else SourceTrouble.UNREACHABLE
