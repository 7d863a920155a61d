"""A Modbus TCP endpoint as a source. One socket; blocks first, single points where a block is refused."""

from __future__ import annotations

import asyncio
import logging
import time

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from fleetctl.errors import FleetctlError, ParseError, TimedOutError, UnreachableError, UsageError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.facility.quantity import canonical, plausible
from fleetctl.model.facility import (
    EndpointReport,
    Measurement,
    PointState,
    RawValue,
    SourceFinding,
    SourceTrouble,
    Unknown,
)
from fleetctl_modbus import sunspec
from fleetctl_modbus.decode import blocks, decode, hex_of, power_of_ten, registers_of, score
from fleetctl_modbus.register_map import Point, RegisterMap, known_maps, load_map
from fleetctl_modbus.scan import register_row, scan

# The library would say again what the source's own error says, and dump the bytes of other devices beside it.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
GOOD_FIT = 0.9  # a map that was not named must explain nearly all it reads
_BUSY = 6  # exception code: device busy
_TRIES = 3


class RefusedError(FleetctlError):
    """The device answered with an exception: code 2 is an address that it does not have."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text, hint="the map does not fit, or the device is busy")
        self.code = code


class ModbusSource:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        number = endpoint.options.get("unit") or endpoint.path.strip("/") or "1"
        if not number.isdigit() or int(number) > 255:
            raise UsageError(f"no unit {number!r}", hint="modbus://host:502/UNIT?map=NAME, unit 0 to 255")
        self.unit = int(number)
        self._client: AsyncModbusTcpClient | None = None
        self._map: RegisterMap | None = None
        self._guessed = False
        self._lock = asyncio.Lock()

    async def _open(self) -> AsyncModbusTcpClient:
        if self._client is None:
            self._client = AsyncModbusTcpClient(
                self.endpoint.host,
                port=self.endpoint.port,
                timeout=min(self.endpoint.timeout_s, 30.0),
                retries=1,
                reconnect_delay=0,
            )
        if not self._client.connected:
            try:
                connected = await self._client.connect()
            except OSError as error:
                raise UnreachableError(f"{self.endpoint.url}: {error}", hint="is it there?") from None
            if not connected:
                raise UnreachableError(f"{self.endpoint.url}: no connection", hint="is it there, and is port 502 open?")
        return self._client

    async def _read(self, area: str, first: int, count: int) -> list[int]:
        """Registers. Raises RefusedError, TimedOutError, UnreachableError, ParseError."""
        for attempt in range(_TRIES):
            client = await self._open()
            ask = client.read_input_registers if area == "input" else client.read_holding_registers
            try:
                answer = await ask(first, count=count, device_id=self.unit)
            except ModbusException as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # the library turns being cancelled into its own error
                    raise asyncio.CancelledError from None
                client.close()
                self._client = None
                said = str(error)
                if "No response" in said or "timeout" in said.lower():
                    raise TimedOutError(
                        f"{self.endpoint.url}: no answer to {area} {first}", hint="is the unit number right?"
                    ) from None
                raise UnreachableError(f"{self.endpoint.url}: {said[:160]}", hint="it is asked again later") from None
            except (OSError, TimeoutError) as error:
                raise UnreachableError(f"{self.endpoint.url}: {error}", hint="it is asked again later") from None
            if answer.isError():
                code = int(getattr(answer, "exception_code", 0))
                if code == _BUSY and attempt < _TRIES - 1:
                    await asyncio.sleep(0.2 * (attempt + 1))
                    continue
                raise RefusedError(code, f"{area} {first} to {first + count - 1}: exception {code}")
            registers = list(answer.registers)
            if len(registers) < count:
                raise ParseError(f"{self.endpoint.url}: {len(registers)} registers instead of {count}")
            return registers[:count]
        raise AssertionError("not reached")

    async def _memory(
        self, register_map: RegisterMap, findings: list[SourceFinding] | None
    ) -> dict[tuple[str, int], int]:
        """All registers of a map. findings None: the first refusal is raised, for trying a map out."""
        out: dict[tuple[str, int], int] = {}
        for area, first, count in blocks(register_map.points, register_map.gaps):
            try:
                for i, value in enumerate(await self._read(area, first, count)):
                    out[area, first + i] = value
            except RefusedError:
                if findings is None:
                    raise
                inside = [p for p in register_map.points if p.area == area and first <= p.addr < first + count]
                for point in inside:
                    await self._single(point, out, findings)
        return out

    async def _single(self, point: Point, out: dict[tuple[str, int], int], findings: list[SourceFinding]) -> None:
        try:
            for i, value in enumerate(await self._read(point.area, point.addr, point.words)):
                out[point.area, point.addr + i] = value
        except RefusedError as error:
            findings.append(SourceFinding(SourceTrouble.REFUSED, f"{point.name}: {error}", str(point.addr)))

    async def _find_map(self) -> RegisterMap:
        """The named map, else what a SunSpec device lists, else the shipped map that explains everything it reads."""
        if self.endpoint.map_path and self.endpoint.map_path != "sunspec":
            return load_map(self.endpoint.map_path, self.endpoint.maps)
        listed = await sunspec.find_map(self._read, RefusedError)
        if listed is not None:
            return listed
        if self.endpoint.map_path:
            raise ParseError(f"{self.endpoint.url}: lists no SunSpec model that is known", hint="leave ?map= out")
        fitting: list[tuple[float, int, RegisterMap]] = []
        for register_map in known_maps(self.endpoint.maps):
            try:
                memory = await self._memory(register_map, None)
            except RefusedError:
                continue
            fit = score(register_map, memory)
            if fit >= GOOD_FIT:
                fitting.append((fit, len(register_map.points), register_map))
        if not fitting:
            raise ParseError(
                f"{self.endpoint.url}: none of the {len(known_maps(self.endpoint.maps))} register maps fits",
                hint="name one with ?map=, or write one with the help of fleetctl facility explain",
            )
        self._guessed = True
        return max(fitting, key=lambda f: (f[1], f[0]))[2]

    async def read(self) -> EndpointReport:
        self._map = await self._find_map()
        return await self.poll()

    async def poll(self) -> EndpointReport:
        async with self._lock:
            if self._map is None:
                self._map = await self._find_map()
            findings: list[SourceFinding] = []
            memory = await self._memory(self._map, findings)
        if not memory and findings:
            raise ParseError(f"{self.endpoint.url}: {findings[0].text}", hint="is the map the right one?")
        return self._report(self._map, memory, findings)

    def _report(
        self, register_map: RegisterMap, memory: dict[tuple[str, int], int], findings: list[SourceFinding]
    ) -> EndpointReport:
        at = time.time()
        readings: list[Measurement] = []
        states: list[PointState] = []
        unknown: list[Unknown] = []
        texts: dict[str, str] = {}
        totals: dict[int, tuple[float, str]] = {}
        for point in register_map.points:
            registers = registers_of(point, memory)
            if registers is None:
                continue
            source, raw = f"{point.area} {point.addr}", hex_of(registers)
            value = decode(point, registers, power_of_ten(point, memory))
            if isinstance(value, str):
                texts[point.name] = value
            elif value is None:
                unknown.append(Unknown(point.quantity, point.where, source, raw))
            elif point.quantity == "state":
                states.append(_state(point, value, source, raw, at))
            elif not plausible(point.quantity, value, point.unit):
                text = f"{point.name}: {value:g} {point.unit} cannot be (raw {raw})"
                findings.append(SourceFinding(SourceTrouble.IMPLAUSIBLE, text, source))
            else:
                readings.append(Measurement(point.quantity, point.where, value, point.unit, source, raw, at))
                if point.total:
                    totals[point.total] = (canonical(value, point.unit)[0], f"{point.name} ({source})")
        total = totals[min(totals)] if totals else None
        device = {"vendor": register_map.vendor, "product": register_map.product, "map": register_map.name}
        if self._guessed:
            device["map_from"] = "fits all it reads; name it with ?map= to be sure"
        device.update({k: v for k, v in texts.items() if v})
        return EndpointReport(
            url=self.endpoint.url,
            kind="modbus",
            at=at,
            readings=tuple(readings),
            states=tuple(states),
            unknown=tuple(unknown),
            findings=tuple(findings),
            total_power_w=total[0] if total else None,
            total_power_source=total[1] if total else "",
            device={k: v for k, v in device.items() if v},
            complete=not findings,
        )

    async def explain(self) -> list[RawValue]:
        """With a map: its points, raw beside decoded. Where none fits: whatever answers, in every type; `start` and
        `count` name the registers to look at."""
        rows: list[RawValue] = []
        if "start" not in self.endpoint.options:
            try:
                register_map = await self._find_map()
            except ParseError:
                return await scan(self._read, known_maps(self.endpoint.maps), RefusedError)
            findings: list[SourceFinding] = []
            memory = await self._memory(register_map, findings)
            for point in register_map.points:
                registers = registers_of(point, memory)
                if registers is None:
                    rows.append(RawValue(f"{point.area} {point.addr}", "", "refused", point.name))
                    continue
                value = decode(point, registers, power_of_ten(point, memory))
                shown = "unknown" if value is None else value if isinstance(value, str) else f"{value:g} {point.unit}"
                note = f"{point.name} ({point.type}{'_sw' if point.swapped else ''})"
                rows.append(RawValue(f"{point.area} {point.addr}", hex_of(registers), shown.strip(), note))
            return rows
        try:
            start, count = int(self.endpoint.options["start"], 0), int(self.endpoint.options.get("count", "40"), 0)
        except ValueError:
            raise UsageError("start and count are numbers", hint="?start=0x9000&count=40&area=holding") from None
        area = self.endpoint.options.get("area", "holding")
        found: dict[int, int] = {}
        for addr in range(start, start + min(count, 2_000)):
            try:
                found[addr] = (await self._read(area, addr, 1))[0]
            except RefusedError:
                continue
        for addr in found:
            rows.append(register_row(area, addr, [found[a] for a in range(addr, addr + 4) if a in found]))
        return rows

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _state(point: Point, value: float, source: str, raw: str, at: float) -> PointState:
    low = point.name.lower()
    what = "leak" if "leak" in low else "alarm" if "alarm" in low else "state"
    bad = value != 0 if what in ("leak", "alarm") else None
    word = f"{int(value):#x}" if bad else f"{value:g}"
    return PointState(what, point.where, word, source, raw, at, bad=bad)


def open_source(endpoint: Endpoint) -> ModbusSource:
    """The factory named in the plugin."""
    return ModbusSource(endpoint)
