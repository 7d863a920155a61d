"""Commands on this machine, with real processes."""

import asyncio
import contextlib
import os
import select
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetctl.engine.loop import run
from fleetctl.errors import UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome
from fleetctl.transport.base import EndReason
from fleetctl.transport.local import LocalSession, LocalTransport

LIMIT_S = 120.0  # only so that what is broken ends the test at all


@pytest.fixture
async def session() -> AsyncIterator[LocalSession]:
    made = await LocalTransport().connect(Host("here", "s", transport="local"))
    yield made
    await made.close()


async def test_output_and_status(session: LocalSession) -> None:
    done = await session.run("cat; echo err >&2; exit 3", stdin=b"in")
    assert (done.stdout, done.stderr, done.exit_status, done.outcome) == ("in", "err\n", 3, Outcome.DONE)
    assert (await session.run("no-such-tool-anywhere")).outcome is Outcome.MISSING
    killed = await session.run("kill -9 $$")
    assert (killed.exit_status, killed.outcome) == (None, Outcome.DONE)


async def test_too_much_is_cut(session: LocalSession) -> None:
    async with asyncio.timeout(LIMIT_S):  # and ended: the limit of the command is not waited for
        output = await session.run("yes", max_bytes=1000, timeout_s=10 * LIMIT_S)
    assert (output.outcome, output.stdout) == (Outcome.CUT, "y\n" * 500)


async def test_the_whole_group_ends_with_the_time(session: LocalSession, tmp_path: Path) -> None:
    for limit_s in (0.5, 5, 50, LIMIT_S):  # the shell must have come so far
        output = await session.run(f"sleep 3000 & echo $! > {tmp_path}/pid; echo up; sleep 3000", timeout_s=limit_s)
        assert output.outcome is Outcome.TIMEOUT
        if output.stdout:
            break
    orphan = int((tmp_path / "pid").read_text())
    descriptor = None
    with contextlib.suppress(ProcessLookupError):  # gone already
        descriptor = os.pidfd_open(orphan)
    if descriptor is not None:  # killed with its group; whoever inherits it reaps it when it comes to it
        assert select.select([descriptor], [], [], LIMIT_S)[0]
        os.close(descriptor)


async def test_a_child_left_behind_lives_on(session: LocalSession, tmp_path: Path) -> None:
    output = await session.run(f"sleep 3000 >/dev/null 2>&1 & echo $! > {tmp_path}/pid", timeout_s=LIMIT_S)
    assert output.outcome is Outcome.DONE
    os.kill(int((tmp_path / "pid").read_text()), 9)  # fails if it were dead


async def test_streams(session: LocalSession) -> None:
    data: list[bytes] = []
    ends: list[EndReason] = []
    came, ended = asyncio.Event(), asyncio.Event()
    stream = await session.stream(
        "read a; echo got $a; read b; echo because >&2; exit 4",
        stdin=b"one\n",
        on_data=lambda d: (data.append(d), came.set())[1],
        on_end=lambda r: (ends.append(r), ended.set())[1],
    )
    async with asyncio.timeout(LIMIT_S):
        await came.wait()
        stream.write(b"two\n")
        await ended.wait()
    assert data == [b"got one\n"]
    assert ends == [EndReason(None, "the command ended with status 4", 4, "because\n")]
    assert stream.ended == ends[0]


async def test_closing_a_stream_that_ignores_term(session: LocalSession) -> None:
    ends: list[EndReason] = []
    ended, came = asyncio.Event(), asyncio.Event()
    stream = await session.stream(
        "trap '' TERM; echo up; while :; do sleep 1; done",
        on_data=lambda d: came.set(),
        on_end=lambda r: (ends.append(r), ended.set())[1],
    )
    async with asyncio.timeout(LIMIT_S):
        await came.wait()
        stream.close()
        await ended.wait()
    assert [e.text for e in ends] == ["closed"]


async def test_a_closed_session(session: LocalSession, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "up")
    waiting = asyncio.create_task(session.run(f"echo up > {tmp_path}/up; exec sleep 3000", timeout_s=3000))
    assert await asyncio.to_thread((tmp_path / "up").read_text) == "up\n"
    await session.close()
    async with asyncio.timeout(LIMIT_S):
        output = await waiting
    assert (output.outcome, output.exit_status) == (Outcome.LOST, None)
    assert (await session.run("true")).outcome is Outcome.LOST
    with pytest.raises(UnreachableError):
        await session.stream("true", on_data=lambda d: None, on_end=lambda r: None)


async def test_a_session_closed_while_a_command_starts(session: LocalSession) -> None:
    waiting = asyncio.create_task(session.run("sleep 3000", timeout_s=3000))
    await asyncio.sleep(0)  # it has begun to start
    await session.close()
    async with asyncio.timeout(LIMIT_S):
        output = await waiting
    assert (output.outcome, output.exit_status) == (Outcome.LOST, None)


def test_what_is_written_arrives_on_the_loop_the_engine_runs_on() -> None:
    """uvloop's, where it is installed: its pipes are of other classes than asyncio's."""

    async def echo() -> str:
        session = await LocalTransport().connect(Host("here", "s", transport="local"))
        try:
            return (await session.run("cat", stdin=b"hello\n", timeout_s=LIMIT_S)).stdout
        finally:
            await session.close()

    assert run(echo()) == "hello\n"
