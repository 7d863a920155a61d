"""The machine we run on: the same session as over SSH, but every command is a child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import cast

from fleetctl.errors import UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome, Output
from fleetctl.transport.base import MAX_OUTPUT_BYTES, EndReason
from fleetctl.transport.capture import Capture, Tail, finish

SHELL = "/bin/sh"
GRACE_S = 0.5  # between TERM and KILL


class LocalTransport:
    """Needs no limits: starting a child is cheap and nobody else is on the other side."""

    async def connect(self, host: Host) -> LocalSession:
        return LocalSession(host)

    async def close(self) -> None:
        return None


class LocalSession:
    """Commands of one host that is this machine. Each runs in a session of its own, so that it can be ended whole."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._closed = False
        self._running: set[_Child] = set()

    @property
    def host(self) -> Host:
        return self._host

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def facts(self) -> dict[str, str]:
        return {"via": "local", "server": os.uname().sysname + " " + os.uname().release}

    async def run(
        self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> Output:
        if self._closed:
            return Output("", "the session is closed", None, Outcome.LOST)
        capture = Capture(max_bytes)
        child = await self._start(command, capture.add)
        capture.when_full(child.kill)
        try:
            child.write(stdin)
            child.write_eof()
            timed_out = False
            try:
                async with asyncio.timeout(timeout_s):
                    await child.done.wait()
            except TimeoutError:
                timed_out = True
            # Of a child that was killed asyncio may know no status and make one up: 255.
            return finish(capture, child.exit_status, timed_out=timed_out, lost=self._closed)
        finally:
            child.kill()
            await child.gone.wait()

    async def stream(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        on_data: Callable[[bytes], None],
        on_end: Callable[[EndReason], None],
    ) -> LocalStream:
        if self._closed:
            raise UnreachableError(f"{self._host.name}: the session is closed", kind="closed")
        tail = Tail()

        def on_output(data: bytes, is_stderr: bool) -> None:
            if is_stderr:
                tail.add(data)
            else:
                on_data(data)

        child = await self._start(command, on_output)
        stream = LocalStream(child, tail, on_end)
        child.write(stdin)
        return stream

    async def close(self) -> None:
        self._closed = True
        for child in list(self._running):
            child.kill()
            await child.gone.wait()

    async def _start(self, command: str, on_output: Callable[[bytes, bool], None]) -> _Child:
        loop = asyncio.get_running_loop()
        try:
            transport, child = await loop.subprocess_exec(
                lambda: _Child(on_output), SHELL, "-c", command, start_new_session=True
            )
        except OSError as error:
            raise UnreachableError(
                f"{self._host.name}: {SHELL} does not start: {error}", hint="is the machine out of processes or memory?"
            ) from error
        child.attach(transport)
        if not child.gone.is_set():
            self._running.add(child)
            child.on_gone = lambda: self._running.discard(child)
        if self._closed:  # while it was being started
            child.kill()
        return child


class _Child(asyncio.SubprocessProtocol):
    """One child process and its group. `done`: it ended and its pipes are read; `gone`: nothing of it is left here."""

    def __init__(self, on_output: Callable[[bytes, bool], None]) -> None:
        self._on_output = on_output
        self._transport: asyncio.SubprocessTransport | None = None
        self._pid = 0
        self._open_pipes = 2
        self._exited = False
        self.done = asyncio.Event()
        self.gone = asyncio.Event()
        self.on_done: Callable[[], None] = lambda: None
        self.on_gone: Callable[[], None] = lambda: None

    def attach(self, transport: asyncio.SubprocessTransport) -> None:
        self._transport = transport
        self._pid = transport.get_pid()

    @property
    def exit_status(self) -> int | None:
        code = self._transport.get_returncode() if self._transport else None
        return None if code is None or code < 0 else code

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._on_output(data, fd == 2)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in (1, 2):
            self._open_pipes -= 1
            self._check_done()

    def process_exited(self) -> None:
        self._exited = True
        self._check_done()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_pipes = 0
        self._check_done()
        self.gone.set()
        self.on_gone()

    def _check_done(self) -> None:
        if self._exited and self._open_pipes <= 0 and not self.done.is_set():
            self.done.set()
            self.on_done()

    def write(self, data: bytes) -> None:
        pipe = self._stdin()
        if data and pipe is not None:
            pipe.write(data)

    def write_eof(self) -> None:
        pipe = self._stdin()
        if pipe is not None:
            pipe.write_eof()

    def _stdin(self) -> asyncio.WriteTransport | None:
        """None once it is closed. Not asked for its class: uvloop's pipes are not of asyncio's."""
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        return None if pipe is None or pipe.is_closing() else cast(asyncio.WriteTransport, pipe)

    def terminate(self) -> None:
        """TERM to the whole group, KILL a moment later."""
        self._signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(GRACE_S, self.kill)

    def kill(self) -> None:
        """End the whole group and stop reading; a grandchild that holds a pipe cannot keep us."""
        if not self.done.is_set():
            self._signal(signal.SIGKILL)
        if self._transport is not None:
            self._transport.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._pid and not self.gone.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, number)


class LocalStream:
    """A long-lived child."""

    def __init__(self, child: _Child, tail: Tail, on_end: Callable[[EndReason], None]) -> None:
        self._child = child
        self._tail = tail
        self._on_end = on_end
        self._ended: EndReason | None = None
        self._closing = False
        child.on_done = self._finish
        if child.done.is_set():
            asyncio.get_running_loop().call_soon(self._finish)

    @property
    def ended(self) -> EndReason | None:
        return self._ended

    def write(self, data: bytes) -> None:
        if self._ended is None:
            self._child.write(data)

    def write_eof(self) -> None:
        if self._ended is None:
            self._child.write_eof()

    def close(self) -> None:
        if self._ended is None and not self._closing:
            self._closing = True
            self._child.terminate()

    def _finish(self) -> None:
        if self._ended is None:
            status = self._child.exit_status
            text = "closed" if self._closing else f"the command ended with status {'-' if status is None else status}"
            self._ended = EndReason(None, text, status, self._tail.text)
            self._child.kill()
            self._on_end(self._ended)
