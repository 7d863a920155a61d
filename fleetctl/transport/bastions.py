"""Jump hosts: one connection shared by many hosts, each through a channel of its own.

A channel to a port (direct-tcpip) does not count as a session, so sshd's MaxSessions does not apply; what bounds it is
sshd's file descriptors, one per channel out of a usual limit of 1024. Hence CHANNELS per connection, then another one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncssh

from fleetctl.clock import Clock
from fleetctl.errors import FleetctlError
from fleetctl.model.report import ErrorKind
from fleetctl.transport.backoff import Backoff
from fleetctl.transport.target import Target

CHANNELS = 500


@dataclass(slots=True)
class Shared:
    """One connection to a jump host and how many hosts use it."""

    conn: asyncssh.SSHClientConnection
    target: Target
    channels: int = 0

    @property
    def usable(self) -> bool:
        return self.channels < CHANNELS and not self.conn.is_closed()


@dataclass(slots=True)
class _Bastion:
    connections: list[Shared] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    failed: FleetctlError | None = None
    backoff: Backoff = field(default_factory=Backoff)


class Bastions:
    """All jump hosts of one transport. connect: makes a connection to a jump host, its own jump hosts included."""

    def __init__(
        self, connect: Callable[[Target], Awaitable[asyncssh.SSHClientConnection]], clock: Clock, rng: random.Random
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._rng = rng
        self._bastions: dict[str, _Bastion] = {}

    async def borrow(self, target: Target) -> Shared:
        """A connection with room; `give_back` it when the host's own connection ends.

        Raises what connecting raised; the thousand hosts behind a dead jump host do not try it a thousand times.
        """
        bastion = self._bastions.setdefault(f"{target.where}|{target.jumps}", _Bastion())
        async with bastion.lock:
            bastion.connections = [c for c in bastion.connections if not c.conn.is_closed()]
            for shared in bastion.connections:
                if shared.usable:
                    break
            else:
                shared = await self._add(bastion, target)
            shared.channels += 1
            return shared

    def give_back(self, shared: Shared) -> None:
        shared.channels -= 1

    @asynccontextmanager
    async def lent(self, target: Target) -> AsyncIterator[Shared]:
        """Borrow for setting up; given back only when that fails."""
        shared = await self.borrow(target)
        try:
            yield shared
        except BaseException:
            self.give_back(shared)
            raise

    def counts(self) -> dict[str, tuple[int, int]]:
        """Jump host -> (connections, channels in use)."""
        return {
            name.partition("|")[0]: (len(b.connections), sum(c.channels for c in b.connections))
            for name, b in self._bastions.items()
        }

    async def close(self) -> None:
        for bastion in self._bastions.values():
            for shared in bastion.connections:
                shared.conn.abort()
                await shared.conn.wait_closed()
        self._bastions.clear()

    async def _add(self, bastion: _Bastion, target: Target) -> Shared:
        if bastion.failed is not None and bastion.backoff.left_s(self._clock.monotonic()) > 0:
            raise _again(bastion.failed)
        try:
            conn = await self._connect(target)
        except FleetctlError as error:
            bastion.failed = error
            bastion.backoff.failed(ErrorKind(error.kind or ErrorKind.UNREACHABLE), self._clock.monotonic(), self._rng)
            raise _again(error) from error
        bastion.failed = None
        bastion.backoff.succeeded()
        shared = Shared(conn, target)
        bastion.connections.append(shared)
        return shared


def _again(error: FleetctlError) -> FleetctlError:
    """The same failure for one more host: exceptions carry a traceback, so one object must not be raised twice."""
    text = str(error)
    return type(error)(text if text.startswith("jump host") else f"jump host {text}", hint=error.hint, kind=error.kind)
