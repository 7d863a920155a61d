"""Sends the passes that end processes on drained cards, over the same ways as lease hooks; each host at its own pace."""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass

from fleetctl.clock import Clock
from fleetctl.config.schema import Config
from fleetctl.engine.hooks import HOOKS_AT_ONCE, Call
from fleetctl.errors import StoreError
from fleetctl.scheduler.hooks import HookRunner
from fleetctl.scheduler.process_ends import PreparedPass, finish_pass, prepare_passes, send_pass
from fleetctl.store.database import Database

log = logging.getLogger("fleetctl.engine")

LOOK_S = 2.0  # how soon a deadline that has passed is acted on
FIRST_S, LAST_S = 4.0, 60.0  # between two passes over one host: longer with each that found nothing new


@dataclass
class _Pace:
    next_at: float = 0.0
    wait_s: float = FIRST_S


async def end_processes(db: Database, config: Config, runner: HookRunner, clock: Clock, write: Call) -> None:
    """Serve for ever. write: calls a function on the thread that owns the store."""
    paces: dict[str, _Pace] = {}
    tasks: dict[str, asyncio.Task[None]] = {}

    async def one(prepared: PreparedPass) -> None:
        pace = paces.setdefault(prepared.host, _Pace())
        again = False
        try:
            again = await serve_pass(db, config, runner, clock, write, prepared)
        except StoreError as error:
            log.warning("%s: what a drain ended there was not noted, and is asked again: %s", prepared.host, error)
        pace.wait_s = FIRST_S if again else min(pace.wait_s * 1.5, LAST_S)
        pace.next_at = clock.monotonic() + (0 if again else pace.wait_s)

    while True:
        now = clock.monotonic()
        tasks = {host: task for host, task in tasks.items() if not task.done()}
        paces = {host: pace for host, pace in paces.items() if host in tasks or now - pace.next_at < 2 * LAST_S}
        leave = tasks.keys() | {host for host, pace in paces.items() if pace.next_at > now}
        free = HOOKS_AT_ONCE - len(tasks)  # nothing is prepared that must wait: an undo would come too late for it
        if free > 0:
            ready = functools.partial(prepare_passes, db, config, int(clock.now()), leave=leave, limit=free)
            for prepared in await write(ready):
                tasks[prepared.host] = asyncio.create_task(one(prepared))
        await clock.sleep(LOOK_S)


async def serve_pass(
    db: Database, config: Config, runner: HookRunner, clock: Clock, write: Call, prepared: PreparedPass
) -> bool:
    """Send one pass and keep what came of it; True when processes were named that now can be told."""
    answer = await send_pass(runner, prepared)
    again = bool(await write(finish_pass, db, config, prepared, answer, int(clock.now())))
    if again:
        log.info("%s: processes without a lease are ended, its drain is past its deadline", prepared.host)
    return again
