"""The way to a host's sshd up to the moment it speaks: a socket, or a channel through a jump host.

Waiting here costs nobody anything, so dark and silent hosts wait here and not in the few slots for handshakes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import asyncssh

from fleetctl.transport.target import Target


async def open_socket(target: Target) -> socket.socket:
    """A connected socket whose other side has begun to speak. Raises OSError (gaierror for a name); the caller bounds
    the time: with several addresses each is tried for its share of what is left."""
    loop = asyncio.get_running_loop()
    addresses = await _addresses(target)
    deadline = loop.time() + target.connect_timeout_s
    problem: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for number, (family, address) in enumerate(addresses):
        share = max(0.1, (deadline - loop.time()) / (len(addresses) - number))
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(share):
                await loop.sock_connect(sock, address)
                await _readable(loop, sock)
            return sock
        except TimeoutError as error:
            problem = error
            sock.close()
        except OSError as error:
            problem = error
            sock.close()
        except BaseException:
            sock.close()
            raise
    raise problem


async def _addresses(target: Target) -> list[tuple[int, Any]]:
    try:
        ip = ipaddress.ip_address(target.hostname)
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.hostname, target.port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]
    return [(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, (target.hostname, target.port))]


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Until there is something to read, be it the end. The reader is gone before the socket can be closed: a reader
    left behind would be taken for one of the next socket that gets the same number."""
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


class HeldChannel(asyncssh.SSHTCPSession[bytes]):
    """A channel through a jump host that keeps what arrives until an SSH connection takes it over.

    To asyncssh it is a `tunnel`: `create_connection` hands the open channel to the connection that it makes.
    """

    def __init__(self) -> None:
        self._chan: asyncssh.SSHTCPChannel[bytes] | None = None
        self._conn: Any = None
        self._kept: list[bytes] = []
        self._spoke = asyncio.Event()
        self._lost: tuple[Exception | None] | None = None
        self._eof = False
        self._paused = False

    @classmethod
    async def open(cls, jump: asyncssh.SSHClientConnection, target: Target) -> HeldChannel:
        """A channel whose far end has begun to speak. Raises asyncssh.ChannelOpenError; the caller bounds the time."""
        held = cls()
        try:
            await jump.create_connection(lambda: held, target.hostname, target.port)
            await held._spoke.wait()
        except BaseException:
            held.abort()
            raise
        return held

    async def create_connection(self, factory: Any, _host: str, _port: int) -> tuple[Any, Any]:
        self._conn = factory()
        self._conn.connection_made(self._chan)
        for data in self._kept:
            self._conn.data_received(data)
        self._kept.clear()
        if self._paused and self._chan is not None:
            self._chan.resume_reading()
        if self._eof:
            self._conn.eof_received()
        if self._lost is not None:
            self._conn.connection_lost(*self._lost)
        return self._chan, self._conn

    def abort(self) -> None:
        if self._chan is not None:
            self._chan.abort()

    # what the channel tells us

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        self._chan = chan

    def session_started(self) -> None:
        return None

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._conn is not None:
            self._conn.data_received(data, datatype)
        else:
            self._kept.append(data)
            self._spoke.set()
            if len(self._kept) > 64 and self._chan is not None:  # a stranger that talks before it listens
                self._paused = True
                self._chan.pause_reading()

    def eof_received(self) -> bool:
        if self._conn is not None:
            return bool(self._conn.eof_received())
        self._eof = True
        self._spoke.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._conn is not None:
            self._conn.connection_lost(exc)
        else:
            self._lost = (exc,)
            self._spoke.set()

    def pause_writing(self) -> None:
        if self._conn is not None:
            self._conn.pause_writing()

    def resume_writing(self) -> None:
        if self._conn is not None:
            self._conn.resume_writing()
