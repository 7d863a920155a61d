"""One round for cron: ask everybody, save, judge, act once, leave."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from pathlib import Path

from fleetctl import __version__
from fleetctl.clock import Clock, SystemClock
from fleetctl.collector.collector import Collector
from fleetctl.collector.facility import AUTH_RETRY_S, FacilityCollector
from fleetctl.collector.schedule import slot_of
from fleetctl.config.schema import Config
from fleetctl.engine.facility import FacilityKeeper
from fleetctl.engine.hooks import HOOKS_AT_ONCE, TransportHookRunner, serve_hook
from fleetctl.engine.judge import Judge
from fleetctl.engine.lock import EngineLock
from fleetctl.engine.outside import round_once
from fleetctl.engine.process_ends import serve_pass
from fleetctl.facility.endpoints import endpoints
from fleetctl.inventory import Inventory, build_inventory
from fleetctl.model.facility import EndpointResult, SourceTrouble
from fleetctl.model.report import HostReport
from fleetctl.model.states import Reach
from fleetctl.plugin import load_plugins
from fleetctl.scheduler.chips import chip_facts
from fleetctl.scheduler.hooks import HookRunner, finish_ending, open_hooks
from fleetctl.scheduler.partitions import PartitionFollower
from fleetctl.scheduler.process_ends import prepare_passes
from fleetctl.scheduler.tick import tick
from fleetctl.store.database import Database
from fleetctl.store.engine_row import save_engine_beat, save_engine_start, save_engine_stop
from fleetctl.store.facility import list_endpoints
from fleetctl.store.rounds import recorder_of
from fleetctl.store.scheduler_facts import HookRow
from fleetctl.store.upkeep import upkeep_step
from fleetctl.transport.build import build_transports

_REFUSALS = (SourceTrouble.AUTH, SourceTrouble.TLS)
_UPKEEP_S = 5.0  # cron's rounds are the only ones then: some of the time goes into sealing what is old


async def poll_once(config: Config, clock: Clock | None = None) -> tuple[int, int]:
    """(hosts that answered, hosts that did not). Raises ConflictError when an engine holds the store."""
    clock = clock or SystemClock()
    inventory = build_inventory(config)
    plugins, _ = load_plugins()
    path = Path(config.store.path)
    with EngineLock(path), Database.open(path, write=True) as db:
        partitions = PartitionFollower(config)
        with db.read() as conn:
            inventory = partitions.follow(conn, inventory)
        transports = build_transports(config, clock=clock)
        collector = Collector(config, inventory, transports, plugins, clock)
        judge = Judge(inventory.hosts, config.thresholds, [rule for p in plugins for rule in p.rules])
        recorder_of(db).register([metric for plugin in plugins for metric in plugin.metrics])
        with db.read() as conn:
            judge.load(conn)
        began = clock.now()
        with db.write() as conn:
            save_engine_start(conn, os.getpid(), platform.node(), __version__, began)
        building = asyncio.create_task(_ask_building(db, config, inventory, clock))
        reports: list[HostReport] = await collector.round_once()
        slot = slot_of(began, config.poll.interval_s)
        await asyncio.to_thread(recorder_of(db).save, slot, reports)
        await asyncio.to_thread(judge.save, db, slot, reports)
        await asyncio.to_thread(FacilityKeeper(config, inventory).save, db, await building, clock.now())
        if config.schedulers:
            await round_once(config, inventory, plugins, db, clock)
            with db.read() as conn:
                inventory = partitions.follow(conn, inventory)
        tick(db, inventory, clock.now(), config=config, chips=chip_facts())
        await _act_on_hosts(db, inventory, config, TransportHookRunner(inventory, transports), clock)
        answered = sum(report.reach in (Reach.FRESH, Reach.HUNG) for report in reports)
        note = {"slot": slot, "hosts": len(reports), "ok": answered, "failed": len(reports) - answered}
        with db.write() as conn:
            save_engine_beat(conn, clock.now(), slot=slot, note={**note, "duration_s": clock.now() - began})
            save_engine_stop(conn, clock.now())
        until = time.monotonic() + _UPKEEP_S
        while time.monotonic() < until and upkeep_step(db, config.store, clock.now()):
            pass
        return answered, len(reports) - answered


async def _ask_building(db: Database, config: Config, inventory: Inventory, clock: Clock) -> list[EndpointResult]:
    """Every BMC, PDU, cooler and meter once, but for those that refused us lately: a third wrong password locks many."""
    with db.read() as conn:
        refused = {
            state.name
            for state in list_endpoints(conn)
            if state.trouble in _REFUSALS and clock.now() - (state.tried_at or 0) < AUTH_RETRY_S
        }
    asked = {name: one for name, one in endpoints(config, inventory).items() if name not in refused}
    return await FacilityCollector(config, inventory, clock, asked=asked).once()


async def _act_on_hosts(db: Database, inventory: Inventory, config: Config, runner: HookRunner, clock: Clock) -> None:
    """What an engine does beside its rounds, once: hooks of leases that began or ended, processes of drains."""
    limit = asyncio.Semaphore(HOOKS_AT_ONCE)

    async def hook(row: HookRow) -> None:
        async with limit:
            await serve_hook(db, inventory, config, runner, clock, asyncio.to_thread, row)

    await asyncio.gather(*(hook(row) for row in await asyncio.to_thread(open_hooks, db)))
    await asyncio.to_thread(finish_ending, db, int(clock.now()))
    for _ in range(2):  # the first names processes, the second tells them; KILL is for a later round
        for prepared in await asyncio.to_thread(prepare_passes, db, config, int(clock.now())):
            await serve_pass(db, config, runner, clock, asyncio.to_thread, prepared)
