"""The demo building's own wire: one TCP port, one JSON line per question and answer, many questions at once.

`demo://127.0.0.1:PORT/bmc/HOST` and `demo://127.0.0.1:PORT/DEVICE` are read like any other endpoint. A device that is dark
does not answer; the console has to find that out by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from fleetctl.errors import ParseError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.model.facility import EndpointReport, Measurement, PointState, RawValue

_MAX_LINE = 64 * 1024
Tell = Callable[[str, float], dict[str, Any] | None]


class BuildingServer:
    """Answers for a whole building. port: known after `start`."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_LINE)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                number, _, path = line.decode("utf-8", "replace").strip().partition(" ")
                answer = self._tell(path, time.time())
                if answer is not None:
                    writer.write(f"{number} {json.dumps(answer)}\n".encode())
                    await writer.drain()
        self._open.discard(writer)
        writer.close()


class _Line:
    """One connection that all endpoints of a building share in one event loop."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self._lock = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._number = 0
        self.users = 0

    async def ask(self, path: str, timeout_s: float) -> str:
        """The answer's JSON. Raises UnreachableError and TimedOutError."""
        name = "{}:{}".format(*self._where)
        async with self._lock:
            if self._writer is None or self._writer.is_closing():
                try:
                    reader, self._writer = await asyncio.open_connection(*self._where, limit=_MAX_LINE)
                except OSError as error:
                    raise UnreachableError(f"{name}: {error.strerror or error}", hint="is the demo running?") from None
                self._reading = asyncio.create_task(self._read(reader))
            self._number += 1
            number = str(self._number)
            answer = self._waiting[number] = asyncio.get_running_loop().create_future()
            self._writer.write(f"{number} {path}\n".encode())
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            raise TimedOutError(f"{path} did not answer within {timeout_s:g} s") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                number, _, text = line.decode("utf-8", "replace").partition(" ")
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    future.set_result(text)
        if self._writer is not None:
            self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(UnreachableError("the demo building hung up", hint="is the demo running?"))

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()


_LINES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], _Line]] = WeakKeyDictionary()


class BuildingSource:
    """One endpoint of a demo building; a complete reading and a poll are the same question."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._line: _Line | None = None

    async def read(self) -> EndpointReport:
        path = self._endpoint.path.strip("/")
        if self._line is None:
            lines = _LINES.setdefault(asyncio.get_running_loop(), {})
            where = (self._endpoint.host, self._endpoint.port)
            self._line = lines.setdefault(where, _Line(*where))
            self._line.users += 1
        text = await self._line.ask(path, self._endpoint.timeout_s)
        return report_of(self._endpoint.url, path, text, time.time())

    async def poll(self) -> EndpointReport:
        return await self.read()

    async def explain(self) -> list[RawValue]:
        report = await self.read()
        return [RawValue(r.source, r.raw, f"{r.value:g} {r.unit}", r.quantity) for r in report.readings]

    async def close(self) -> None:
        if self._line is not None:
            self._line.users -= 1
            if not self._line.users:
                _LINES[asyncio.get_running_loop()].pop((self._endpoint.host, self._endpoint.port), None)
                await self._line.close()
            self._line = None


def report_of(url: str, path: str, text: str, at: float) -> EndpointReport:
    """An answer as a report. Raises ParseError where it is not one."""
    try:
        told = json.loads(text)
        readings = tuple(
            Measurement(str(quantity), str(where), float(value), str(unit), f"{quantity}/{where}", str(value), at)
            for quantity, where, value, unit in told["readings"]
        )
        states = tuple(
            PointState(str(what), str(where), str(word), f"{what}/{where}", str(word), at, bool(bad))
            for what, where, word, bad in told.get("states", ())
        )
        total = readings[told["total"]]
        device = {"vendor": "demo", "model": str(told["model"])}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ParseError(f"{path}: not the answer of a demo building ({type(error).__name__})") from None
    return EndpointReport(
        url, "demo", at, readings, states, total_power_w=total.value, total_power_source=total.source, device=device
    )


def open_source(endpoint: Endpoint) -> BuildingSource:
    """What the plugin names for demo://."""
    return BuildingSource(endpoint)
