"""A real broker: Debian's mosquitto on loopback, with and without a password and TLS."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from fleetctl.cli.app import run
from fleetctl.errors import AuthError, UnreachableError
from fleetctl.facility.endpoint import Credentials, parse_url
from fleetctl.facility.source import Source, open_source
from fleetctl.model.facility import EndpointReport
from fleetctl_mqtt import session

BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
pytestmark = pytest.mark.peers
WHO = Credentials("reader", "fleet-test")
RACK = "Rack/RackPower/site/row/rack1/power"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Three listeners: open, with a password, with TLS."""
    assert BROKER is not None, "Debian's mosquitto is missing: tests/run installs it"
    ports = {"open": _free_port(), "auth": _free_port(), "tls": _free_port()}
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), WHO.user, WHO.password], check=True)
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bus"
        f" -keyout {tmp_path}/key.pem -out {tmp_path}/crt.pem".split(),
        check=True,
        capture_output=True,
    )
    for file in ("users", "key.pem", "crt.pem"):
        (tmp_path / file).chmod(0o644)
    tmp_path.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    tmp_path.parent.parent.chmod(0o755)
    (tmp_path / "conf").write_text(
        f"per_listener_settings true\n"
        f"listener {ports['open']} 127.0.0.1\nallow_anonymous true\n"
        f"listener {ports['auth']} 127.0.0.1\nallow_anonymous false\npassword_file {tmp_path / 'users'}\n"
        f"listener {ports['tls']} 127.0.0.1\nallow_anonymous true\n"
        f"certfile {tmp_path / 'crt.pem'}\nkeyfile {tmp_path / 'key.pem'}\n"
    )
    process = subprocess.Popen(
        [BROKER, "-c", str(tmp_path / "conf")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 20
    while True:
        try:
            for port in ports.values():
                socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                pytest.fail(f"mosquitto did not come up: {process.communicate()[1][-500:]!r}")
    yield {**ports, "pem": (tmp_path / "crt.pem").read_text(), "process": process}
    process.terminate()
    process.wait(10)
    assert process.stderr is not None
    process.stderr.close()


Publish = Callable[..., Any]


@pytest.fixture
async def publish(broker: dict[str, Any]) -> AsyncIterator[Publish]:
    async with aiomqtt.Client("127.0.0.1", broker["open"]) as client:

        async def send(topic: str, body: object, *, retain: bool = False) -> None:
            payload = body if isinstance(body, bytes) else json.dumps(body)
            await client.publish(f"BMS/v1/PUB/{topic}", payload, retain=retain, qos=1)

        yield send


def value(number: object, quality: int = 1) -> dict[str, Any]:
    return {"value": number, "timestamp": int(time.time() * 1000), "quality": quality}


async def test_the_last_value_of_every_point_over_one_session(broker: dict[str, Any], publish: Publish) -> None:
    meta = {"objectType": "Rack", "pointType": "RackPower", "engUnit": "kW", "rackLocationName": "rack1"}
    await publish(f"Metadata/{RACK}", meta, retain=True)
    url = f"mqtt://127.0.0.1:{broker['open']}/BMS/v1?listen=0"
    whole, racks = open_source(parse_url(url)), open_source(parse_url(url + "&object=Rack"))
    await asyncio.gather(whole.read(), racks.read())  # both listen from here on
    assert len(session._sessions) == 1
    await publish("Value/CDU/Status/cdu1", b"[" * 5_000)
    await publish("Value/CDU/Status/cdu2", b"x" * 100_000)
    await publish("Value/CDU/Status/cdu3", b"x" * 1_000_000)  # above what we told the broker: it never comes
    await publish(f"Value/{RACK}", value(41.0))
    await publish(f"Value/{RACK}", value(42.5))
    async with asyncio.timeout(20):
        first = await _poll_until(whole, lambda report: report.total_power_w == 42_500)
    second = await racks.poll()
    assert first.readings[0].where == "rack1 RackPower"
    assert second.total_power_w == 42_500
    assert {f.source for f in (*first.findings, *second.findings)} == {"CDU/Status/cdu1", "CDU/Status/cdu2"}
    async with asyncio.timeout(20):
        while (later := await whole.poll()).total_power_w is not None:
            await publish(f"Value/{RACK}", value(43.0, quality=0))
    assert [u.where for u in later.unknown] == ["rack1 RackPower"]
    await whole.close()
    assert len(session._sessions) == 1
    await racks.close()
    assert not session._sessions


async def test_a_broker_that_ends_is_unreachable(broker: dict[str, Any]) -> None:
    source = open_source(parse_url(f"mqtt://127.0.0.1:{broker['open']}?listen=0"))
    assert (await source.read()).findings[0].text.startswith("no value within")
    broker["process"].terminate()
    broker["process"].wait(10)
    with pytest.raises(UnreachableError):
        await asyncio.wait_for(_poll_until(source, lambda report: False), 20)
    await source.close()
    again = open_source(parse_url(f"mqtt://127.0.0.1:{broker['open']}?listen=0"))
    with pytest.raises(UnreachableError):
        await again.read()
    await again.close()


async def _poll_until(source: Source, told: Callable[[EndpointReport], bool]) -> EndpointReport:
    while True:
        report = await source.poll()
        if told(report):
            return report
        await asyncio.sleep(0)  # a poll of an open session does not wait: let the session hear


async def _read(url: str, **more: Any) -> None:
    source = open_source(parse_url(url, **more))
    try:
        await source.read()
    finally:
        await source.close()


@pytest.mark.parametrize("version", ["5", "3"])
async def test_a_wrong_password_is_an_auth_error(broker: dict[str, Any], version: str) -> None:
    url = f"mqtt://127.0.0.1:{broker['auth']}?listen=0&version={version}"
    await _read(url, credentials=WHO)
    with pytest.raises(AuthError, match="refuses us"):
        await _read(url, credentials=Credentials("reader", "wrong"))


# the library leaves the socket of a failed handshake to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_certificate_is_trusted_by_pin_and_by_nothing_else(broker: dict[str, Any]) -> None:
    url = f"mqtts://127.0.0.1:{broker['tls']}?listen=0"
    await _read(url, tls_pin=hashlib.sha256(ssl.PEM_cert_to_DER_cert(broker["pem"])).hexdigest())
    with pytest.raises(AuthError, match="not trusted"):
        await _read(url)
    with pytest.raises(AuthError, match="another certificate"):
        await _read(url, tls_pin="00" * 32)


async def test_the_command_prints_what_was_heard(
    broker: dict[str, Any], publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    await publish(f"Value/{RACK}", value(12.5), retain=True)
    url = f"mqtt://127.0.0.1:{broker['open']}/BMS/v1?listen=3"
    assert await asyncio.to_thread(run, ["facility", "read", url, "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["kind"], data["total_power_w"]) == ("mqtt", 12_500)
