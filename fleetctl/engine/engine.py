"""The running process: wires collecting, judging and scheduling around one store, and stops in order.

Everything that touches the store runs on one writer thread, so the loop that talks to hosts never waits for a disk.
Killed at any moment, the next start goes on from what was committed: every stage reads its state from the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import platform
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from fleetctl import __version__
from fleetctl.clock import Clock, SystemClock
from fleetctl.collector.collector import Collector
from fleetctl.collector.facility import FacilityCollector
from fleetctl.collector.stats import RoundStats
from fleetctl.collector.traps import TrapEvent, TrapLane
from fleetctl.config.schema import Config
from fleetctl.engine.child import bound_log
from fleetctl.engine.facility import FacilityKeeper
from fleetctl.engine.hangup import Reread, is_ignored
from fleetctl.engine.hooks import TransportHookRunner, run_hooks
from fleetctl.engine.judge import Judge
from fleetctl.engine.lock import EngineLock
from fleetctl.engine.outside import OutsideSchedulers
from fleetctl.engine.process_ends import end_processes
from fleetctl.errors import FleetctlError, StoreError
from fleetctl.inventory import Inventory, build_inventory
from fleetctl.model.facility import EndpointResult
from fleetctl.model.report import HostReport
from fleetctl.plugin import Plugin, load_plugins
from fleetctl.scheduler.chips import chip_facts
from fleetctl.scheduler.partitions import PartitionFollower
from fleetctl.scheduler.tick import tick
from fleetctl.store.audit import wishes_mark
from fleetctl.store.database import Database
from fleetctl.store.engine_row import save_engine_beat, save_engine_start, save_engine_stop
from fleetctl.store.housekeeping import Housekeeper
from fleetctl.store.rounds import recorder_of
from fleetctl.transport.base import Transport
from fleetctl.transport.build import build_transports

log = logging.getLogger("fleetctl.engine")

TICK_S = 1.0  # how soon a wish saved by another process is looked at
IDLE_TICK_S = 5.0  # how often drains, deadlines and windows are looked at when nobody wished anything
BATCH_HOSTS = 500  # reports per transaction: a wish of another process waits for one of them at most
HOUSEKEEPING_S = 30.0
HOUSEKEEPING_STEP_S = 0.2  # between small steps, so that rounds get in between
SAVE_TRIES = 30  # of one batch, _RETRY_S apart: a full disk is seen to within five minutes, or somebody is paged
_RETRY_S = 10.0  # after the store refused a write (disk full, another writer)

T = TypeVar("T")


class Engine:
    """One fleet's engine. Use `run`; it holds the lock while it runs.

    reread: tries the settings when SIGHUP asks to take them anew; without it SIGHUP stops. start_again: whether
    `run` ended only to be run again with new settings.
    """

    def __init__(self, config: Config, *, clock: Clock | None = None, reread: Reread | None = None) -> None:
        self.config = config
        self.inventory: Inventory = build_inventory(config)
        self._clock = clock or SystemClock()
        plugins, broken = load_plugins()
        for one in broken:
            log.warning("plugin %s is left out: %s", one.name, one.error)
        self._plugins: Sequence[Plugin] = plugins
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._stop = asyncio.Event()
        self._trouble = ""
        self._partitions = PartitionFollower(config)
        self._reread = reread
        self.start_again = False

    async def run(self, *, rounds: int | None = None, on_round: Callable[[int], None] | None = None) -> None:
        """Poll and act until stopped, or for so many rounds.

        Raises ConflictError when another engine holds this store, and the StoreErrors of opening it.
        """
        path = Path(self.config.store.path)
        with EngineLock(path), Database.open(path, write=True) as db:
            self._db = db
            self._follow_partitions()
            self._judge = Judge(
                self.inventory.hosts, self.config.thresholds, [rule for p in self._plugins for rule in p.rules]
            )
            try:
                await self._write(self._begin)
                await self._serve(rounds, on_round)
            finally:
                with contextlib.suppress(StoreError):
                    await self._write(self._end)
                self._writer.shutdown()

    def stop(self) -> None:
        """End after what is being written now."""
        self._stop.set()

    def hang_up(self) -> None:
        """SIGHUP: end, or end and be started again with the settings as they are now. Bad ones change nothing."""
        if self._reread is not None:
            try:
                self._reread()
            except FleetctlError as error:
                log.error("the settings are not taken, it goes on with the old ones: %s; %s", error, error.hint)
                return
            log.info("the settings are read anew")
            self.start_again = True
        self.stop()

    # -- stages -----------------------------------------------------------------------------------------------------

    async def _serve(self, rounds: int | None, on_round: Callable[[int], None] | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if not is_ignored():
            loop.add_signal_handler(signal.SIGHUP, self.hang_up)
        closed: asyncio.Queue[RoundStats] = asyncio.Queue()
        transports = build_transports(self.config, clock=self._clock)
        collector = Collector(
            self.config, self.inventory, transports, self._plugins, self._clock, on_stats=closed.put_nowait
        )
        tasks = [
            asyncio.create_task(collector.run(self._keep), name="collector"),
            asyncio.create_task(self._note_rounds(collector, closed, rounds, on_round), name="rounds"),
            asyncio.create_task(self._act(), name="scheduler"),
            asyncio.create_task(self._keep_house(), name="housekeeping"),
            asyncio.create_task(self._run_hooks(transports), name="hooks"),
            asyncio.create_task(self._end_processes(transports), name="process ends"),
            *self._facility(),
            *self._outside(),
            asyncio.create_task(self._stop.wait(), name="stop"),
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()  # a stage that failed by itself ends the engine with its error

    def _facility(self) -> list[asyncio.Task[None]]:
        """The slow lane of BMCs, PDUs, coolers and meters, where fleet.toml names any."""
        if not self.config.facility.bmcs and not self.config.facility.devices:
            return []
        lane = FacilityCollector(self.config, self.inventory, self._clock)
        keeper = FacilityKeeper(self.config, self.inventory)

        async def keep(results: list[EndpointResult]) -> None:
            await self._guarded(lambda: keeper.save(self._db, results, self._clock.now()))

        tasks = [asyncio.create_task(lane.run(keep), name="facility")]
        if self.config.facility.traps:
            traps = TrapLane(self.config.facility.traps, lane.endpoints, self._clock, lane.hint)

            async def note(events: list[TrapEvent]) -> None:
                await self._guarded(lambda: keeper.note(self._db, events))

            async def listen() -> None:
                try:
                    await traps.run(note)
                except FleetctlError as error:  # polling goes on without
                    log.error("SNMP traps are not heard: %s", error)
                    await self._stop.wait()

            tasks.append(asyncio.create_task(listen(), name="traps"))
        return tasks

    def _outside(self) -> list[asyncio.Task[None]]:
        """Schedulers that own nodes themselves, where fleet.toml names any."""
        if not self.config.schedulers:
            return []
        lane = OutsideSchedulers(self.config, self.inventory, self._plugins, self._db, self._clock)
        return [asyncio.create_task(lane.run(), name="outside schedulers")]

    async def _note_rounds(
        self,
        collector: Collector,
        closed: asyncio.Queue[RoundStats],
        rounds: int | None,
        on_round: Callable[[int], None] | None,
    ) -> None:
        done = 0
        while rounds is None or done < rounds:
            stats = await closed.get()
            if stats.ok + stats.failed == 0:
                continue  # the slot in which we started
            await self._guarded(self._note_round, stats)
            done += 1
            if done == rounds:
                await collector.hand_over(self._keep)  # the end comes with what the last round heard
            if on_round is not None:
                on_round(done)

    async def _keep(self, slot: int, reports: list[HostReport]) -> None:
        """Save and judge one batch. The same batch is tried again while the store refuses, for a fault of a host's log
        is told only once; what is refused for longer than that is given up, so that later rounds are not."""
        for start in range(0, len(reports), BATCH_HOSTS):
            part = reports[start : start + BATCH_HOSTS]
            for _ in range(SAVE_TRIES):
                if await self._guarded(self._save, slot, part):
                    break
            else:
                log.error("the reports of %d hosts at %d were not kept", len(part), slot)

    async def _act(self) -> None:
        seen, acted_at = None, 0.0
        while True:
            mark = await self._guarded(self._wishes)
            now = self._clock.monotonic()
            if mark != seen or now - acted_at >= IDLE_TICK_S:
                acted_at = now
                await self._guarded(self._tick)
                seen = await self._guarded(self._wishes)
            await self._clock.sleep(TICK_S)

    async def _keep_house(self) -> None:
        keeper = Housekeeper(self._db, self.config.store)
        more = True
        while True:
            await self._clock.sleep(HOUSEKEEPING_STEP_S if more else HOUSEKEEPING_S)
            more = await self._guarded(keeper.step, self._clock.now()) is True
            if not more:
                await self._write(bound_log, Path(self.config.store.path))

    async def _run_hooks(self, transports: dict[str, Transport]) -> None:
        runner = TransportHookRunner(self.inventory, transports)
        while True:
            call = functools.partial(run_hooks, self._db, self.inventory, self.config, runner, self._clock)
            try:
                await call(self._write)
            except StoreError as error:  # as every stage: said, and tried again
                log.warning("hooks wait: %s", error)
                await self._clock.sleep(_RETRY_S)

    async def _end_processes(self, transports: dict[str, Transport]) -> None:
        runner = TransportHookRunner(self.inventory, transports)
        while True:
            try:
                await end_processes(self._db, self.config, runner, self._clock, self._write)
            except StoreError as error:
                log.warning("ending of processes waits: %s", error)
                await self._clock.sleep(_RETRY_S)

    # -- on the writer thread ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        with self._db.write() as conn:
            save_engine_start(conn, os.getpid(), platform.node(), __version__, self._clock.now())
        recorder_of(self._db).register([metric for plugin in self._plugins for metric in plugin.metrics])
        with self._db.read() as conn:
            self._judge.load(conn)

    def _save(self, slot: int, reports: list[HostReport]) -> bool:
        recorder_of(self._db).save(slot, reports)
        self._judge.save(self._db, slot, reports)
        return True

    def _note_round(self, stats: RoundStats) -> None:
        with self._db.write() as conn:
            save_engine_beat(conn, self._clock.now(), slot=stats.slot, note=asdict(stats))

    def _wishes(self) -> tuple[int, int]:
        with self._db.read() as conn:
            return wishes_mark(conn)

    def _follow_partitions(self) -> None:
        """Pools made of partitions, as they were told last. Hosts stay the same: only the scheduler asks for pools."""
        with self._db.read() as conn:
            self.inventory = self._partitions.follow(conn, self.inventory)

    def _tick(self) -> None:
        self._follow_partitions()
        result = tick(self._db, self.inventory, self._clock.now(), config=self.config, chips=chip_facts())
        if result.did_anything:
            log.info("acted: %s", result)

    def _end(self) -> None:
        with self._db.write() as conn:
            save_engine_stop(conn, self._clock.now())

    # -- the thread ---------------------------------------------------------------------------------------------------

    async def _write(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *arguments)

    async def _guarded(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Run on the writer thread; a StoreError is logged once and the stage goes on (None)."""
        try:
            answer = await self._write(function, *arguments)
        except StoreError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.error("%s; %s", error, error.hint)
            await self._clock.sleep(_RETRY_S)
            return None
        if self._trouble:
            log.info("the store takes writes again")
            self._trouble = ""
        return answer
