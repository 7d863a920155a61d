"""The real loop over real OpenSSH servers: a tool that hangs, a host that goes dark, garbage, and what is said of them."""

from __future__ import annotations

import asyncio

import pytest

from fleetctl.collector.collector import Collector
from fleetctl.config.schema import Config, HostGroup, Poll, Site, Ssh
from fleetctl.inventory.inventory import build_inventory
from fleetctl.model.probe import Output, Probe
from fleetctl.model.reading import ProbeResult
from fleetctl.model.report import ErrorKind
from fleetctl.model.states import Reach
from fleetctl.plugin import Plugin
from fleetctl.transport.build import build_transports
from tests.fakes.hostbed import LIMIT_S, running_bed

pytestmark = [pytest.mark.peers]


def nothing(output: Output) -> ProbeResult:
    return ProbeResult()


@pytest.fixture
def bed():
    with running_bed("-n", "5") as made:
        yield made


async def test_states_of_real_hosts(bed):
    names = [host.name for host in bed.hosts]
    config = Config(
        sites=tuple(Site(name=site) for site in sorted({host.site for host in bed.hosts})),
        hosts=tuple(HostGroup(nodes=host.name, site=host.site) for host in bed.hosts),
        poll=Poll(interval_s=1.0, quiet_interval_s=1.0),
        ssh=Ssh(
            config=str(bed.folder / "ssh_config"),
            known_hosts=str(bed.folder / "known_hosts"),
            identity_files=(str(bed.folder / "keys/client"),),
            host_keys=str(bed.folder / "accepted"),
            connect_timeout_s=3.0,
        ),
    )
    probe = Probe("acme.smi", "nvidia-smi -L", nothing, detect="command -v nvidia-smi", timeout_s=1.0)
    plugin = Plugin(name="acme", title="Acme", probes=(probe,))
    collector = Collector(config, build_inventory(config), build_transports(config), [plugin])
    last = {}
    changed = asyncio.Event()

    async def take(slot, reports):
        last.update((report.host, report) for report in reports)
        changed.set()

    async def until(condition):
        async with asyncio.timeout(3 * LIMIT_S):
            while not condition():
                changed.clear()
                await changed.wait()

    task = asyncio.create_task(collector.run(take))
    try:
        await until(lambda: len(last) == 4 and all(r.reach is Reach.FRESH for r in last.values()))
        assert last[names[0]].facts["loop"] == "python"
        await asyncio.to_thread(bed, "fault", f"{names[0]}/nvidia-smi", "hardhang")
        await until(lambda: last[names[0]].reach is Reach.HUNG and last[names[1]].reach is Reach.FRESH)
        assert last[names[0]].blocks[0].rows
        await asyncio.to_thread(bed, "fault", names[1], "down")
        await until(lambda: last[names[1]].reach is Reach.UNREACHABLE)
        assert last[names[1]].error in (ErrorKind.CLOSED, ErrorKind.UNREACHABLE, ErrorKind.TIMED_OUT)
        await asyncio.to_thread(bed, "heal", f"{names[0]}/nvidia-smi")
        await until(lambda: last[names[0]].reach is Reach.FRESH)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
