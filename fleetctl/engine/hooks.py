"""Runs lease hooks on their hosts over the same ways the collector uses, and takes nodes of failed ones out of the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fleetctl.clock import Clock
from fleetctl.config.schema import Config
from fleetctl.errors import NotFoundError
from fleetctl.inventory import Inventory
from fleetctl.model.probe import Output
from fleetctl.scheduler.hooks import (
    HookRunner,
    finish_ending,
    finish_hook,
    node_in_the_way,
    open_hooks,
    prepare_hook,
    send_hook,
)
from fleetctl.store.database import Database
from fleetctl.store.scheduler_facts import HookRow
from fleetctl.transport.base import Transport

log = logging.getLogger("fleetctl.engine")

HOOKS_AT_ONCE = 32
HOOKS_S = 1.0  # how soon a lease that began or ended has its hooks run
Call = Callable[..., Awaitable[Any]]


class TransportHookRunner:
    """A hook gets a session of its own: it may take a minute, and the collector's rounds must not wait for it."""

    def __init__(self, inventory: Inventory, transports: dict[str, Transport]) -> None:
        self._inventory, self._transports = inventory, transports

    async def run(self, host: str, script: str, *, timeout_s: float) -> Output:
        """Run one POSIX sh script. Raises NotFoundError (not in the inventory any more) and connect's errors."""
        known = self._inventory.hosts.get(host)
        if known is None:
            raise NotFoundError(f"{host} is not in this fleet any more")
        session = await self._transports[known.transport].connect(known)
        try:
            return await session.run(script, timeout_s=timeout_s, max_bytes=65_536)
        finally:
            await session.close()


async def run_hooks(
    db: Database, inventory: Inventory, config: Config, runner: HookRunner, clock: Clock, write: Call
) -> None:
    """Serve hooks for ever. write: calls a function on the thread that owns the store."""
    limit = asyncio.Semaphore(HOOKS_AT_ONCE)
    under_way: set[tuple[str, str, str]] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def one(hook: HookRow) -> None:
        try:
            async with limit:
                await serve_hook(db, inventory, config, runner, clock, write, hook)
        finally:
            under_way.discard((hook.lease, hook.host, hook.kind))

    while True:
        for hook in await write(open_hooks, db):
            key = (hook.lease, hook.host, hook.kind)
            if key not in under_way:
                under_way.add(key)
                task = asyncio.create_task(one(hook))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        await write(finish_ending, db, int(clock.now()))
        await clock.sleep(HOOKS_S)


async def serve_hook(
    db: Database, inventory: Inventory, config: Config, runner: HookRunner, clock: Clock, write: Call, hook: HookRow
) -> None:
    """Run one open hook from beginning to end; the node of one that failed gets out of the way."""
    prepared = await write(prepare_hook, db, config, hook, int(clock.now()))
    if prepared is None:
        return
    answer = await send_hook(runner, prepared)
    result = await write(finish_hook, db, config, prepared, answer, int(clock.now()))
    if result.failed:
        refused = await write(node_in_the_way, db, inventory, config, result, int(clock.now()))
        why = f" ({refused})" if refused else ""
        log.warning("%s of %s on %s failed: %s%s", hook.kind, hook.lease, hook.host, result.note, why)
