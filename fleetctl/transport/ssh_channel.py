"""Commands over one SSH connection: the callback end of a channel, with bounded output.

Everything here runs on the event loop between two packets; nothing awaits while data arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import asyncssh

from fleetctl.model.probe import Outcome, Output
from fleetctl.model.report import ErrorKind
from fleetctl.transport.base import EndReason
from fleetctl.transport.capture import Capture, Tail, finish

CLOSE_WAIT_S = 2.0  # for a host to confirm the end of a channel; a hung host never does


class _Channel(asyncssh.SSHClientSession[bytes]):
    """What a channel tells us. on_output(data, is_stderr); `ended` is set after the last data."""

    def __init__(self, on_output: Callable[[bytes, bool], None]) -> None:
        self.on_output = on_output
        self.exit_status: int | None = None
        self.signal: str | None = None
        self.lost: Exception | None = None
        self.got_end = False
        self.ended = asyncio.Event()
        self.on_end: Callable[[], None] = lambda: None

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.on_output(data, datatype is not None)

    def eof_received(self) -> bool:
        return True  # keep our side open: the exit status comes after it

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status
        self.got_end = True

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.signal = signal
        self.got_end = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.ended.set()
        self.on_end()


async def open_channel(
    conn: asyncssh.SSHClientConnection, command: str, on_output: Callable[[bytes, bool], None]
) -> tuple[asyncssh.SSHClientChannel[bytes], _Channel]:
    """Start a command. Raises asyncssh.Error or OSError."""
    session = _Channel(on_output)
    chan, _ = await conn.create_session(lambda: session, command, encoding=None)
    return chan, session


async def run_command(
    conn: asyncssh.SSHClientConnection, command: str, *, stdin: bytes, timeout_s: float, max_bytes: int
) -> Output:
    """One command, waited for; see `Session.run`."""
    capture = Capture(max_bytes)
    chan: asyncssh.SSHClientChannel[bytes] | None = None
    session: _Channel | None = None
    timed_out = False
    try:
        async with asyncio.timeout(timeout_s):
            chan, session = await open_channel(conn, command, capture.add)
            capture.when_full(chan.abort)  # what is on its way is thrown away unread
            if stdin:
                chan.write(stdin)
            chan.write_eof()
            await session.ended.wait()
    except TimeoutError:
        timed_out = True
    except (asyncssh.Error, OSError) as error:
        if chan is None:
            return Output("", f"the command could not be started: {error}", None, Outcome.LOST)
    finally:
        if chan is not None and session is not None and not session.ended.is_set():
            end_channel(chan)
    status = session.exit_status if session else None
    lost = session is None or not session.got_end
    return finish(capture, status, timed_out=timed_out, lost=lost)


def end_channel(chan: asyncssh.SSHClientChannel[Any]) -> None:
    """TERM for what runs there, then the end of the channel. OpenSSH passes signals on since 7.9; older ones do not,
    and what they run ends when it writes into the closed channel."""
    with contextlib.suppress(OSError, asyncssh.Error):
        chan.send_signal("TERM")
    chan.abort()


class SshStream:
    """A long-lived command; see `Stream`."""

    def __init__(self, on_data: Callable[[bytes], None], on_end: Callable[[EndReason], None]) -> None:
        self._on_data = on_data
        self._on_end = on_end
        self._tail = Tail()
        self._chan: asyncssh.SSHClientChannel[bytes] | None = None
        self._session: _Channel | None = None
        self._closing = False
        self._ended: EndReason | None = None

    async def open(self, conn: asyncssh.SSHClientConnection, command: str, stdin: bytes) -> None:
        self._chan, self._session = await open_channel(conn, command, self._receive)
        self._session.on_end = self._finish
        if self._session.ended.is_set():
            asyncio.get_running_loop().call_soon(self._finish)
        elif stdin:
            self._chan.write(stdin)

    @property
    def ended(self) -> EndReason | None:
        return self._ended

    def write(self, data: bytes) -> None:
        if self._chan is not None and self._ended is None and not self._chan.is_closing():
            with contextlib.suppress(OSError):
                self._chan.write(data)

    def write_eof(self) -> None:
        if self._chan is not None and self._ended is None and not self._chan.is_closing():
            with contextlib.suppress(OSError):
                self._chan.write_eof()

    def close(self) -> None:
        if self._chan is not None and self._ended is None and not self._closing:
            self._closing = True
            end_channel(self._chan)

    def _receive(self, data: bytes, is_stderr: bool) -> None:
        if is_stderr:
            self._tail.add(data)
        elif not self._closing:
            self._on_data(data)

    def _finish(self) -> None:
        session = self._session
        if self._ended is not None or session is None:
            return
        if self._closing:
            reason = EndReason(None, "closed", session.exit_status, self._tail.text)
        elif not session.got_end:
            text = f"the connection ended: {session.lost}" if session.lost else "the connection ended"
            reason = EndReason(ErrorKind.CLOSED, text, None, self._tail.text)
        elif session.signal is not None:
            reason = EndReason(None, f"the command was ended by SIG{session.signal}", None, self._tail.text)
        else:
            text = f"the command ended with status {session.exit_status}"
            reason = EndReason(None, text, session.exit_status, self._tail.text)
        self._ended = reason
        self._on_end(reason)
