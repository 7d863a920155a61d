"""SNMP traps: hints of known senders, floods that cost nothing, real messages of net-snmp's snmptrap taken apart."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.collector.facility import FacilityCollector
from fleetctl.collector.traps import BURST, FOLDED, QUEUE, TrapEvent, TrapLane, parse_listen, senders
from fleetctl.config.schema import Config
from fleetctl.errors import ConfigError, ParseError
from fleetctl.facility.endpoint import Credentials, Endpoint
from fleetctl.facility.endpoints import Asked
from fleetctl.facility.trap import Notification
from fleetctl.inventory import build_inventory
from fleetctl_snmp.traps import TrapDecoder, name_of, value_words
from tests.fakes.clock import FakeClock, at_once
from tests.unit.facility.test_lane import FakeSource

PDU, BMC, STRANGER = "127.0.0.1", "10.0.0.8", "10.9.9.9"


def asked(name: str, url: str, host: str | None = None) -> Asked:
    return Asked(name, "pdu", url, "s", 600.0, 6000.0, 5.0, host=host)


ENDPOINTS = {
    "pdu1": asked("pdu1", f"snmp://{PDU}"),
    "bmc:n1": asked("bmc:n1", f"https://{BMC}", "n1"),
    "also": asked("also", f"modbus://{PDU}:502"),
}


class Words:
    """A decoder whose datagrams are plain words: `OID value`."""

    def decode(self, datagram: bytes, credentials: Credentials) -> tuple[Notification, list[bytes]]:
        if datagram.startswith(b"bad"):
            raise ParseError("bad", hint="")
        oid, _, value = datagram.decode().partition(" ")
        return Notification(oid, oid, (value,) if value else ()), []


class Heard:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.hints: list[str] = []
        self.events: list[TrapEvent] = []
        self.lane = TrapLane("127.0.0.1:0", ENDPOINTS, self.clock, self.hints.append, decoder=Words)
        self.lane._names = senders(ENDPOINTS)

    async def keep(self, events: list[TrapEvent]) -> None:
        self.events += events

    async def turn(self) -> None:
        await self.lane.turn(Words(), self.keep)


async def test_a_trap_is_a_hint_and_an_event() -> None:
    heard = Heard()
    heard.lane.take(b"upsOnBattery runtime=3", (PDU, 4000))
    heard.lane.take(b"fanFailed", (BMC, 4000))
    await heard.turn()
    assert heard.hints == ["pdu1", "bmc:n1"], "the SNMP endpoint of an address wins"
    assert [(e.device, e.host, e.severity) for e in heard.events] == [("pdu1", None, "warn"), ("bmc:n1", "n1", "warn")]
    assert heard.events[0].text == "pdu1: upsOnBattery (runtime=3)"


async def test_strangers_are_counted_and_not_read() -> None:
    heard = Heard()
    for _ in range(1000):
        heard.lane.take(b"upsOnBattery", (STRANGER, 1))
    await heard.turn()
    assert (heard.lane.stats.unknown_sender, heard.lane.stats.decoded) == (1000, 0)
    assert not heard.hints
    assert not heard.lane._allowance, "no memory of strangers"
    assert [(e.name, e.count) for e in heard.events] == [("traps dropped", 1000)], "a person sees that somebody knocks"
    assert STRANGER in heard.events[0].text
    heard.lane.take(b"x", (STRANGER, 1))
    await heard.turn()
    assert len(heard.events) == 1, "once a minute"
    await heard.clock.advance(61)
    await heard.turn()
    assert heard.events[1].count == 1


async def test_a_flood_costs_datagrams_and_wakes_the_device_once() -> None:
    heard = Heard()
    for _ in range(100_000):
        heard.lane.take(b"outletOn", (PDU, 1))
    assert len(heard.lane._queue) <= QUEUE
    assert heard.lane.stats.flooded == 100_000 - int(BURST)
    for _ in range(10):
        await heard.turn()
    assert heard.hints == ["pdu1"]
    assert sum(e.count for e in heard.events if e.device) == int(BURST)
    assert len(heard.events) < FOLDED
    await heard.clock.advance(60)
    heard.lane.take(b"outletOn", (PDU, 1))
    await heard.turn()
    assert heard.hints == ["pdu1", "pdu1"], "heard again once it is quiet"


async def test_what_cannot_be_believed_is_counted_and_the_rest_goes_on() -> None:
    heard = Heard()
    heard.lane.take(b"bad", (PDU, 1))
    heard.lane.take(b"rPDUOverloadCleared", (f"::ffff:{PDU}", 1))
    await heard.turn()
    assert (heard.lane.stats.refused, heard.lane.stats.decoded) == (1, 1)
    assert [(e.name, e.severity) for e in heard.events] == [
        ("trap pdu1 rPDUOverloadCleared", "ok"),
        ("traps dropped", "ok"),
    ]


async def test_a_hint_is_asked_at_once_but_never_against_a_refused_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    clock = FakeClock()
    scripts = {"a": "ok", "locked": "auth"}
    sources: dict[str, list[FakeSource]] = {"a": [], "locked": []}

    def opener(endpoint: Endpoint) -> FakeSource:
        sources[endpoint.host].append(FakeSource(clock, scripts[endpoint.host]))
        return sources[endpoint.host][-1]

    config = Config()
    known = {n: asked(n, f"snmp://{n}") for n in scripts}
    lane = FacilityCollector(config, build_inventory(config), clock, opener=opener, asked=known)

    async def keep(_: object) -> None: ...

    async def past(seconds: int) -> None:
        for _ in range(seconds):
            await clock.advance(1)

    task = asyncio.create_task(lane.run(keep))
    try:
        await past(600)
        before = sources["a"][0].polls
        lane.hint("a")
        lane.hint("locked")
        lane.hint("nobody")
        await past(2)
        assert sources["a"][0].polls == before + 1
        assert len(sources["locked"]) == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("text", ["", "9162", "0.0.0.0", "x:y", "[::1", "0.0.0.0:99999", "1.2.3.4:1/x"])
def test_no_address_to_listen_on(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_listen(text)


def test_addresses_to_listen_on() -> None:
    assert parse_listen("0.0.0.0:9162") == ("0.0.0.0", 9162)
    assert parse_listen("[::]:162") == ("::", 162)


# -- the wire --------------------------------------------------------------------------------------------------------

SNMPTRAP = shutil.which("snmptrap")
V3 = Credentials("fleet", auth_protocol="SHA", auth_key="authpass12", priv_protocol="AES", priv_key="privpass12")
USER = ["-u", "fleet", "-l", "authPriv", "-a", "SHA", "-x", "AES", "-X", "privpass12", "-e", "0x8000000001020304"]


def sent(*arguments: str) -> bytes:
    """The datagram that net-snmp's snmptrap sends."""
    assert SNMPTRAP, "the Debian package snmp is one of the tests' peers"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind((PDU, 0))
        ear.settimeout(300)
        where = f"{PDU}:{ear.getsockname()[1]}"
        process = subprocess.Popen(
            [SNMPTRAP, *(where if a == "HERE" else a for a in arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        datagram = ear.recv(65_536)
        process.kill()
        process.communicate()
        return datagram


def test_version_1_in_the_form_of_version_2() -> None:
    arguments = ("-v1", "-c", "public", "HERE", "1.3.6.1.4.1.318", PDU, "6", "5", "1")
    datagram = sent(*arguments, "1.3.6.1.4.1.318.1.1.12.1.16.0", "i", "192")
    said, replies = TrapDecoder().decode(datagram, Credentials())
    assert (said.oid, said.name) == ("1.3.6.1.4.1.318.0.5", "upsOnBattery")
    assert said.values == ("power of device = 192 (raw)",)
    assert not replies


def test_a_community_that_is_not_the_devices_own_is_refused() -> None:
    datagram = sent("-v2c", "-c", "guess", "HERE", "", "1.3.6.1.2.1.33.2.1")
    decoder = TrapDecoder()
    with pytest.raises(ParseError):
        decoder.decode(datagram, Credentials())
    assert decoder.decode(datagram, Credentials(community="guess"))[0].name == "upsTrapOnBattery"


def test_an_inform_is_answered() -> None:
    datagram = sent("-v2c", "-Ci", "-c", "public", "-r", "0", "HERE", "", "1.3.6.1.2.1.33.2.1")
    said, replies = TrapDecoder().decode(datagram, Credentials())
    assert said.name == "upsTrapOnBattery"
    assert len(replies) == 1


def test_version_3_is_believed_with_the_right_key_only() -> None:
    decoder = TrapDecoder()
    datagram = sent(
        "-v3", *USER, "-A", "authpass12", "HERE", "", "1.3.6.1.2.1.33.2.1", "1.3.6.1.2.1.33.1.2.4.0", "i", "90"
    )
    said, _ = decoder.decode(datagram, V3)
    assert said.values == ("charge of battery = 90 (raw)",)
    forged = sent("-v3", *USER, "-A", "otherpass12", "HERE", "", "1.3.6.1.2.1.33.2.1")
    for credentials in (V3, Credentials()):
        with pytest.raises(ParseError):
            decoder.decode(forged, credentials)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_datagram_is_one_error(junk: bytes) -> None:
    with pytest.raises(ParseError):
        DECODER.decode(junk, V3)


DECODER = TrapDecoder()


def test_names_and_places_come_from_the_maps() -> None:
    assert name_of("1.3.6.1.6.3.1.1.5.3") == "linkDown"
    assert name_of("1.3.6.1.4.1.99.1") == "1.3.6.1.4.1.99.1"
    assert value_words("1.3.6.1.2.1.33.1.4.4.1.5.2", "83") == "load of output line 2 = 83 (raw)"
    assert value_words("1.3.6.1.4.1.99.1", "x") == "1.3.6.1.4.1.99.1 = x"
