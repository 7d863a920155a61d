"""An IPMI BMC as a source and as an actor."""

from __future__ import annotations

import time
from typing import Any

from fleetctl.errors import ParseError, UsageError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.model.facility import EndpointReport, Measurement, PointState, RawValue, SourceFinding, SourceTrouble
from fleetctl_ipmi.fallback import IpmitoolReader, NoSessionError, installed
from fleetctl_ipmi.sensors import SensorValue, dcmi_power, read_sensors, total_power
from fleetctl_ipmi.session import IpmiSession

_DCMI = 0xDC
_NOT_PRESENT = 0xCB  # completion code: requested sensor not present
MAX_SENSORS = 1_024
TOOL_S = 3600.0


class IpmiSource:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.session = IpmiSession(endpoint)
        self._device: dict[str, str] = {}
        self._sdr: Any = None
        self._tool: IpmitoolReader | None = IpmitoolReader(endpoint)
        self._tool_until = float("-inf")  # monotonic: until then the tool reads, and pyghmi is left alone
        self._tool_read = False

    async def read(self) -> EndpointReport:
        return await self._either(everything=True)

    async def poll(self) -> EndpointReport:
        """DCMI alone where the BMC has it: one exchange; else all sensors."""
        return await self._either(everything=False)

    async def _either(self, *, everything: bool) -> EndpointReport:
        """pyghmi; where it cannot understand the BMC, ipmitool, and then for a while at once.

        Only a ParseError leads there: a dead BMC stays dead, and a refused password is never tried by another client.
        """
        if time.monotonic() >= self._tool_until:
            try:
                return await self.session.run(lambda c: self._read(c, everything=everything or self._sdr is None))
            except ParseError:
                if self._tool is None or not installed():
                    raise
                self._tool_read = False
                report = await self._by_tool(everything=True)
                self._tool_until = time.monotonic() + TOOL_S
                return report
        return await self._by_tool(everything=everything or not self._tool_read)

    async def _by_tool(self, *, everything: bool) -> EndpointReport:
        assert self._tool is not None
        try:
            report = await self._tool.report(everything=everything)
        except NoSessionError:
            self._tool, self._tool_until = None, float("-inf")  # it may be the password: not again
            raise
        self._tool_read = True
        return report

    def _read(self, command: Any, *, everything: bool) -> EndpointReport:
        at = time.time()
        findings: list[SourceFinding] = []
        dcmi_raw, dcmi = self._dcmi(command)
        values: list[SensorValue] = []
        if everything or dcmi is None:
            values = self._sensors(command, findings)
        readings, states, unknown, odd = read_sensors(values, at)
        findings += odd
        if dcmi is not None and dcmi[1] and dcmi[0] < 65535:
            readings.insert(0, Measurement("power", "DCMI", float(dcmi[0]), "W", "DCMI power reading", dcmi_raw, at))
        power = self._power(command)
        if power:
            states.insert(0, PointState("power", "chassis", power, "chassis status", power, at))
        total = total_power(dcmi, readings, unknown)
        return EndpointReport(
            url=self.endpoint.url,
            kind="ipmi",
            at=at,
            readings=tuple(readings),
            states=tuple(states),
            unknown=tuple(unknown),
            findings=tuple(findings),
            total_power_w=total[0] if total else None,
            total_power_source=total[1] if total else "",
            device=dict(self._device),
            complete=everything and not findings,
        )

    def _dcmi(self, command: Any) -> tuple[str, tuple[int, bool] | None]:
        answer = command.raw_command(netfn=0x2C, command=2, data=(_DCMI, 1, 0, 0))
        if "error" in answer or answer.get("code"):
            return "", None
        data = bytes(bytearray(answer["data"]))
        return data.hex(" "), dcmi_power(data)

    def _power(self, command: Any) -> str:
        answer = command.raw_command(netfn=0, command=1)
        if "error" in answer or not answer.get("data"):
            return ""
        return "on" if bytearray(answer["data"])[0] & 1 else "off"

    def _sensors(self, command: Any, findings: list[SourceFinding]) -> list[SensorValue]:
        """Sensor by sensor: one that answers with an error costs only itself."""
        if self._sdr is None:
            command.init_sdr()
            self._sdr = command._sdr
            self._device = {"manufacturer_id": f"{self._sdr.mfg_id:#x}", "product_id": f"{self._sdr.prod_id:#x}"}
        out: list[SensorValue] = []
        for key in list(self._sdr.get_sensor_numbers())[:MAX_SENSORS]:
            entry = self._sdr.sensors[key]
            answer = command.raw_command(netfn=4, command=0x2D, rslun=entry.sensor_lun, data=(entry.sensor_number,))
            name, entity = str(entry.sensor_name), str(getattr(entry, "entity", "") or "")
            numeric = bool(entry.has_thresholds or entry.reading_type == 1) and entry.numeric_format != 3
            if "error" in answer:
                raw = f"completion code {answer.get('code', 0):#x}"
                numeric = numeric or bool(entry.unit_suffix)
                out.append(
                    SensorValue(
                        entry.sensor_number, name, entity, entry.unit_suffix, None, raw, False, (), None, numeric
                    )
                )
                if answer.get("code") not in (_NOT_PRESENT, 0xCC, 0xC9, 0xCD):
                    text = f"{name}: {answer['error']}"
                    findings.append(SourceFinding(SourceTrouble.UNREADABLE, text, f"sensor {key}"))
                continue
            data = bytearray(answer["data"])
            try:
                reading = entry.decode_sensor_reading(command, data)
            except (ArithmeticError, IndexError, ValueError, NotImplementedError, KeyError) as error:
                text = f"{name}: {type(error).__name__} in the sensor's formula"
                findings.append(SourceFinding(SourceTrouble.UNREADABLE, text, f"sensor {key}"))
                continue
            health = int(reading.health)
            out.append(
                SensorValue(
                    number=entry.sensor_number,
                    name=name,
                    entity=entity,
                    units=str(reading.units or ""),
                    value=None if reading.value is None else float(reading.value),
                    raw=bytes(data).hex(" "),
                    available=not reading.unavailable,
                    words=tuple(str(s) for s in reading.states),
                    bad=health > 0 if reading.states else None,
                    numeric=reading.value is not None or (bool(reading.unavailable) and numeric),
                )
            )
        return out

    async def explain(self) -> list[RawValue]:
        report = await self.read()
        rows = [
            RawValue(r.source, r.raw, f"{r.value:g} {r.unit}", f"{r.quantity} of {r.where}") for r in report.readings
        ]
        rows += [RawValue(u.source, u.raw, "unknown", f"{u.quantity} of {u.where}") for u in report.unknown]
        rows += [RawValue(s.source, s.raw, s.word, f"{s.what} of {s.where}") for s in report.states]
        return rows

    async def power_state(self) -> str:
        return await self.session.run(self._power) or "unknown"

    async def act(self, action: str, value: float | None = None) -> str:
        """on, off (soft), off_now, cycle, identify, identify_off, cap. Raises UsageError, ParseError."""
        steps: dict[str, tuple[int, int, tuple[int, ...]]] = {
            "on": (0, 2, (1,)),
            "off": (0, 2, (5,)),
            "off_now": (0, 2, (0,)),
            "cycle": (0, 2, (2,)),
            "identify": (0, 4, (0, 1)),
            "identify_off": (0, 4, (0, 0)),
        }

        def go(command: Any) -> str:
            if action == "cap":
                return self._cap(command, value)
            netfn, number, data = steps[action]
            answer = command.raw_command(netfn=netfn, command=number, data=data)
            if "error" in answer:
                raise ParseError(f"{self.endpoint.url}: {action}: {answer['error']}", hint="see the BMC's own log")
            return "accepted"

        if action != "cap" and action not in steps:
            raise UsageError(f"no action {action!r}", hint=", ".join([*steps, "cap"]))
        return await self.session.run(go)

    def _cap(self, command: Any, watts: float | None) -> str:
        """DCMI Set Power Limit (exception action: none but log, correction time 1 s) and Activate."""
        if watts is not None:
            limit = int(watts)
            if not 1 <= limit <= 65_534:
                raise UsageError(f"no cap of {watts:g} W", hint="1 to 65534")
            data = (_DCMI, 0, 0, 0, 0x11, limit & 0xFF, limit >> 8, 0xE8, 0x03, 0, 0, 0, 0, 0x01, 0)
            answer = command.raw_command(netfn=0x2C, command=4, data=data)
            if "error" in answer:
                raise ParseError(f"{self.endpoint.url}: cap: {answer['error']}", hint="does the BMC have DCMI?")
        answer = command.raw_command(netfn=0x2C, command=5, data=(_DCMI, 0 if watts is None else 1, 0, 0))
        if "error" in answer:
            raise ParseError(f"{self.endpoint.url}: cap: {answer['error']}", hint="does the BMC have DCMI?")
        return "cap lifted" if watts is None else f"capped at {int(watts)} W"

    async def close(self) -> None:
        await self.session.close()


def open_source(endpoint: Endpoint) -> IpmiSource:
    """The factory named in the plugin."""
    return IpmiSource(endpoint)
