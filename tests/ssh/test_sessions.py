"""Commands and streams over one connection to a server in this process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fleetctl.model.probe import Outcome
from fleetctl.model.report import ErrorKind
from fleetctl.transport.base import EndReason
from fleetctl.transport.ssh import SshSession
from tests.fakes.hostbed import LIMIT_S


@pytest.fixture
async def session(server: Any, make_transport: Callable[..., Any]) -> Any:
    made = await make_transport(server.settings()).connect(server.host())
    yield made
    await made.close()


async def test_output_status_and_stdin(session: SshSession) -> None:
    done = await session.run("echo hello")
    assert (done.stdout, done.stderr, done.exit_status, done.outcome) == ("hello\n", "", 0, Outcome.DONE)
    failed = await session.run("fail 3")
    assert (failed.stdout, failed.stderr, failed.exit_status, failed.outcome) == ("", "it failed\n", 3, Outcome.DONE)
    assert (await session.run("cat", stdin=b"a" * 300_000)).stdout == "a" * 300_000
    assert (await session.run("nosuch")).outcome is Outcome.MISSING


async def test_a_gigabyte_costs_what_is_kept(session: SshSession) -> None:
    output = await session.run("flood 16384", max_bytes=10_000, timeout_s=LIMIT_S)
    assert (output.outcome, output.stdout, output.exit_status) == (Outcome.CUT, "x" * 10_000, None)
    again = await session.run("echo still here")
    assert again.stdout == "still here\n", again


async def test_bytes_that_are_no_text(session: SshSession) -> None:
    assert "\ufffd" in (await session.run("bytes")).stdout


async def test_a_hanging_command_is_given_up(session: SshSession) -> None:
    for limit_s in (0.2, 2, 20, LIMIT_S):  # its first words come when the machine comes to it
        output = await session.run("hang", timeout_s=limit_s)
        assert (output.outcome, output.exit_status) == (Outcome.TIMEOUT, None)
        if output.stdout:
            break
    assert output.stdout == "started\n"
    assert not session.closed


async def test_the_connection_ends_in_the_middle(session: SshSession) -> None:
    waiting = asyncio.create_task(session.run("hang", timeout_s=LIMIT_S))
    output = await session.run("die")
    assert output.outcome is Outcome.LOST
    assert (await waiting).outcome is Outcome.LOST
    assert session.closed
    assert (await session.run("echo")).outcome is Outcome.LOST


class Listener:
    def __init__(self) -> None:
        self.data = b""
        self.ends: list[EndReason] = []
        self.changed = asyncio.Event()

    def on_data(self, data: bytes) -> None:
        self.data += data
        self.changed.set()

    def on_end(self, reason: EndReason) -> None:
        self.ends.append(reason)
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


async def test_a_stream_talks_and_ends(session: SshSession) -> None:
    heard = Listener()
    stream = await session.stream("lines", stdin=b"one\n", on_data=heard.on_data, on_end=heard.on_end)
    await heard.until(lambda: b"got one\n" in heard.data)
    stream.write(b"two\n")
    await heard.until(lambda: b"got two\n" in heard.data)
    assert stream.ended is None
    stream.write_eof()
    await heard.until(lambda: bool(heard.ends))
    assert heard.ends == [EndReason(None, "the command ended with status 0", 0, "")]
    assert stream.ended == heard.ends[0]
    stream.write(b"late\n")
    stream.close()
    assert len(heard.ends) == 1


async def test_a_stream_is_closed(session: SshSession) -> None:
    heard = Listener()
    stream = await session.stream("hang", on_data=heard.on_data, on_end=heard.on_end)
    await heard.until(lambda: bool(heard.data))
    stream.close()
    await heard.until(lambda: bool(heard.ends))
    assert heard.ends[0].error is None
    assert heard.ends[0].text == "closed"


async def test_a_stream_says_why_it_failed(session: SshSession) -> None:
    heard = Listener()
    await session.stream("fail 9", on_data=heard.on_data, on_end=heard.on_end)
    await heard.until(lambda: bool(heard.ends))
    assert (heard.ends[0].error, heard.ends[0].exit_status, heard.ends[0].stderr) == (None, 9, "it failed\n")


async def test_a_stream_loses_its_connection(session: SshSession) -> None:
    heard = Listener()
    await session.stream("hang", on_data=heard.on_data, on_end=heard.on_end)
    await session.run("die")
    await heard.until(lambda: bool(heard.ends))
    assert heard.ends[0].error is ErrorKind.CLOSED
    assert heard.ends[0].exit_status is None


async def test_facts(session: SshSession, server: Any) -> None:
    assert session.facts["cipher"] == "aes128-gcm@openssh.com"
    assert session.facts["address"] == f"ops@127.0.0.1:{server.port}"
