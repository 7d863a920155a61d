import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fleetctl.errors import AuthError, UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome
from fleetctl.transport.base import EndReason
from fleetctl.transport.local import LocalTransport
from fleetctl.transport.replay import RecordingSession, ReplaySession, ReplayTransport
from tests.fakes.clock import FakeClock


def record(path: Path, *, runs: list[Any] | None = None, stream: list[Any] | None = None, **settings: Any) -> Path:
    path.mkdir(exist_ok=True)
    (path / "replay.json").write_text(json.dumps(settings))
    (path / "runs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in runs or []))
    (path / "stream.jsonl").write_text("".join(json.dumps(r) + "\n" for r in stream or []))
    return path


async def connect(path: Path, clock: FakeClock) -> ReplaySession:
    return await ReplayTransport(clock=clock).connect(Host("gpu1", "s", address=str(path), transport="replay"))


async def test_runs(tmp_path: Path) -> None:
    clock = FakeClock()
    path = record(
        tmp_path / "r",
        runs=[
            {"match": "nvidia-smi -L", "stdout": "GPU 0\n"},
            {"match": "nvidia-smi*", "stderr": "no\n", "exit_status": 9},
            {"match": "slow", "stdout": "late", "took_s": 5},
            {"match": "hung", "outcome": "hung", "exit_status": None},
        ],
    )
    session = await connect(path, clock)
    assert (await session.run("nvidia-smi -L")).stdout == "GPU 0\n"
    other = await session.run("nvidia-smi -q")
    assert (other.stderr, other.exit_status, other.outcome) == ("no\n", 9, Outcome.DONE)
    assert (await session.run("npu-smi")).outcome is Outcome.MISSING
    assert (await session.run("hung")).outcome is Outcome.HUNG
    assert (await session.run("nvidia-smi -L", max_bytes=3)).outcome is Outcome.CUT
    slow = asyncio.create_task(session.run("slow", timeout_s=2))
    await clock.advance(2)
    assert (await slow).outcome is Outcome.TIMEOUT


async def test_streams_play_in_time_and_again(tmp_path: Path) -> None:
    clock = FakeClock()
    path = record(
        tmp_path / "r",
        stream=[{"at": 0, "data": "a"}, {"at": 10, "base64": "/w=="}],
        speed=2.0,
    )
    heard: list[tuple[float, bytes]] = []
    ends: list[EndReason] = []
    session = await connect(path, clock)
    stream = await session.stream("loop", on_data=lambda d: heard.append((clock.monotonic(), d)), on_end=ends.append)
    await clock.advance(16)
    assert heard == [(0, b"a"), (5, b"\xff"), (10, b"a"), (15, b"\xff")]
    stream.close()
    await clock.advance(100)
    assert len(heard) == 4
    assert ends == [EndReason(None, "closed")]
    assert stream.ended == ends[0]


async def test_a_stream_that_answers_and_ends(tmp_path: Path) -> None:
    clock = FakeClock()
    path = record(tmp_path / "r", stream=[{"data": "a"}, {"data": "b"}], pace="write", loop=False)
    heard: list[bytes] = []
    ends: list[EndReason] = []
    stream = await (await connect(path, clock)).stream("loop", on_data=heard.append, on_end=ends.append)
    await clock.advance(100)
    assert heard == []
    stream.write(b"go")
    await clock.advance(0)
    assert heard == [b"a"]
    stream.write(b"go")
    await clock.advance(0)
    assert (heard, [e.exit_status for e in ends]) == ([b"a", b"b"], [0])


async def test_hosts_that_do_not_answer(tmp_path: Path) -> None:
    with pytest.raises(AuthError):
        await connect(record(tmp_path / "r", connect_error="auth"), FakeClock())
    with pytest.raises(UnreachableError, match="no recording at"):
        await connect(tmp_path / "none", FakeClock())
    (tmp_path / "r" / "runs.jsonl").write_text('{"match": "a"}\nnot json\n')
    with pytest.raises(UnreachableError, match=r"runs\.jsonl:2: not JSON"):
        await connect(tmp_path / "r", FakeClock())


async def test_what_is_recorded_plays(tmp_path: Path) -> None:
    live = await LocalTransport().connect(Host("here", "s"))
    recording = RecordingSession(live, tmp_path / "r")
    ended = asyncio.Event()
    await recording.run("printf 'a*[b]?'; exit 5")
    await recording.stream("printf '\\377x'", on_data=lambda d: None, on_end=lambda r: ended.set())
    async with asyncio.timeout(120):
        await ended.wait()
    await recording.close()
    played = await ReplayTransport(tmp_path).connect(Host("r", "s", transport="replay"))
    output = await played.run("printf 'a*[b]?'; exit 5")
    assert (output.stdout, output.exit_status) == ("a*[b]?", 5)
    assert (await played.run("printf 'aXb'; exit 5")).outcome is Outcome.MISSING
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    stream = await played.stream("x", on_data=heard.put_nowait, on_end=lambda r: None)
    async with asyncio.timeout(120):
        assert await heard.get() == b"\xffx"
    stream.close()
