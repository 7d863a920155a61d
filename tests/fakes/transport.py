"""A transport whose hosts do as they are told: answer, stay silent, refuse, talk nonsense, lack python. On a FakeClock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fleetctl.errors import AuthError, UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.report import ErrorKind
from fleetctl.probes.host_loop import frame
from fleetctl.transport.base import EndReason
from tests.fakes.clock import FakeClock


@dataclass
class FakeHost:
    """mode: ok, dark, auth, silent (connects, says nothing), garbage, hung (a tool does not end), no-python, no-loop
    (only scripts). load: what the next frames say."""

    mode: str = "ok"
    load: float = 1.0
    connects: int = 0
    streams: list[FakeStream] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def body(self, clock: FakeClock) -> bytes:
        row = f"host\n[[{self.load},5.0,8,100,200,0,1,1,{clock.monotonic():.0f}]]\n".encode()
        hung = b"\x1d1 h -1 0 f\n\x1cprocess 7 does not end" if self.mode == "hung" else b""
        return b"%.3f 0\x1d0 d 0 1 f\n" % clock.now() + row + hung

    def lose(self) -> None:
        """The connection breaks."""
        for stream in list(self.streams):
            stream.session.closed = True
            stream.end(EndReason(ErrorKind.CLOSED, "the connection ended"))


class FakeTransport:
    def __init__(self, clock: FakeClock, hosts: dict[str, FakeHost]) -> None:
        self.clock = clock
        self.hosts = hosts

    async def connect(self, host: Host) -> FakeSession:
        fake = self.hosts[host.name]
        fake.connects += 1
        await asyncio.sleep(0)
        if fake.mode == "dark":
            raise UnreachableError(f"{host.name}: no answer", hint="look at it")
        if fake.mode == "auth":
            raise AuthError(f"{host.name}: permission denied", hint="add the key")
        return FakeSession(host, fake, self.clock)

    async def close(self) -> None:
        return None


class FakeSession:
    def __init__(self, host: Host, fake: FakeHost, clock: FakeClock) -> None:
        self.host = host
        self.fake = fake
        self.clock = clock
        self.closed = False
        self.facts: dict[str, str] = {}

    async def run(
        self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0, max_bytes: int = 1 << 20
    ) -> Output:
        return Output("", "not asked in these tests", 1, Outcome.DONE)

    async def stream(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        on_data: Callable[[bytes], None],
        on_end: Callable[[EndReason], None],
    ) -> FakeStream:
        if self.closed:
            raise UnreachableError(f"{self.host.name}: the session is closed", kind="closed")
        self.fake.commands.append(command)
        return FakeStream(self, command, stdin, on_data, on_end)

    async def close(self) -> None:
        self.closed = True
        for stream in list(self.fake.streams):
            stream.end(EndReason(None, "closed"))


class FakeStream:
    """The loop on a host, as far as the console can tell."""

    def __init__(
        self,
        session: FakeSession,
        command: str,
        stdin: bytes,
        on_data: Callable[[bytes], None],
        on_end: Callable[[EndReason], None],
    ) -> None:
        self.session = session
        self.fake, self.clock = session.fake, session.clock
        self.on_data, self.on_end = on_data, on_end
        self.ended: EndReason | None = None
        self.seq = 0
        self.interval_s = 0.0
        self.tasks: set[asyncio.Task[None]] = set()
        self.form = "python" if "python3" in command else "sh" if "fleetctl:end" in command else "exec"
        self.fake.streams.append(self)
        self._spawn(self._begin(stdin))

    def _spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self.tasks.add(task)

    async def _begin(self, stdin: bytes) -> None:
        mode = self.fake.mode
        if mode == "garbage":
            self.on_data(b"Welcome to \x1b[31mACME\x1b[0m\n" * 5)
        elif mode == "no-loop" and self.form != "exec":
            self.end(EndReason(None, "ended", 1, "sorry, no shell"))
        elif mode == "no-python" and self.form == "python":
            self.on_data(b"fleetctl-no-python\n")
            self.end(EndReason(None, "ended", 0))
        elif self.form == "exec":
            self.send("R")
            self.end(EndReason(None, "ended", 0))
        elif mode != "silent":
            self.on_data(frame("H", 0, b"fake"))
            if self.form == "python":
                self.write(stdin[8 + int(stdin[:8]) :])

    def send(self, kind: str = "R") -> None:
        if self.ended is None and self.fake.mode in ("ok", "hung", "no-python", "no-loop"):
            self.seq += 1
            self.on_data(frame(kind, self.seq, self.fake.body(self.clock)))

    def write(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            self.fake.lines.append(line)
            word, *rest = line.split()
            if word == "n" or word == "r":
                self.send()
            elif word == "i":
                self.interval_s = float(rest[0])
                self._spawn(self._rounds(float(rest[1])))

    async def _rounds(self, wait_s: float) -> None:
        await self.clock.sleep(wait_s)
        while self.ended is None:
            self.send()
            await self.clock.sleep(self.interval_s)

    def write_eof(self) -> None:
        return None

    def close(self) -> None:
        self.end(EndReason(None, "closed by us"))

    def end(self, reason: EndReason) -> None:
        if self.ended is None:
            self.ended = reason
            self.fake.streams.remove(self)
            for task in self.tasks:
                if task is not asyncio.current_task():
                    task.cancel()
            self.on_end(reason)
