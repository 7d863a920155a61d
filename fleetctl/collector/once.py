"""One round without a loop, as `fleetctl poll` from cron and `fleetctl doctor` want it: connect, one command, close."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from fleetctl.clock import Clock
from fleetctl.collector.asking import ask_script
from fleetctl.config.schema import Config
from fleetctl.errors import FleetctlError
from fleetctl.model.host import Host
from fleetctl.model.report import ErrorKind, HostReport
from fleetctl.model.states import Reach
from fleetctl.probes.answers import HostAnswers
from fleetctl.probes.frames import FrameDecoder
from fleetctl.probes.kernel_log import FaultReader, KernelLog
from fleetctl.probes.plan import LoopForm, Plan
from fleetctl.probes.sections import Texts
from fleetctl.transport.pool import Connections, kind_of

TIMEOUT_S = 60.0
MAX_BYTES = 8 * 1024 * 1024
AT_ONCE = 64  # hosts in flight: enough to hide the network, few enough to bound memory


class Fleet(Protocol):
    """What a single round needs."""

    config: Config
    plan: Plan
    clock: Clock
    connections: Connections
    fault_readers: tuple[FaultReader, ...]


def once_script(plan: Plan) -> bytes:
    """All probes of a plan as one script: the quick ones in a first frame, the slow ones in a second.

    The host's own figures are asked first and again at the end, because a share of CPU needs two looks.
    """
    items = [item for item in plan.items if item.probe.command]
    quick = [item.id for item in items if not item.probe.background]
    slow = [item.id for item in items if item.probe.background]
    again = ["+", quick[0]] if quick and plan.by_id[quick[0]].probe.name == "system" else []
    script = plan.sh_script({item.id for item in items}, "R", 1, [*quick, *again])
    return script + (f"run_round L 2 {' '.join(slow)}\n".encode() if slow else b"")


async def ask_all_once(fleet: Fleet, hosts: Sequence[Host]) -> list[HostReport]:
    """One report per host, in the order given; a host that fails is data. Raises nothing for a host."""
    script = once_script(fleet.plan)
    reports: dict[str, HostReport] = {}
    waiting = iter(hosts)

    async def take() -> None:
        for host in waiting:
            reports[host.name] = await ask_once(fleet, host, script)

    await asyncio.gather(*(take() for _ in range(min(AT_ONCE, len(hosts)))))
    return [reports[host.name] for host in hosts]


async def ask_once(fleet: Fleet, host: Host, script: bytes) -> HostReport:
    """Connect, run the script, close the connection."""
    try:
        session = await fleet.connections.session(host)
        got = await ask_script(session, script, timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES)
    except FleetctlError as error:
        return _failed(fleet, host, kind_of(error), str(error))
    finally:
        await fleet.connections.drop(host.name)
    answers = HostAnswers(fleet.plan, KernelLog(fleet.fault_readers), fleet.config.poll.interval_s)
    answers.form = LoopForm.EXEC.value
    texts = Texts()
    now = fleet.clock.now()
    frames = FrameDecoder().feed(got.data)
    for frame in frames:
        answers.take(texts.read(frame.body), now)
    if not frames:
        return _failed(fleet, host, got.error or ErrorKind.GARBLED, got.text)
    return answers.report(host.name, now)


def _failed(fleet: Fleet, host: Host, kind: ErrorKind, text: str) -> HostReport:
    return HostReport(host.name, fleet.clock.now(), Reach.UNREACHABLE, kind, text[:400])
