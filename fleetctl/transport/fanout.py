"""One command on many hosts: so many at once, each answer handed over as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from fleetctl.clock import Clock, SystemClock
from fleetctl.errors import FleetctlError
from fleetctl.model.host import Host
from fleetctl.model.probe import Output
from fleetctl.model.report import ErrorKind
from fleetctl.transport.pool import Connections, kind_of


@dataclass(frozen=True, slots=True)
class HostOutput:
    """What one host answered. output: None when it was not reached, then error, text and hint say why."""

    host: str
    output: Output | None
    took_s: float
    error: ErrorKind | None = None
    text: str = ""
    hint: str = ""
    exit_code: int = 0  # of the error, as in DOMAIN's exit codes


async def run_on_hosts(
    connections: Connections,
    hosts: Iterable[Host],
    command: str,
    *,
    stdin: bytes = b"",
    timeout_s: float = 60.0,
    max_bytes: int = 1 << 20,
    fanout: int = 64,
    clock: Clock | None = None,
) -> AsyncIterator[HostOutput]:
    """Run a command everywhere, at most `fanout` at once; answers in the order they come. A host that fails is an
    answer. Ending the iteration early cancels what still runs."""
    clock = clock or SystemClock()
    answers: asyncio.Queue[HostOutput] = asyncio.Queue()
    left = list(hosts)
    waiting = len(left)
    left.reverse()

    async def worker() -> None:
        while left:
            answers.put_nowait(await _run_one(connections, left.pop(), command, stdin, timeout_s, max_bytes, clock))

    workers = [asyncio.create_task(worker()) for _ in range(min(fanout, waiting))]
    try:
        for _ in range(waiting):
            yield await answers.get()
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _run_one(
    connections: Connections, host: Host, command: str, stdin: bytes, timeout_s: float, max_bytes: int, clock: Clock
) -> HostOutput:
    start = clock.monotonic()
    try:
        session = await connections.session(host)
        output = await session.run(command, stdin=stdin, timeout_s=timeout_s, max_bytes=max_bytes)
    except FleetctlError as error:
        took_s = clock.monotonic() - start
        return HostOutput(host.name, None, took_s, kind_of(error), str(error), error.hint, error.exit_code)
    answer = HostOutput(host.name, output, clock.monotonic() - start)
    with contextlib.suppress(FleetctlError):
        await connections.drop(host.name)  # nobody asks this host again; 12,500 idle connections help nobody
    return answer
