"""The testbed's BACnet/IP meter, a bacpypes3 server in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetctl.cli.app import run
from fleetctl.errors import TimedOutError
from fleetctl.facility.endpoint import parse_url
from fleetctl.facility.source import open_source

_NAMED = os.environ.get("FLEETCTL_TESTBED")
_PLACES = [Path(_NAMED)] if _NAMED else [p / "shared/testbed/facility" for p in Path(__file__).resolve().parents]
METER = next((p / "bacnet/meter.py" for p in _PLACES if (p / "bacnet/meter.py").is_file()), None)
pytestmark = pytest.mark.peers
URL = "bacnet://127.78.5.1:47908"


@pytest.fixture(scope="module")
def _meter() -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, str(METER), "127.78.5.1/24:47908"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    with process.stdout as out:
        assert out.readline() == b"ready\n"
    yield
    process.terminate()
    process.wait(10)


@pytest.mark.usefixtures("_meter")
@pytest.mark.parametrize("url", [URL, URL + "/1001"])
async def test_everything_the_meter_tells(url: str) -> None:
    source = open_source(parse_url(url))
    try:
        report = await source.read()
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


async def test_nobody_there_is_a_time_out() -> None:
    for url in ("bacnet://127.78.5.2:47908", "bacnet://127.78.5.2:47908/7"):
        source = open_source(parse_url(url, timeout_s=1.0))
        with pytest.raises(TimedOutError):
            await source.read()
        await source.close()


@pytest.mark.usefixtures("_meter")
def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["facility", "read", URL, "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["kind"], data["total_power_w"]) == ("bacnet", 812_500)


class Controller:
    """A bacpypes3 controller of 60 analog inputs and a counter, in this process; counts the questions it is asked."""

    def __init__(self, port: int, *, many: bool = True, longest: int = 1476) -> None:
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
        self.app = Server(device, IPv4Address(f"127.78.6.1:{port}"))
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


@pytest.mark.parametrize(
    ("port", "many", "most"),
    [(47911, True, 9), (47912, False, 61 * 8 + 4)],
    ids=["several objects to a question", "without ReadPropertyMultiple"],
)
async def test_a_controller_of_many_objects(port: int, many: bool, most: int) -> None:
    controller = Controller(port, many=many)
    source = open_source(parse_url(f"bacnet://127.78.6.1:{port}/77?local=127.78.6.2:{port + 100}"))
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


async def test_a_controller_with_short_answers() -> None:
    controller = Controller(47913, longest=206)
    source = open_source(parse_url("bacnet://127.78.6.1:47913/77?local=127.78.6.2:48013"))
    try:
        assert len((await source.read()).readings) == 61
    finally:
        await source.close()
        controller.app.close()
