"""OpenSSH hosts with faults: every fault has its kind, and the hosts beside it do not notice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetctl.errors import FleetctlError, HostKeyError, TimedOutError
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome
from fleetctl.model.report import ErrorKind
from fleetctl.transport.base import Session
from fleetctl.transport.pool import Connections
from tests.fakes.hostbed import LIMIT_S

pytestmark = pytest.mark.peers


async def test_every_host_answers_and_keeps_its_connection(bed: Any, make_transport: Callable[..., Any]) -> None:
    connections = Connections({"ssh": make_transport(bed.settings())})
    sessions = await asyncio.gather(*map(connections.session, bed.hosts))
    for _ in range(3):
        outputs = await asyncio.gather(*(s.run("hostname") for s in sessions))
        assert [o.stdout.strip() for o in outputs] == [h.name for h in bed.hosts]
    assert [s.connects for s in connections.states()] == [1] * len(bed.hosts)
    await connections.close()


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (("refuse",), ErrorKind.UNREACHABLE, "connection refused"),
        (("dark",), ErrorKind.TIMED_OUT, "no answer within 4 s"),
        (("silent",), ErrorKind.TIMED_OUT, "nothing was said within 4 s"),
        (("garbage",), ErrorKind.PROTOCOL, ""),
        (("reset",), ErrorKind.PROTOCOL, ""),
        (("cut", "500"), ErrorKind.PROTOCOL, ""),
        (("auth",), ErrorKind.AUTH, "permission denied for user ops (offered "),
        (("hostkey",), ErrorKind.HOST_KEY, "THE HOST KEY HAS CHANGED"),
        (("hang",), ErrorKind.TIMED_OUT, "nothing was said within 4 s"),
        (("down",), ErrorKind.TIMED_OUT, "no answer within 4 s"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
async def test_each_fault_has_its_kind(
    healed: Any, make_transport: Callable[..., Any], fault: tuple[str, ...], kind: ErrorKind, text: str
) -> None:
    bad, *good = healed.hosts
    healed("fault", bad.name, *fault)
    # Only who is to run out of time is given little of it.
    hurried = healed.config(bad.name, 4) if kind is ErrorKind.TIMED_OUT else healed.config()
    transport = make_transport(healed.settings(config=str(hurried)))
    results = await asyncio.gather(*map(transport.connect, healed.hosts), return_exceptions=True)
    error = results[0]
    assert isinstance(error, FleetctlError)
    assert error.kind == kind, str(error)
    assert text in str(error)
    assert error.hint
    for host, session in zip(good, results[1:], strict=True):
        assert (await session.run("hostname")).stdout.strip() == host.name  # type: ignore[union-attr]
        await session.close()  # type: ignore[union-attr]


async def test_a_changed_key_is_refused_under_every_policy(
    healed: Any, make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    host = healed.hosts[0]
    lines = healed.config().read_text().splitlines()
    (tmp_path / "config").write_text("\n".join(line for line in lines if "KnownHostsFile" not in line))
    settings = healed.settings(
        config=str(tmp_path / "config"), known_hosts=str(tmp_path / "none"), host_key_policy="accept-new"
    )
    transport = make_transport(settings, host_keys_path=tmp_path / "ours")
    await (await transport.connect(host)).close()
    assert (tmp_path / "ours").read_text().startswith("[127.")
    healed("fault", host.name, "hostkey")
    for _ in range(3):
        with pytest.raises(HostKeyError, match=r"ours:1 has ssh-ed25519 SHA256:"):
            await transport.connect(host)


async def test_a_slow_link_is_slow_and_works(healed: Any, make_transport: Callable[..., Any]) -> None:
    host = healed.hosts[1]
    healed("fault", host.name, "latency", "60")
    session = await make_transport(healed.settings()).connect(host)
    assert (await session.run("hostname")).stdout.strip() == host.name
    await session.close()


async def test_a_host_that_hangs_in_the_middle(healed: Any, make_transport: Callable[..., Any]) -> None:
    bad, good = healed.hosts[:2]
    # Keep-alives that are soon missed would find the good host dead, too, on a busy machine.
    watchful, patient = make_transport(healed.settings(keepalive_s=0.2)), make_transport(healed.settings())
    sessions = await asyncio.gather(watchful.connect(bad), patient.connect(good))
    healed("fault", bad.name, "hang")
    stuck, fine = await asyncio.gather(*(s.run("hostname", timeout_s=LIMIT_S) for s in sessions))
    assert stuck.outcome is Outcome.LOST  # by keep-alives, long before the limit of the command
    assert fine.stdout.strip() == good.name
    assert sessions[0].closed
    await sessions[1].close()


async def test_power_off_and_back(healed: Any, make_transport: Callable[..., Any]) -> None:
    host = healed.hosts[0]
    connections = Connections({"ssh": make_transport(healed.settings(config=str(healed.config(host.name, 4))))})
    first = await _until_there(connections, host)
    waiting = asyncio.create_task(first.run("sleep 600", timeout_s=LIMIT_S))
    healed("fault", host.name, "down")
    assert (await waiting).outcome is Outcome.LOST
    with pytest.raises(FleetctlError):
        await connections.session(host)
    state = connections.state(host.name)
    assert state is not None
    assert (state.connected, state.losses, state.failures) == (False, 1, 1)
    healed("heal", host.name)
    second = await _until_there(connections, host)
    assert (await second.run("hostname")).stdout.strip() == host.name
    await connections.close()


async def _until_there(connections: Connections, host: Host) -> Session:
    """Four seconds suffice for a host that is down, not for a good one on a busy machine: it is asked again."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            connections.retry_now(host.name)
            try:
                return await connections.session(host)
            except TimedOutError:
                continue


async def test_a_jump_host(healed: Any, make_transport: Callable[..., Any]) -> None:
    import dataclasses

    jump, *behind = healed.hosts
    transport = make_transport(healed.settings())
    sessions = await asyncio.gather(*(transport.connect(dataclasses.replace(h, jump=jump.name)) for h in behind))
    assert list(transport.bastion_counts().values()) == [(1, len(behind))]
    outputs = await asyncio.gather(*(s.run("hostname") for s in sessions))
    assert [o.stdout.strip() for o in outputs] == [h.name for h in behind]
    await asyncio.gather(*(s.close() for s in sessions))


async def test_noise_before_and_floods_after(healed: Any, make_transport: Callable[..., Any]) -> None:
    host = healed.hosts[0]
    healed("fault", f"{host.name}/nvidia-smi", "flood", str(1 << 30))
    session = await make_transport(healed.settings()).connect(host)
    output = await session.run("nvidia-smi", max_bytes=100_000, timeout_s=LIMIT_S)
    assert (output.outcome, len(output.stdout.encode("utf-8", "replace")) <= 300_000) == (Outcome.CUT, True)
    healed("heal", f"{host.name}/nvidia-smi")
    healed("fault", f"{host.name}/nvidia-smi", "hardhang")
    assert (await session.run("nvidia-smi", timeout_s=0.5)).outcome is Outcome.TIMEOUT
    assert (await session.run("hostname")).stdout.strip() == host.name
    await session.close()
