"""The testbed's BACnet/IP meter, a bacpypes3 server in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetctl.cli.app import run
from fleetctl.errors import TimedOutError
from fleetctl.facility.endpoint import parse_url
from fleetctl.facility.source import Source, open_source
from fleetctl.model.facility import EndpointReport
from tests.fakes.loopback import own_net

_NAMED = os.environ.get("FLEETCTL_TESTBED")
_PLACES = [Path(_NAMED)] if _NAMED else [p / "shared/testbed/facility" for p in Path(__file__).resolve().parents]
METER = next((p / "bacnet/meter.py" for p in _PLACES if (p / "bacnet/meter.py").is_file()), None)
pytestmark = pytest.mark.peers
LIMIT_S = 120.0  # only so that a silent device ends the test at all
PORT = 17_908


@pytest.fixture(scope="module")
def net() -> Iterator[str]:
    with own_net() as own:
        yield own


@pytest.fixture(scope="module")
def meter(net: str) -> Iterator[str]:
    """The URL of the testbed's meter, up once for all tests of this file."""
    process = subprocess.Popen(
        [sys.executable, str(METER), f"{net}.5.1/24:{PORT}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        with process.stdout as out:
            assert out.readline() == b"ready\n"
        yield f"bacnet://{net}.5.1:{PORT}"
    finally:
        process.terminate()
        process.wait(LIMIT_S)


async def _read(source: Source) -> EndpointReport:
    """A device whose number is not told has five seconds to say who it is; a busy machine is asked again."""
    until = time.monotonic() + LIMIT_S
    while True:
        try:
            return await source.read()
        except TimedOutError:
            if time.monotonic() > until:
                raise


@pytest.mark.parametrize("instance", ["", "/1001"])
async def test_everything_the_meter_tells(meter: str, instance: str) -> None:
    source = open_source(parse_url(meter + instance))
    try:
        report = await _read(source)
        again = await source.poll()
        lines = await source.explain()
    finally:
        await source.close()
    told = {r.where: (r.quantity, round(r.value, 2), r.unit) for r in report.readings}
    assert told == {
        "Active power": ("power", 812_500, "W"),
        "Frequency": ("frequency", 50.01, "Hz"),
        "Voltage L-L": ("voltage", 400.1, "V"),
        "Energy": ("energy", 5_210_480, "kWh"),
    }
    assert [(u.where, u.quantity) for u in report.unknown] == [("Spare CT", "current")]
    assert report.total_power_w == again.total_power_w == 812_500
    assert report.device["instance"] == "1001"
    assert {r.where for r in again.readings} == set(told)
    assert [x.decoded for x in lines if "Spare CT" in x.note] == ["unknown"]


async def test_nobody_there_is_a_time_out(net: str) -> None:
    for url in (f"bacnet://{net}.5.2:{PORT}", f"bacnet://{net}.5.2:{PORT}/7"):
        source = open_source(parse_url(url, timeout_s=1.0))
        with pytest.raises(TimedOutError):
            await source.read()
        await source.close()


def test_the_command(meter: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["facility", "read", f"{meter}/1001", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["kind"], data["total_power_w"]) == ("bacnet", 812_500)


class Controller:
    """A bacpypes3 controller of 60 analog inputs and a counter, in this process; counts the questions it is asked."""

    def __init__(self, address: str, *, many: bool = True, longest: int = 1476) -> None:
        from bacpypes3.basetypes import Scale
        from bacpypes3.ipv4.app import NormalApplication
        from bacpypes3.local.analog import AnalogInputObject
        from bacpypes3.local.device import DeviceObject
        from bacpypes3.object import AccumulatorObject
        from bacpypes3.pdu import IPv4Address

        outer = self
        self.asked: list[str] = []

        class Server(NormalApplication):
            async def do_ReadPropertyMultipleRequest(self, apdu: object) -> None:  # noqa: N802
                outer.asked.append("many")
                if many:
                    await super().do_ReadPropertyMultipleRequest(apdu)
                else:
                    from bacpypes3.errors import UnrecognizedService

                    raise UnrecognizedService

            async def do_ReadPropertyRequest(self, apdu: object) -> None:  # noqa: N802
                outer.asked.append("one")
                await super().do_ReadPropertyRequest(apdu)

        device = DeviceObject(
            objectIdentifier=("device", 77),
            objectName="controller",
            vendorIdentifier=999,
            maxApduLengthAccepted=longest,
            segmentationSupported="no-segmentation" if longest < 1000 else "segmented-both",
        )
        self.app = Server(device, IPv4Address(address))
        for n in range(60):
            self.app.add_object(
                AnalogInputObject(
                    objectIdentifier=("analog-input", n), objectName=f"AI {n}", presentValue=float(n), units="kilowatts"
                )
            )
        counter = AccumulatorObject(
            objectIdentifier=("accumulator", 1),
            objectName="Energy",
            presentValue=123_456,
            scale=Scale(floatScale=0.1),
            units="kilowatt-hours",
            statusFlags=[0, 0, 0, 0],
            eventState="normal",
            outOfService=False,
            maxPresValue=10**9,
        )
        self.app.add_object(counter)


def _ends(net: str, number: int) -> tuple[str, str]:
    """The controller's address and ours, which must not have the same port; others in every test."""
    return f"{net}.6.1:{PORT + number}", f"{net}.6.2:{PORT + 100 + number}"


@pytest.mark.parametrize(
    ("many", "most"),
    [(True, 9), (False, 61 * 8 + 4)],
    ids=["several objects to a question", "without ReadPropertyMultiple"],
)
async def test_a_controller_of_many_objects(net: str, many: bool, most: int) -> None:
    there, here = _ends(net, 2 if many else 1)
    controller = Controller(there, many=many)
    source = open_source(parse_url(f"bacnet://{there}/77?local={here}", timeout_s=LIMIT_S))
    try:
        report = await source.read()
        assert len(controller.asked) <= most
        controller.asked.clear()
        again = await source.poll()
        assert len(controller.asked) <= (4 if many else 61 * 4)
    finally:
        await source.close()
        controller.app.close()
    for one in (report, again):
        values = {r.where: (r.quantity, round(r.value, 3), r.unit) for r in one.readings}
        assert len(values) == 61
        assert values["AI 59"] == ("power", 59_000, "W")
        assert values["Energy"] == ("energy", 12_345.6, "kWh")


async def test_a_controller_with_short_answers(net: str) -> None:
    there, here = _ends(net, 3)
    controller = Controller(there, longest=206)
    source = open_source(parse_url(f"bacnet://{there}/77?local={here}", timeout_s=LIMIT_S))
    try:
        assert len((await source.read()).readings) == 61
    finally:
        await source.close()
        controller.app.close()
