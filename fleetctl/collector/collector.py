"""When each host is asked, and what happens with its answers: rounds, batches, statistics. No storage, no rules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from fleetctl import garbage
from fleetctl.clock import Clock, SystemClock
from fleetctl.collector.host_poll import HostPoll, merged, run_in_task
from fleetctl.collector.once import ask_all_once
from fleetctl.collector.schedule import Wheel, phase_s, slot_of
from fleetctl.collector.stats import RoundStats, RoundTally
from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.host import Host
from fleetctl.model.report import HostReport
from fleetctl.plugin import Plugin
from fleetctl.probes.kernel_log import kernel_probe, linux_faults
from fleetctl.probes.plan import LoopForm, Plan, build_plan
from fleetctl.probes.system import system_probes
from fleetctl.transport.base import Transport
from fleetctl.transport.pool import Connections

log = logging.getLogger("fleetctl.collector")

OnReports = Callable[[int, list[HostReport]], Awaitable[None]]
FIRST_FLUSH_S = 0.2  # until there was something: who restarts an engine waits for its first word
FLUSH_S = 1.0  # reports are handed over at least this often, so that a screen is never older
KERNEL_LOG_S = 30.0


def fleet_plan(config: Config, plugins: Iterable[Plugin]) -> Plan:
    """All probes hosts of this fleet are asked."""
    poll = config.poll
    builtin = (*system_probes(poll.slow_interval_s), (kernel_probe(KERNEL_LOG_S), True))
    return build_plan(builtin, plugins, poll.max_output_bytes)


class Collector:
    """Asks every host of the inventory once per interval and hands its reports on in batches.

    transports: kind -> transport, as `fleetctl.transport.build` makes them; on_stats gets one record per closed round.
    """

    def __init__(
        self,
        config: Config,
        inventory: Inventory,
        transports: Mapping[str, Transport],
        plugins: Sequence[Plugin],
        clock: Clock | None = None,
        *,
        on_stats: Callable[[RoundStats], None] | None = None,
    ) -> None:
        self.config = config
        self.inventory = inventory
        self.clock = clock or SystemClock()
        self.plan = fleet_plan(config, plugins)
        self.fault_readers = (linux_faults, *(p.kernel_faults for p in plugins if p.kernel_faults is not None))
        sessions = {site.name: site.max_sessions for site in config.sites}
        self.connections = Connections(transports, site_sessions=sessions, clock=self.clock)
        self.polls: dict[str, HostPoll] = {}
        self.stats: RoundStats | None = None
        self._on_stats = on_stats
        self._programs: dict[LoopForm, bytes] = {}
        self._pending: dict[int, dict[str, HostReport]] = {}
        self._handing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tally = RoundTally(0)
        self._frozen = False
        self._rounds = 0

    # -- what hosts need of us (host_poll.Fleet) --------------------------------------------------------------------

    def program(self, form: LoopForm) -> bytes:
        """What is sent to start a loop; the same bytes for all hosts."""
        if form not in self._programs:
            interval_s = self.config.poll.interval_s
            make = self.plan.python_program if form is LoopForm.PYTHON else self.plan.sh_program
            self._programs[form] = make(interval_s)
        return self._programs[form]

    def deliver(self, poll: HostPoll, report: HostReport, *, ok: bool) -> None:
        name = poll.host.name
        slot = slot_of(report.at, self.config.poll.interval_s)
        batch = self._pending.setdefault(slot, {})
        before = batch.get(name)
        batch[name] = report if before is None else merged(before, report)
        tally = self._tally
        (tally.ok if ok else tally.failed).add(name)
        if ok:
            tally.last_at = report.at

    def spawn(self, poll: HostPoll) -> None:
        run_in_task(poll, self._tasks)

    def count_late(self) -> None:
        self._tally.late += 1

    def count_damaged(self, frames: int) -> None:
        self._tally.damaged += frames

    # -- rounds -----------------------------------------------------------------------------------------------------

    async def run(self, on_reports: OnReports) -> None:
        """Until cancelled. on_reports(slot, reports) is awaited; while it is slow, newer reports replace older ones.

        Hosts are first asked in the order of their turns: first answers give devices their row ids, and rounds that come
        in the order of ids are appended to the store, which costs half of sorting them into it.
        """
        interval_s = self.config.poll.interval_s
        self.polls = {host.name: HostPoll(host, self) for host in self.inventory.hosts.values()}
        wheel = Wheel.of(self.polls.items(), interval_s)
        self._tally = RoundTally(slot_of(self.clock.now(), interval_s))
        flusher = asyncio.create_task(self._flush_for_ever(on_reports), name="hand over reports")
        try:
            for poll in sorted(self.polls.values(), key=lambda poll: phase_s(poll.host.name, interval_s)):
                poll.tried_at = self.clock.monotonic()
                self.spawn(poll)
            await self._turn_for_ever(wheel, flusher)
        finally:
            await self._close(flusher)

    async def _turn_for_ever(self, wheel: Wheel[HostPoll], flusher: asyncio.Task[None]) -> None:
        interval_s = self.config.poll.interval_s
        wheel.turn(self.clock.now())  # everybody has just been asked
        step_s = min(wheel.width_s, 1.0)
        last = self.clock.monotonic()
        while True:
            await self.clock.sleep(step_s)
            if flusher.done():
                flusher.result()  # the receiver failed: that ends the collector, loudly
            mono, now = self.clock.monotonic(), self.clock.now()
            self._tally.lag_s = max(self._tally.lag_s, mono - last - step_s)
            last = mono
            slot = slot_of(now, interval_s)
            if slot != self._tally.slot:
                self._close_round(slot)
            for poll in wheel.turn(now):
                poll.turn()

    def _close_round(self, slot: int) -> None:
        stats = self._tally.close(len(self.polls))
        self._tally = RoundTally(slot)
        self.stats = stats
        log.info("%s", stats.line())
        if self._on_stats is not None:
            self._on_stats(stats)
        self._rounds += 1
        settled = self._rounds >= 3 or not any(poll.busy for poll in self.polls.values())
        if settled and not self._frozen:
            # A full collection over 12,500 connections stops the loop for most of a second.
            garbage.freeze()
            self._frozen = True

    async def _flush_for_ever(self, on_reports: OnReports) -> None:
        pause_s = FIRST_FLUSH_S
        while True:
            await self.clock.sleep(pause_s)
            if self._pending:
                pause_s = FLUSH_S
            await self.hand_over(on_reports)

    async def hand_over(self, on_reports: OnReports) -> None:
        """Hand on what has come so far, after what is being handed on now; before an end that should lose no answer."""
        async with self._handing:
            while self._pending:
                slot = min(self._pending)
                reports = list(self._pending.pop(slot).values())
                before = self.clock.monotonic()
                await on_reports(slot, reports)
                self._tally.handed_s = max(self._tally.handed_s, self.clock.monotonic() - before)

    async def _close(self, flusher: asyncio.Task[None]) -> None:
        tasks = [flusher, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for poll in self.polls.values():
            poll.close()
        await self.connections.close()

    def poll_now(self, names: Iterable[str]) -> None:
        """Ask these hosts at once, whatever their turn and their backoff: somebody is looking."""
        for name in names:
            poll = self.polls.get(name)
            if poll is None:
                continue
            if poll.stream is None:
                self.connections.retry_now(name)
                self.spawn(poll)
            elif poll.form is LoopForm.PYTHON:
                poll.stream.write(b"n\n")
            else:
                poll.keep_going(self.clock.monotonic())

    async def round_once(self, hosts: Iterable[Host] | None = None) -> list[HostReport]:
        """Ask each host once, with one command and no loop, in the order of the inventory; then close everything."""
        chosen = list(self.inventory.hosts.values()) if hosts is None else list(hosts)
        try:
            return await ask_all_once(self, chosen)
        finally:
            await self.connections.close()
