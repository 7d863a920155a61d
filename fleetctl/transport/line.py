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

GREETING_BYTES = 64  # looked at before the handshake


class SilentError(TimeoutError):
    """The port is open, but nobody speaks."""


class ShutError(ConnectionError):
    """The other side ended the connection before its first word."""


class StrangerError(ConnectionError):
    """What answers does not speak SSH; the argument is how it began."""


async def open_socket(target: Target) -> socket.socket:
    """A connected socket whose other side has begun to speak, within target.connect_timeout_s; with several addresses
    each is tried for its share of what is left of it.

    Raises OSError: gaierror for the name, TimeoutError, SilentError, ShutError, StrangerError, or what the system says.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + target.connect_timeout_s
    async with asyncio.timeout_at(deadline):
        addresses = await _addresses(target)
    problem: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for number, (family, address) in enumerate(addresses):
        share = max(0.1, (deadline - loop.time()) / (len(addresses) - number))
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            connected = False
            try:
                async with asyncio.timeout(share):
                    await loop.sock_connect(sock, address)
                    connected = True
                    await _readable(loop, sock)
            except TimeoutError as error:
                raise SilentError if connected else error from None
            _check_greeting(sock.recv(GREETING_BYTES, socket.MSG_PEEK))
            return sock
        except OSError as error:
            problem = error
            sock.close()
        except BaseException:
            sock.close()
            raise
    raise problem


def _check_greeting(start: bytes) -> None:
    """RFC 4253 lets a server say lines of text before its version, so only what cannot be text is refused here."""
    if not start:
        raise ShutError
    if not start.startswith(b"SSH-") and any(byte < 9 or 13 < byte < 32 for byte in start):
        raise StrangerError(start)


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
        """A channel whose far end has begun to speak, within target.connect_timeout_s.

        Raises asyncssh.ChannelOpenError, TimeoutError, SilentError, ShutError or StrangerError.
        """
        held = cls()
        try:
            async with asyncio.timeout(target.connect_timeout_s):
                await jump.create_connection(lambda: held, target.hostname, target.port)
                await held._spoke.wait()
            _check_greeting(b"".join(held._kept)[:GREETING_BYTES])
        except TimeoutError as error:
            held.abort()
            raise SilentError if held._chan is not None else error from None
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
