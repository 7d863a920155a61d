"""The other side of `facility.py`: cheap servers, so that the collector and not its peers is what two cores run out of.

    python benchmarks/facility_peers.py CERTIFICATE COUNT

COUNT Redfish services on 127.9.x.y:18443 (TLS when CERTIFICATE is a PEM file, plain when it is "-"), a Modbus server on
127.0.0.1:18502, and a black hole on 18444 (TCP: takes connections, never answers) and 18162 (UDP). Answers are made
beforehand in 32 versions and served in turn: watts and some temperatures differ every time, as on a real BMC.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import struct
import sys
from typing import Any

REDFISH, MODBUS, HOLE, UDP_HOLE, HUGE = 18_443, 18_502, 18_444, 18_162, 18_445
HUGE_BYTES = 100 * 1024 * 1024
VERSIONS = 32
_CHASSIS = "/redfish/v1/Chassis/1"


def address(i: int) -> str:
    return f"127.9.{i // 250}.{i % 250 + 1}"


def _power(n: int) -> dict[str, Any]:
    return {
        "@odata.type": "#Power.v1_3_0.Power",
        "@odata.id": f"{_CHASSIS}/Power",
        "PowerControl": [
            {"MemberId": "0", "PowerConsumedWatts": 531 + n, "PowerMetrics": {"AverageConsumedWatts": 530}}
        ],
        "PowerSupplies": [
            {"Name": f"PS{i}", "LineInputVoltage": 229 + n % 3, "LastPowerOutputWatts": 265 + n // 2} for i in (1, 2)
        ],
    }


def _thermal(n: int) -> dict[str, Any]:
    return {
        "@odata.type": "#Thermal.v1_1_0.Thermal",
        "@odata.id": f"{_CHASSIS}/Thermal",
        "Temperatures": [
            {
                "Name": f"T{i}",
                "MemberId": str(i),
                "ReadingCelsius": 20 + i + (n * 7 + i) % 5 // 4,  # one in five moves from answer to answer
                "PhysicalContext": "SystemBoard",
                "UpperThresholdCritical": 90,
                "Status": {"State": "Enabled", "Health": "OK"},
            }
            for i in range(40)
        ],
        "Fans": [{"Name": f"Fan {i}", "Reading": 30 + n % 2, "ReadingUnits": "Percent"} for i in range(6)],
    }


def _bodies() -> dict[bytes, list[bytes]]:
    still: dict[str, Any] = {
        "/redfish/v1/": {"RedfishVersion": "1.6.0", "Vendor": "HPE", "Chassis": {"@odata.id": "/redfish/v1/Chassis"}},
        "/redfish/v1/Chassis": {"Members": [{"@odata.id": _CHASSIS}]},
        _CHASSIS: {
            "@odata.type": "#Chassis.v1_10_2.Chassis",
            "@odata.id": _CHASSIS,
            "ChassisType": "RackMount",
            "Power": {"@odata.id": f"{_CHASSIS}/Power"},
            "Thermal": {"@odata.id": f"{_CHASSIS}/Thermal"},
        },
    }
    out = {path: [body] for path, body in still.items()}
    out[f"{_CHASSIS}/Power"] = [_power(n) for n in range(VERSIONS)]
    out[f"{_CHASSIS}/Thermal"] = [_thermal(n) for n in range(VERSIONS)]
    return {path.encode(): [_response(json.dumps(b).encode()) for b in bodies] for path, bodies in out.items()}


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head + body


class Redfish(asyncio.Protocol):
    bodies = _bodies()
    missing = _response(b"{}", b"404 Not Found")

    def __init__(self) -> None:
        self._asked = 0
        self._pending = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while b"\r\n\r\n" in self._pending:
            head, _, self._pending = self._pending.partition(b"\r\n\r\n")
            versions = self.bodies.get(head.split(b" ", 2)[1])
            self._asked += 1
            self._transport.write(versions[self._asked % len(versions)] if versions else self.missing)


class Modbus(asyncio.Protocol):
    def __init__(self) -> None:
        self._pending = b""
        self._asked = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= 12:
            number, _, _, unit, function, _, count = struct.unpack(">HHHBBHH", self._pending[:12])
            self._pending = self._pending[12:]
            self._asked += 1
            registers = struct.pack(">f", 229.0 + self._asked % 8) * (count // 2 + 1)
            head = struct.pack(">HHHBBB", number, 0, 3 + 2 * count, unit, function, 2 * count)
            self._transport.write(head + registers[: 2 * count])


class Hole(asyncio.Protocol):
    """Takes everything, says nothing."""


class Huge(asyncio.Protocol):
    """100 MB of JSON without a Content-Length, to everybody who asks."""

    _chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"

    def connection_made(self, transport: Any) -> None:
        self._transport, self._left, self._paused = transport, 0, False

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            self._left = HUGE_BYTES // 0x10000
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            self._transport.write(head)
            self._more()

    def _more(self) -> None:
        while self._left and not self._paused and not self._transport.is_closing():
            self._transport.write(self._chunk)
            self._left -= 1

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._more()


async def main(certificate: str, count: int) -> None:
    loop = asyncio.get_running_loop()
    trust = None
    if certificate != "-":
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(certificate)
    await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", UDP_HOLE))
    for i in range(count):  # an address of its own for each: no client may treat them as one server
        await loop.create_server(Redfish, address(i), REDFISH, ssl=trust)
    await loop.create_server(Hole, "127.0.0.1", HOLE, backlog=4096)
    await loop.create_server(Huge, "127.0.0.1", HUGE, ssl=trust, backlog=4096)
    await loop.create_server(Modbus, "127.0.0.1", MODBUS, backlog=4096)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    with contextlib.suppress(KeyboardInterrupt):
        run(main(sys.argv[1], int(sys.argv[2])))
