"""A real broker: Debian's mosquitto on loopback, with and without a password and TLS."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
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
from tests.fakes.loopback import own_net

BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
pytestmark = pytest.mark.peers
WHO = Credentials("reader", "fleet-test")
RACK = "Rack/RackPower/site/row/rack1/power"
LIMIT_S = 120.0  # only so that a broken session ends the test at all


@pytest.fixture
def broker() -> Iterator[dict[str, Any]]:
    """Three listeners on an address of this run: open, with a password, with TLS."""
    assert BROKER is not None, "Debian's mosquitto is missing: tests/run installs it"
    ports = {"open": 18_830, "auth": 18_831, "tls": 18_832}
    # Not below pytest's own folder: the broker's user must be able to pass through.
    with own_net() as net, tempfile.TemporaryDirectory(prefix="mqtt") as name:
        folder, host = Path(name), f"{net}.7.1"
        folder.chmod(0o755)
        users = str(folder / "users")
        subprocess.run(["mosquitto_passwd", "-b", "-c", users, WHO.user, WHO.password], check=True, capture_output=True)
        subprocess.run(
            f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bus"
            f" -keyout {folder}/key.pem -out {folder}/crt.pem".split(),
            check=True,
            capture_output=True,
        )
        for file in ("users", "key.pem", "crt.pem"):
            (folder / file).chmod(0o644)
        (folder / "conf").write_text(
            f"per_listener_settings true\n"
            f"listener {ports['open']} {host}\nallow_anonymous true\n"
            f"listener {ports['auth']} {host}\nallow_anonymous false\npassword_file {users}\n"
            f"listener {ports['tls']} {host}\nallow_anonymous true\n"
            f"certfile {folder / 'crt.pem'}\nkeyfile {folder / 'key.pem'}\n"
        )
        process = subprocess.Popen([BROKER, "-c", folder / "conf"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _wait_for_broker(process, host, ports.values())
            yield {**ports, "host": host, "pem": (folder / "crt.pem").read_text(), "process": process}
        finally:
            process.terminate()
            process.communicate(timeout=LIMIT_S)


def _wait_for_broker(process: subprocess.Popen[bytes], host: str, ports: Iterable[int]) -> None:
    until = time.monotonic() + LIMIT_S
    for port in ports:
        while True:
            try:
                socket.create_connection((host, port), 5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    process.kill()
                    pytest.fail(f"mosquitto did not come up: {process.communicate()[1][-500:]!r}")
                time.sleep(0.05)  # nothing to wait on before it listens


Publish = Callable[..., Any]


@pytest.fixture
async def publish(broker: dict[str, Any]) -> AsyncIterator[Publish]:
    async with aiomqtt.Client(broker["host"], broker["open"], timeout=LIMIT_S) as client:

        async def send(topic: str, body: object, *, retain: bool = False) -> None:
            payload = body if isinstance(body, bytes) else json.dumps(body)
            await client.publish(f"BMS/v1/PUB/{topic}", payload, retain=retain, qos=1)

        yield send


def value(number: object, quality: int = 1) -> dict[str, Any]:
    return {"value": number, "timestamp": int(time.time() * 1000), "quality": quality}


async def test_the_last_value_of_every_point_over_one_session(broker: dict[str, Any], publish: Publish) -> None:
    meta = {"objectType": "Rack", "pointType": "RackPower", "engUnit": "kW", "rackLocationName": "rack1"}
    await publish(f"Metadata/{RACK}", meta, retain=True)
    url = f"mqtt://{broker['host']}:{broker['open']}/BMS/v1?listen=0"
    whole, racks = open_source(parse_url(url)), open_source(parse_url(url + "&object=Rack"))
    await asyncio.gather(whole.read(), racks.read())  # both listen from here on
    assert len(session._sessions) == 1
    await publish("Value/CDU/Status/cdu1", b"[" * 5_000)
    await publish("Value/CDU/Status/cdu2", b"x" * 100_000)
    await publish("Value/CDU/Status/cdu3", b"x" * 1_000_000)  # above what we told the broker: it never comes
    await publish(f"Value/{RACK}", value(41.0))
    await publish(f"Value/{RACK}", value(42.5))
    unreadable: set[str] = set()  # of every poll: a finding is told once, whichever poll comes first

    def has_told(report: EndpointReport) -> bool:
        unreadable.update(f.source for f in report.findings if f.source)
        return report.total_power_w == 42_500

    async with asyncio.timeout(LIMIT_S):
        first = await _poll_until(whole, has_told)
    assert has_told(await racks.poll())
    assert first.readings[0].where == "rack1 RackPower"
    assert unreadable == {"CDU/Status/cdu1", "CDU/Status/cdu2"}
    async with asyncio.timeout(LIMIT_S):
        while (later := await whole.poll()).total_power_w is not None:
            await publish(f"Value/{RACK}", value(43.0, quality=0))
    assert [u.where for u in later.unknown] == ["rack1 RackPower"]
    await whole.close()
    assert len(session._sessions) == 1
    await racks.close()
    assert not session._sessions


async def test_a_broker_that_ends_is_unreachable(broker: dict[str, Any]) -> None:
    source = open_source(parse_url(f"mqtt://{broker['host']}:{broker['open']}?listen=0"))
    assert (await source.read()).findings[0].text.startswith("no value within")
    broker["process"].terminate()
    broker["process"].wait(LIMIT_S)
    with pytest.raises(UnreachableError):
        await asyncio.wait_for(_poll_until(source, lambda report: False), LIMIT_S)
    await source.close()
    again = open_source(parse_url(f"mqtt://{broker['host']}:{broker['open']}?listen=0"))
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
    url = f"mqtt://{broker['host']}:{broker['auth']}?listen=0&version={version}"
    await _read(url, credentials=WHO)
    with pytest.raises(AuthError, match="refuses us"):
        await _read(url, credentials=Credentials("reader", "wrong"))


# the library leaves the socket of a failed handshake to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_certificate_is_trusted_by_pin_and_by_nothing_else(broker: dict[str, Any]) -> None:
    url = f"mqtts://{broker['host']}:{broker['tls']}?listen=0"
    await _read(url, tls_pin=hashlib.sha256(ssl.PEM_cert_to_DER_cert(broker["pem"])).hexdigest())
    with pytest.raises(AuthError, match="not trusted"):
        await _read(url)
    with pytest.raises(AuthError, match="another certificate"):
        await _read(url, tls_pin="00" * 32)


async def test_the_command_prints_what_was_heard(
    broker: dict[str, Any], publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    await publish(f"Value/{RACK}", value(12.5), retain=True)
    for listen_s in (1, 5, 25, 125):  # the command listens so long and no longer; a busy machine may need more
        url = f"mqtt://{broker['host']}:{broker['open']}/BMS/v1?listen={listen_s}"
        assert await asyncio.to_thread(run, ["facility", "read", url, "-o", "json"]) == 0
        data = json.loads(capsys.readouterr().out)
        if data["total_power_w"] is not None:
            break
    assert (data["kind"], data["total_power_w"]) == ("mqtt", 12_500)
