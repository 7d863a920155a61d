"""Connections over a transport that is told when to fail."""

import asyncio
import dataclasses
import random

import pytest

from fleetctl.errors import AuthError, FleetctlError, UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.report import ErrorKind
from fleetctl.transport.pool import Connections, kind_of
from tests.fakes.clock import FakeClock, settle

HOST = Host("gpu1", "s", transport="fake")


class Session:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.closed = False
        self.facts: dict[str, str] = {}

    async def close(self) -> None:
        self.closed = True


class Transport:
    def __init__(self) -> None:
        self.fail: FleetctlError | None = None
        self.wait: asyncio.Event | None = None
        self.tries = 0
        self.sessions: list[Session] = []
        self.closed = False

    async def connect(self, host: Host) -> Session:
        self.tries += 1
        if self.wait is not None:
            await self.wait.wait()
        if self.fail is not None:
            raise self.fail
        self.sessions.append(Session(host))
        return self.sessions[-1]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def connections(clock: FakeClock, transport: Transport) -> Connections:
    return Connections({"fake": transport}, clock=clock, rng=random.Random(1), site_sessions={"small": 2})  # type: ignore[dict-item]


async def test_one_session_for_all_who_ask(connections: Connections, transport: Transport) -> None:
    transport.wait = asyncio.Event()
    asking = [asyncio.create_task(connections.session(HOST)) for _ in range(5)]
    await settle()
    assert connections.counts() == {"connecting": 1}
    asking[0].cancel()
    await settle()
    transport.wait.set()
    sessions = await asyncio.gather(*asking[1:])
    assert transport.tries == 1
    assert {id(s) for s in sessions} == {id(connections.live("gpu1"))}
    assert connections.counts() == {"connected": 1}


async def test_failures_are_repeated_without_a_try_until_the_backoff_ends(
    connections: Connections, transport: Transport, clock: FakeClock
) -> None:
    transport.fail = UnreachableError("gpu1: refused", hint="look")
    for _ in range(5):
        with pytest.raises(UnreachableError, match="refused"):
            await connections.session(HOST)
    assert transport.tries == 1
    state = connections.state("gpu1")
    assert state is not None
    assert (state.failures, state.error, state.error_text, state.hint) == (
        1,
        ErrorKind.UNREACHABLE,
        "gpu1: refused",
        "look",
    )
    assert connections.counts() == {"waiting": 1, "unreachable": 1}
    await clock.advance(3)
    with pytest.raises(UnreachableError):
        await connections.session(HOST)
    assert transport.tries == 2
    transport.fail = None
    connections.retry_now("gpu1")
    await connections.session(HOST)
    state = connections.state("gpu1")
    assert state is not None
    assert (state.connected, state.failures, state.error, state.connected_at) == (True, 0, None, clock.now())


async def test_refusals_wait_for_minutes(connections: Connections, transport: Transport, clock: FakeClock) -> None:
    transport.fail = AuthError("gpu1: denied")
    for _ in range(80):
        with pytest.raises(AuthError):
            await connections.session(HOST)
        await clock.advance(1)
    assert transport.tries == 1


async def test_a_lost_session_is_made_again(connections: Connections, transport: Transport) -> None:
    first = await connections.session(HOST)
    transport.sessions[0].closed = True
    state = connections.state("gpu1")
    assert state is not None
    assert (state.connected, state.error, state.losses) == (False, ErrorKind.CLOSED, 1)
    assert connections.live("gpu1") is None
    assert await connections.session(HOST) is not first
    state = connections.state("gpu1")
    assert state is not None
    assert (state.connected, state.connects, state.losses) == (True, 2, 1)


async def test_a_host_that_moved_gets_a_new_session(connections: Connections, transport: Transport) -> None:
    await connections.session(HOST)
    await connections.session(dataclasses.replace(HOST))
    assert transport.tries == 1
    await connections.session(dataclasses.replace(HOST, address="10.0.0.9"))
    assert transport.tries == 2
    assert transport.sessions[0].closed


async def test_a_site_keeps_its_number_of_sessions(connections: Connections, transport: Transport) -> None:
    hosts = [Host(f"gpu{n}", "small", transport="fake") for n in range(3)]
    for host in hosts[:2]:
        await connections.session(host)
    with pytest.raises(UnreachableError, match="already has 2 connections"):
        await connections.session(hosts[2])
    await connections.drop("gpu0")
    connections.retry_now("gpu2")
    await connections.session(hosts[2])


async def test_an_unknown_transport(connections: Connections) -> None:
    with pytest.raises(UnreachableError, match="no transport 'smoke'"):
        await connections.session(Host("a", "s", transport="smoke"))


async def test_closing_ends_what_is_under_way(connections: Connections, transport: Transport) -> None:
    await connections.session(HOST)
    transport.wait = asyncio.Event()
    waiting = asyncio.create_task(connections.session(Host("gpu2", "s", transport="fake")))
    await settle()
    await connections.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert transport.closed
    assert transport.sessions[0].closed


def test_kinds() -> None:
    assert kind_of(AuthError("x")) is ErrorKind.AUTH
    assert kind_of(UnreachableError("x", kind="protocol")) is ErrorKind.PROTOCOL
    assert kind_of(FleetctlError("x")) is ErrorKind.UNREACHABLE
    assert kind_of(OSError("x")) is ErrorKind.UNREACHABLE
