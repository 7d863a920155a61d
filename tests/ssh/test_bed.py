"""OpenSSH hosts with faults: every fault has its kind, and the hosts beside it do not notice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetctl.errors import FleetctlError, HostKeyError
from fleetctl.model.probe import Outcome
from fleetctl.model.report import ErrorKind
from fleetctl.transport.pool import Connections

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
        (("dark",), ErrorKind.TIMED_OUT, "no answer within 2 s"),
        (("silent",), ErrorKind.TIMED_OUT, "nothing was said within 2 s"),
        (("garbage",), ErrorKind.PROTOCOL, ""),
        (("reset",), ErrorKind.PROTOCOL, ""),
        (("cut", "500"), ErrorKind.PROTOCOL, ""),
        (("auth",), ErrorKind.AUTH, "permission denied for user ops (offered "),
        (("hostkey",), ErrorKind.HOST_KEY, "THE HOST KEY HAS CHANGED"),
        (("hang",), ErrorKind.TIMED_OUT, "nothing was said within 2 s"),
        (("down",), ErrorKind.TIMED_OUT, "no answer within 2 s"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
async def test_each_fault_has_its_kind(
    healed: Any, make_transport: Callable[..., Any], fault: tuple[str, ...], kind: ErrorKind, text: str
) -> None:
    bad, *good = healed.hosts
    healed("fault", bad.name, *fault)
    transport = make_transport(healed.settings())
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
    settings = healed.settings(known_hosts=str(tmp_path / "none"), host_key_policy="accept-new")
    (tmp_path / "config").write_text(
        "\n".join(
            line for line in (healed.folder / "ssh_config").read_text().splitlines() if "KnownHostsFile" not in line
        )
    )
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
    session = await make_transport(healed.settings(connect_timeout_s=10.0)).connect(host)
    assert (await session.run("hostname")).stdout.strip() == host.name
    await session.close()


async def test_a_host_that_hangs_in_the_middle(healed: Any, make_transport: Callable[..., Any]) -> None:
    bad, good = healed.hosts[:2]
    transport = make_transport(healed.settings(keepalive_s=0.2))
    sessions = await asyncio.gather(transport.connect(bad), transport.connect(good))
    healed("fault", bad.name, "hang")
    stuck, fine = await asyncio.gather(*(s.run("hostname", timeout_s=20) for s in sessions))
    assert stuck.outcome is Outcome.LOST  # by keep-alives, long before the limit of the command
    assert fine.stdout.strip() == good.name
    assert sessions[0].closed
    await sessions[1].close()


async def test_power_off_and_back(healed: Any, make_transport: Callable[..., Any]) -> None:
    host = healed.hosts[0]
    connections = Connections({"ssh": make_transport(healed.settings())})
    first = await connections.session(host)
    waiting = asyncio.create_task(first.run("sleep 60", timeout_s=30))
    healed("fault", host.name, "down")
    assert (await waiting).outcome is Outcome.LOST
    with pytest.raises(FleetctlError):
        await connections.session(host)
    state = connections.state(host.name)
    assert state is not None
    assert (state.connected, state.losses, state.failures) == (False, 1, 1)
    healed("heal", host.name)
    connections.retry_now(host.name)
    second = await connections.session(host)
    assert (await second.run("hostname")).stdout.strip() == host.name
    await connections.close()


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
    output = await session.run("nvidia-smi", max_bytes=100_000, timeout_s=60)
    assert (output.outcome, len(output.stdout.encode("utf-8", "replace")) <= 300_000) == (Outcome.CUT, True)
    healed("heal", f"{host.name}/nvidia-smi")
    healed("fault", f"{host.name}/nvidia-smi", "hardhang")
    assert (await session.run("nvidia-smi", timeout_s=0.5)).outcome is Outcome.TIMEOUT
    assert (await session.run("hostname")).stdout.strip() == host.name
    await session.close()
