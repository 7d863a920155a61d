"""Rounds on a clock that stands still: who is asked when, and what is said about those that do not answer."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from fleetctl.collector.collector import Collector
from fleetctl.collector.schedule import phase_s
from fleetctl.config.schema import Config, HostGroup, Poll, Site, Ssh
from fleetctl.inventory.inventory import build_inventory
from fleetctl.model.probe import Output, Probe
from fleetctl.model.reading import ProbeResult
from fleetctl.model.report import ErrorKind, HostReport
from fleetctl.model.states import Reach
from fleetctl.plugin import Plugin
from tests.fakes.clock import FakeClock
from tests.fakes.transport import FakeHost, FakeTransport

INTERVAL_S = 60.0


def parse(output: Output) -> ProbeResult:
    return ProbeResult()


class Bed:
    """A collector over fake hosts, and everything it handed over."""

    def __init__(self, *modes: str, loop: str = "auto", **poll: float) -> None:
        names = [f"n{i}" for i in range(len(modes))]
        self.clock = FakeClock()
        self.hosts = {name: FakeHost(mode) for name, mode in zip(names, modes, strict=True)}
        config = Config(
            sites=(Site(name="s"),),
            hosts=tuple(HostGroup(nodes=name, site="s") for name in names),
            poll=Poll(interval_s=INTERVAL_S, **poll),
            ssh=Ssh(loop=loop),
        )
        transports = {"ssh": FakeTransport(self.clock, self.hosts)}
        plugin = Plugin(name="acme", title="Acme", probes=(Probe("acme.x", "true", parse),))
        self.collector = Collector(
            config, build_inventory(config), transports, [plugin], self.clock, on_stats=lambda s: self.stats.append(s)
        )
        self.stats = []
        self.reports = []
        self.slots = []

    async def take(self, slot, reports):
        self.slots.append(slot)
        self.reports += reports

    def of(self, name):
        return [report for report in self.reports if report.host == name]

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.collector.run(self.take))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_every_host_is_heard_once_a_round():
    async with Bed("ok", "ok", "ok").running() as bed:
        await bed.clock.advance(5 * INTERVAL_S)
        for name in bed.hosts:
            got = bed.of(name)
            assert 5 <= len(got) <= 7
            assert {r.reach for r in got} == {Reach.FRESH}
            assert got[-1].facts["loop"] == "python"
        assert bed.hosts["n0"].connects == 1
        assert bed.stats[-1].ok == 3
        assert bed.stats[-1].failed == 0


async def test_hosts_are_first_asked_in_the_order_of_their_turns():
    async with Bed(*["ok"] * 12).running() as bed:
        await bed.clock.advance(1.0)
        heard = list(dict.fromkeys(report.host for report in bed.reports))
        assert heard == sorted(bed.hosts, key=lambda name: phase_s(name, INTERVAL_S)) != sorted(heard)


async def test_values_and_devices_come_through():
    async with Bed("ok").running() as bed:
        await bed.clock.advance(INTERVAL_S)
        bed.hosts["n0"].load = 7.5
        await bed.clock.advance(2 * INTERVAL_S)
        first, last = bed.of("n0")[0].blocks[0], bed.of("n0")[-1].blocks[0]
        assert first.rows[0][0] == 1.0
        assert last.rows[0][0] == 7.5
        assert last.devices is first.devices
        assert all(slot % INTERVAL_S == 0 for slot in bed.slots)


async def test_a_dead_host_is_data_and_says_so_once_in_the_log(caplog):
    caplog.set_level(logging.WARNING, "fleetctl.collector")
    async with Bed("ok", "dark", quiet_interval_s=60.0).running() as bed:
        await bed.clock.advance(10 * INTERVAL_S)
        reaches = [r.reach for r in bed.of("n1")]
        assert reaches[0] is Reach.UNKNOWN
        assert reaches[-1] is Reach.UNREACHABLE
        assert bed.of("n1")[-1].error is ErrorKind.UNREACHABLE
        assert {r.reach for r in bed.of("n0")} == {Reach.FRESH}
        assert len([r for r in caplog.records if "n1" in r.message]) == 1
        bed.hosts["n1"].mode = "ok"
        await bed.clock.advance(12 * INTERVAL_S)
        assert bed.of("n1")[-1].reach is Reach.FRESH
        messages = [r.message for r in caplog.records if "n1" in r.message]
        assert len(messages) == 2
        assert "answers again" in messages[1]


async def test_a_lost_connection_is_made_again():
    async with Bed("ok").running() as bed:
        await bed.clock.advance(2 * INTERVAL_S)
        bed.hosts["n0"].lose()
        await bed.clock.advance(2)
        assert bed.of("n0")[-1].error is ErrorKind.CLOSED
        assert bed.of("n0")[-1].reach is Reach.FRESH  # its last value is still young
        await bed.clock.advance(3 * INTERVAL_S)
        assert bed.of("n0")[-1].error is None
        assert bed.hosts["n0"].connects == 2


async def test_a_loop_that_falls_silent_is_stale_then_unreachable_and_started_again():
    async with Bed("ok", unreachable_after=4).running() as bed:
        await bed.clock.advance(2 * INTERVAL_S)
        bed.hosts["n0"].mode = "silent"
        await bed.clock.advance(8 * INTERVAL_S)
        reaches = list(dict.fromkeys(r.reach for r in bed.of("n0")))
        assert reaches == [Reach.FRESH, Reach.STALE, Reach.UNREACHABLE]
        assert bed.of("n0")[-1].error is ErrorKind.TIMED_OUT
        assert len(bed.hosts["n0"].commands) > 1
        bed.hosts["n0"].mode = "ok"
        await bed.clock.advance(8 * INTERVAL_S)
        assert bed.of("n0")[-1].reach is Reach.FRESH


async def test_a_hung_tool_is_not_a_dead_node():
    async with Bed("hung").running() as bed:
        await bed.clock.advance(2 * INTERVAL_S)
        report = bed.of("n0")[-1]
        assert (report.reach, report.error) == (Reach.HUNG, None)
        assert report.blocks[0].rows


async def test_garbage_is_told_with_its_text():
    async with Bed("garbage", loop="python").running() as bed:
        await bed.clock.advance(4 * INTERVAL_S)
        report = bed.of("n0")[-1]
        assert report.error is ErrorKind.GARBLED
        assert any("ACME" in r.error_text and "\x1b" not in r.error_text for r in bed.of("n0"))


async def test_without_python_the_sh_loop_is_kept():
    async with Bed("no-python").running() as bed:
        await bed.clock.advance(3 * INTERVAL_S)
        host = bed.hosts["n0"]
        assert host.connects == 1
        assert len(host.commands) == 2
        assert bed.of("n0")[-1].facts["loop"] == "sh"
        assert 3 <= len(bed.of("n0")) <= 5
        assert [line.split()[0] for line in host.lines].count("r") >= 3


async def test_without_any_loop_each_round_is_one_script():
    async with Bed("no-loop").running() as bed:
        await bed.clock.advance(4 * INTERVAL_S)
        assert bed.hosts["n0"].connects == 1
        assert bed.of("n0")[-1].facts["loop"] == "exec"
        assert len(bed.hosts["n0"].commands) >= 5


async def test_the_loop_is_told_that_we_live():
    async with Bed("ok").running() as bed:
        await bed.clock.advance(5 * INTERVAL_S)
        assert bed.hosts["n0"].lines.count("h") >= 4


async def test_a_slow_receiver_gets_the_newest_and_memory_stays_bounded():
    bed = Bed("ok")
    gate = asyncio.Event()
    plain = bed.take

    async def slow(slot, reports):
        await gate.wait()
        await plain(slot, reports)

    bed.take = slow
    async with bed.running():
        await bed.clock.advance(10 * INTERVAL_S)
        assert sum(map(len, bed.collector._pending.values())) <= 11
        gate.set()
        await bed.clock.advance(2)
        assert len(bed.of("n0")) >= 10


async def test_a_receiver_that_fails_ends_the_collector_loudly():
    bed = Bed("ok")

    async def broken(slot, reports):
        raise OSError("disk full")

    task = asyncio.create_task(bed.collector.run(broken))
    await bed.clock.advance(5)
    with pytest.raises(OSError, match="disk full"):
        await task


async def test_poll_now_asks_at_once():
    async with Bed("ok", "dark").running() as bed:
        await bed.clock.advance(3 * INTERVAL_S)
        before, tries = len(bed.reports), bed.hosts["n1"].connects
        bed.collector.poll_now(["n0", "n1", "unknown"])
        await bed.clock.advance(2)
        assert bed.of("n0")[-1].at > bed.clock.now() - 3
        assert len(bed.reports) > before
        assert bed.hosts["n1"].connects == tries + 1


async def test_one_round_without_a_loop():
    bed = Bed("ok", "dark", "auth")
    reports = await bed.collector.round_once()
    assert [r.host for r in reports] == ["n0", "n1", "n2"]
    assert [r.error for r in reports] == [None, ErrorKind.UNREACHABLE, ErrorKind.AUTH]
    assert reports[0].blocks[0].rows[0][0] == 1.0


async def test_what_has_come_is_handed_over_before_an_end_behind_what_is_on_its_way():
    bed = Bed()
    report = HostReport("n0", 0.0, Reach.FRESH)
    bed.collector._pending = {60: {"n0": report}}
    gate, taken = asyncio.Event(), []

    async def slow(slot, reports):
        await gate.wait()
        taken.append(slot)

    first = asyncio.create_task(bed.collector.hand_over(slow))
    await asyncio.sleep(0)
    bed.collector._pending[120] = {"n0": report}
    last = asyncio.create_task(bed.collector.hand_over(slow))
    await asyncio.sleep(0)
    assert not last.done()
    gate.set()
    await asyncio.gather(first, last)
    assert taken == [60, 120]
    assert not bed.collector._pending
