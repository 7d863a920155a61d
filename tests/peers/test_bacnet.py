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
