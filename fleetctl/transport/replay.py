"""Hosts that are recordings: thousands of them without a network, for tests, benchmarks and questions after the fact.

A host of transport "replay" has a directory as its address (several hosts may share one; it is read once):

    replay.json    optional. {"speed": 1.0, "loop": true, "pace": "time", "connect_error": "", "connect_s": 0.0}
                   pace "time": stream records come at their `at`; "write": one record per write after the first;
                   connect_error: an ErrorKind, the host then fails to connect with it
    runs.jsonl     one command per line: {"match": "nvidia-smi*", "stdout": "...", "stderr": "", "exit_status": 0,
                   "outcome": "done", "took_s": 0.0}; match is a shell pattern over the whole command; first match wins;
                   a command without a match ends with status 127, as a missing tool does
    stream.jsonl   one piece of output per line: {"at": 0.0, "data": "..."}, or "base64" instead of "data" for bytes
                   that are not text; at: seconds since the start of the stream. The end of the file ends the stream
                   unless loop is true, which starts it again after the time between its last two records

`RecordingSession` writes such a directory from a live session.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import fnmatch
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetctl.clock import Clock, SystemClock
from fleetctl.errors import AuthError, FleetctlError, HostKeyError, TimedOutError, UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.report import ErrorKind
from fleetctl.transport.base import MAX_OUTPUT_BYTES, EndReason, Session, Stream
from fleetctl.transport.capture import Capture, finish

_ERRORS: dict[ErrorKind, type[FleetctlError]] = {
    ErrorKind.AUTH: AuthError,
    ErrorKind.HOST_KEY: HostKeyError,
    ErrorKind.TIMED_OUT: TimedOutError,
}


@dataclass(frozen=True, slots=True)
class _Run:
    match: str
    stdout: bytes
    stderr: bytes
    exit_status: int | None
    outcome: Outcome
    took_s: float


@dataclass(frozen=True, slots=True)
class Recording:
    """One directory, read."""

    path: Path
    speed: float
    loop: bool
    pace: str
    connect_error: ErrorKind | None
    connect_s: float
    runs: tuple[_Run, ...]
    stream: tuple[tuple[float, bytes], ...]


def load_recording(path: Path) -> Recording:
    """Read a directory. Raises UnreachableError naming file and line of what cannot be read."""
    if not path.is_dir():
        raise UnreachableError(
            f"no recording at {path}", hint="address of a replay host is a directory", kind="resolve"
        )
    settings = _parse(
        path / "replay.json", 1, (path / "replay.json").read_text() if _has(path, "replay.json") else "{}"
    )
    error = settings.get("connect_error") or None
    return Recording(
        path,
        speed=float(settings.get("speed", 1.0)),
        loop=bool(settings.get("loop", True)),
        pace=str(settings.get("pace", "time")),
        connect_error=ErrorKind(error) if error else None,
        connect_s=float(settings.get("connect_s", 0.0)),
        runs=tuple(
            _Run(
                str(r.get("match", "*")),
                str(r.get("stdout", "")).encode(),
                str(r.get("stderr", "")).encode(),
                r.get("exit_status", 0),
                Outcome(r.get("outcome", "done")),
                float(r.get("took_s", 0.0)),
            )
            for r in _lines(path / "runs.jsonl")
        ),
        stream=tuple((float(r.get("at", 0.0)), _data(r, path)) for r in _lines(path / "stream.jsonl")),
    )


def _has(path: Path, name: str) -> bool:
    return (path / name).is_file()


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [_parse(path, n, line) for n, line in enumerate(path.read_text().splitlines(), 1) if line.strip()]


def _parse(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UnreachableError(f"{path}:{number}: not JSON: {error}", hint="see fleetctl.transport.replay") from error
    if not isinstance(value, dict):
        raise UnreachableError(f"{path}:{number}: not an object", hint="see fleetctl.transport.replay")
    return value


def _data(record: dict[str, Any], path: Path) -> bytes:
    if "base64" not in record:
        return str(record.get("data", "")).encode()
    try:
        return base64.b64decode(record["base64"], validate=True)
    except (binascii.Error, TypeError) as error:
        raise UnreachableError(f"{path / 'stream.jsonl'}: {error}", hint="see fleetctl.transport.replay") from error


class ReplayTransport:
    """Plays recordings. root: where relative addresses start; a host without an address uses root/NAME."""

    def __init__(self, root: Path = Path(), *, clock: Clock | None = None) -> None:
        self._root = root
        self._clock = clock or SystemClock()
        self._recordings: dict[Path, Recording] = {}

    async def connect(self, host: Host) -> ReplaySession:
        path = self._root / (host.address or host.name)
        recording = self._recordings.get(path)
        if recording is None:
            recording = self._recordings[path] = load_recording(path)
        if recording.connect_s:
            await self._clock.sleep(recording.connect_s / recording.speed)
        if recording.connect_error is not None:
            kind = recording.connect_error
            error = _ERRORS.get(kind, UnreachableError)
            raise error(f"{host.name}: {kind} (recorded in {path})", hint="this host is a recording", kind=kind)
        return ReplaySession(host, recording, self._clock)

    async def close(self) -> None:
        self._recordings.clear()


class ReplaySession:
    """One recorded host."""

    def __init__(self, host: Host, recording: Recording, clock: Clock) -> None:
        self._host = host
        self._recording = recording
        self._clock = clock
        self._closed = False
        self._streams: set[_ReplayStream] = set()

    @property
    def host(self) -> Host:
        return self._host

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def facts(self) -> dict[str, str]:
        return {"via": "replay", "address": str(self._recording.path)}

    async def run(
        self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> Output:
        if self._closed:
            return Output("", "the session is closed", None, Outcome.LOST)
        run = next((r for r in self._recording.runs if fnmatch.fnmatchcase(command, r.match)), None)
        if run is None:
            return Output("", "not in the recording", 127, Outcome.MISSING)
        took_s = run.took_s / self._recording.speed
        if took_s:
            await self._clock.sleep(min(took_s, timeout_s))
        capture = Capture(max_bytes)
        capture.add(run.stdout, False)
        capture.add(run.stderr, True)
        output = finish(capture, run.exit_status, timed_out=took_s > timeout_s, lost=False)
        if output.outcome is Outcome.DONE and run.outcome is not Outcome.DONE:
            return Output(output.stdout, output.stderr, run.exit_status, run.outcome)
        return output

    async def stream(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        on_data: Callable[[bytes], None],
        on_end: Callable[[EndReason], None],
    ) -> Stream:
        if self._closed:
            raise UnreachableError(f"{self._host.name}: the session is closed", kind=ErrorKind.CLOSED)
        stream = _ReplayStream(self._recording, self._clock, on_data, on_end)
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        self._closed = True
        for stream in self._streams:
            stream.end(EndReason(ErrorKind.CLOSED, "the connection ended"))
        self._streams.clear()


class _ReplayStream:
    """One running stream; a task plays it."""

    def __init__(
        self,
        recording: Recording,
        clock: Clock,
        on_data: Callable[[bytes], None],
        on_end: Callable[[EndReason], None],
    ) -> None:
        self._recording = recording
        self._clock = clock
        self._on_data = on_data
        self._on_end = on_end
        self._ended: EndReason | None = None
        self._writes = asyncio.Semaphore(0)
        self._task = asyncio.create_task(self._play())

    @property
    def ended(self) -> EndReason | None:
        return self._ended

    def write(self, data: bytes) -> None:
        self._writes.release()

    def write_eof(self) -> None:
        return None

    def close(self) -> None:
        self.end(EndReason(None, "closed"))

    def end(self, reason: EndReason) -> None:
        if self._ended is None:
            self._ended = reason
            self._task.cancel()
            self._on_end(reason)

    async def _play(self) -> None:
        records = self._recording.stream
        while records and self._ended is None:
            before = 0.0
            for at, data in records:
                if self._recording.pace == "write":
                    await self._writes.acquire()
                elif at > before:
                    await self._clock.sleep((at - before) / self._recording.speed)
                    before = at
                self._on_data(data)
            if not self._recording.loop:
                break
            gap = records[-1][0] - records[-2][0] if len(records) > 1 else 1.0
            if self._recording.pace != "write":
                await self._clock.sleep(max(gap, 0.001) / self._recording.speed)
        if self._ended is None:
            self._ended = EndReason(None, "the recording ended", 0)
            self._on_end(self._ended)


class RecordingSession:
    """A live session that also writes what it hears into a directory in the format above."""

    def __init__(self, session: Session, path: Path, clock: Clock | None = None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._session = session
        self._path = path
        self._clock = clock or SystemClock()

    @property
    def host(self) -> Host:
        return self._session.host

    @property
    def closed(self) -> bool:
        return self._session.closed

    @property
    def facts(self) -> dict[str, str]:
        return self._session.facts

    async def run(
        self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> Output:
        start = self._clock.monotonic()
        output = await self._session.run(command, stdin=stdin, timeout_s=timeout_s, max_bytes=max_bytes)
        record = {
            "match": _literal(command),
            "stdout": output.stdout,
            "stderr": output.stderr,
            "exit_status": output.exit_status,
            "outcome": str(output.outcome),
            "took_s": round(self._clock.monotonic() - start, 3),
        }
        self._append("runs.jsonl", record)
        return output

    async def stream(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        on_data: Callable[[bytes], None],
        on_end: Callable[[EndReason], None],
    ) -> Stream:
        start = self._clock.monotonic()

        def record(data: bytes) -> None:
            at = round(self._clock.monotonic() - start, 3)
            try:
                self._append("stream.jsonl", {"at": at, "data": data.decode()})
            except UnicodeDecodeError:
                self._append("stream.jsonl", {"at": at, "base64": base64.b64encode(data).decode()})
            on_data(data)

        return await self._session.stream(command, stdin=stdin, on_data=record, on_end=on_end)

    async def close(self) -> None:
        await self._session.close()

    def _append(self, name: str, record: dict[str, Any]) -> None:
        with (self._path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _literal(command: str) -> str:
    """The command as a pattern that matches only itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in command)
