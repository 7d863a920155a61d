"""The slow lane beside the collector: one round per endpoint of an outside scheduler, and what is to be told to it.

It has a thread and a loop of its own: its transactions wait for other writers, and polling must not wait with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from fleetctl.clock import Clock, SystemClock
from fleetctl.config.schema import Config, Scheduler
from fleetctl.errors import ConfigError, FleetctlError
from fleetctl.inventory import Inventory
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome, Output
from fleetctl.plugin import Plugin, load_plugins
from fleetctl.scheduler.backend import Advice, Backend, MakeBackend
from fleetctl.scheduler.outside import Lane
from fleetctl.store.connections import Connections as Store
from fleetctl.transport.build import build_connections
from fleetctl.transport.pool import Connections

log = logging.getLogger("fleetctl.engine.outside")

ACT_EVERY_S = 2.0  # how soon a drain saved by another process is told


class LoginShell:
    """Commands on the host named by `login`, over a connection that is kept open; on this machine when it is empty."""

    def __init__(self, connections: Connections, host: Host) -> None:
        self._connections = connections
        self._host = host

    async def run(
        self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0, max_bytes: int = 1 << 20
    ) -> Output:
        session = await self._connections.session(self._host)
        output = await session.run(command, stdin=stdin, timeout_s=timeout_s, max_bytes=max_bytes)
        if output.outcome in (Outcome.LOST, Outcome.TIMEOUT):
            await self._connections.drop(self._host.name)  # a connection that hangs is made anew
        return output


def login_host(settings: Scheduler, inventory: Inventory) -> Host:
    """A host of the inventory, an SSH destination (`user@host:port`), or this machine."""
    if not settings.login:
        return Host("this machine", settings.site, transport="local")
    if settings.login in inventory.hosts:
        return inventory.hosts[settings.login]
    user, _, rest = settings.login.rpartition("@")
    address, _, port = rest.partition(":")
    return Host(address, settings.site, user=user or None, port=int(port) if port.isdecimal() else None)


def make_backend(
    settings: Scheduler, plugins: Sequence[Plugin], connections: Connections, inventory: Inventory, clock: Clock
) -> Backend:
    """The endpoint of one `[[schedulers]]` table. Raises ConfigError when no plugin speaks its kind."""
    places = {kind: place for plugin in plugins for kind, place in plugin.backends.items()}
    if settings.kind not in places:
        known = ", ".join(sorted(places)) or "none"
        raise ConfigError(f"schedulers: no plugin speaks {settings.kind!r}", hint=f"known kinds: {known}")
    module, _, attribute = places[settings.kind].partition(":")
    make = cast(MakeBackend, getattr(importlib.import_module(module), attribute))
    return make(settings, LoginShell(connections, login_host(settings, inventory)), clock)


class OutsideSchedulers:
    """All endpoints of fleet.toml, each in a task of its own, all in one thread."""

    def __init__(
        self, config: Config, inventory: Inventory, plugins: Sequence[Plugin], db: Store, clock: Clock
    ) -> None:
        self._config = config
        self._inventory = inventory
        self._plugins = plugins
        self._db = db
        self._clock = clock
        self._ending = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    async def run(self) -> None:
        """Until cancelled; returns only once the thread has ended."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="outside")
        thread = asyncio.get_running_loop().run_in_executor(pool, lambda: asyncio.run(self._serve()))
        try:
            await asyncio.shield(thread)
        finally:
            self._end()
            with contextlib.suppress(Exception):
                await thread
            pool.shutdown(wait=False)

    def _end(self) -> None:
        self._ending.set()
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._ending.is_set():
            return
        tasks = [asyncio.create_task(self._endpoint(one), name=one.endpoint) for one in self._config.schedulers]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _endpoint(self, settings: Scheduler) -> None:
        connections = build_connections(self._config)
        try:
            backend = make_backend(settings, self._plugins, connections, self._inventory, self._clock)
            lane = Lane(settings, backend, self._db, self._inventory, self._clock, self._config)
            every_s = settings.every_s or self._config.poll.interval_s
            while True:
                began = self._clock.monotonic()
                await self._guarded(lane, lane.round())
                while (left := every_s - (self._clock.monotonic() - began)) > 0:
                    await asyncio.sleep(min(ACT_EVERY_S, left))
                    if not lane.silent:
                        await self._guarded(lane, lane.act())
        except FleetctlError as error:
            log.error("%s is left alone: %s; %s", settings.endpoint, error, error.hint)
        finally:
            await connections.close()

    async def _guarded(self, lane: Lane, step: object) -> None:
        """A store that refuses, or a plugin that fails, costs this round and no more."""
        try:
            await step  # type: ignore[misc]
        except FleetctlError as error:
            log.error("%s: %s; %s", lane.name, error, error.hint)
        except Exception:
            log.exception("%s: the plugin failed", lane.name)


async def round_once(config: Config, inventory: Inventory, plugins: Sequence[Plugin], db: Store, clock: Clock) -> None:
    """One round of every endpoint, for `fleetctl poll` under cron."""

    async def one(settings: Scheduler) -> None:
        connections = build_connections(config)
        try:
            backend = make_backend(settings, plugins, connections, inventory, clock)
            lane = Lane(settings, backend, db, inventory, clock, config)
            await lane.round()
        finally:
            await connections.close()

    for result in await asyncio.gather(*(one(s) for s in config.schedulers), return_exceptions=True):
        if isinstance(result, BaseException):
            log.error("%s", result)


async def diagnose(config: Config, inventory: Inventory) -> dict[str, list[Advice]]:
    """What works at each endpoint, by its name, for `fleetctl doctor`; changes nothing."""
    plugins, _ = load_plugins()

    async def one(settings: Scheduler) -> list[Advice]:
        connections = build_connections(config)
        try:
            return await make_backend(settings, plugins, connections, inventory, SystemClock()).diagnose()
        except FleetctlError as error:
            return [Advice("bad", str(error), error.hint)]
        finally:
            await connections.close()

    answers = await asyncio.gather(*(one(s) for s in config.schedulers))
    return {s.endpoint: answer for s, answer in zip(config.schedulers, answers, strict=True)}
