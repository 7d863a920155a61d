"""What goes wrong while connecting: each ends in its own kind, with words and a next step, and in time."""

import asyncio
import gc
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fleetctl.errors import AuthError, FleetctlError, TimedOutError, UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.report import ErrorKind
from fleetctl.transport import accounts
from fleetctl.transport.pool import Connections
from tests.fakes.hostbed import LIMIT_S


async def failure(transport: Any, host: Host) -> FleetctlError:
    with pytest.raises(FleetctlError) as caught:
        await transport.connect(host)
    assert caught.value.hint
    assert host.name in str(caught.value)
    return caught.value


@pytest.fixture
def transport(server: Any, make_transport: Callable[..., Any]) -> Any:
    return make_transport(server.settings())


async def test_refused(transport: Any) -> None:
    with socket.socket() as deaf:  # bound, so that nobody else takes the port, and not listening
        deaf.bind(("127.0.0.1", 0))
        there = Host("gpu1", "s", address="127.0.0.1", port=deaf.getsockname()[1], user="ops")
        error = await failure(transport, there)
    assert error.kind == ErrorKind.UNREACHABLE
    assert "refused" in str(error)


@pytest.mark.usefixtures("unknown_names")
async def test_a_name_that_means_nothing(transport: Any) -> None:
    error = await failure(transport, Host("gpu1", "s", address="gpu1.invalid"))
    assert error.kind == ErrorKind.RESOLVE
    assert "'gpu1.invalid' resolves to nothing" in str(error)


async def test_a_port_that_says_nothing(
    server: Any, make_transport: Callable[..., Any], make_listener: Callable[..., Any]
) -> None:
    port = await make_listener(lambda reader, writer: asyncio.sleep(3600))
    transport = make_transport(server.settings(connect_timeout_s=1.0))
    error = await failure(transport, Host("gpu1", "s", address="127.0.0.1", port=port))
    assert isinstance(error, TimedOutError)
    assert "nothing was said within 1 s" in str(error)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (b"", "closed before the first word"),
        (b"\x00\xff\x1b[31m" + bytes(range(40)), "does not speak SSH"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "cut during the handshake|not a working SSH server"),
        (b"SSH-1.5-old\r\n", "not a working SSH server|no common SSH algorithm"),
        (b"SSH-2.0-half\r\n\x00\x00\x00\x0c\x0a", "cut during the handshake|connection reset"),
        (b"SSH-2.0-garbage\r\n" + b"\xff" * 5000, "not a working SSH server|cut during the handshake"),
        (b"a banner line\r\n" * 5000, "not a working SSH server|cut during the handshake"),
    ],
)
async def test_not_a_working_server(transport: Any, make_listener: Callable[..., Any], words: bytes, text: str) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await writer.drain()
        writer.close()

    port = await make_listener(say)
    error = await failure(transport, Host("gpu1", "s", address="127.0.0.1", port=port))
    assert error.kind == ErrorKind.PROTOCOL
    assert re.search(text, str(error)), str(error)
    assert "\x1b" not in str(error)


async def test_permission_denied_names_the_keys(
    server: Any, make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    transport = make_transport(server.settings(identity_files=(str(stranger),)))
    error = await failure(transport, server.host())
    assert isinstance(error, AuthError)
    assert error.kind == ErrorKind.AUTH
    assert str(stranger) in str(error)
    assert "ssh -p" in error.hint


async def test_a_key_that_needs_a_passphrase(server: Any, make_transport: Callable[..., Any], tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    key = asyncssh.generate_private_key("ssh-ed25519")
    locked.write_bytes(key.export_private_key("pkcs8-pem", passphrase="secret"))
    error = await failure(make_transport(server.settings(identity_files=(str(locked),))), server.host())
    assert error.kind == ErrorKind.AUTH
    assert "needs a passphrase" in str(error)
    assert "ssh-add" in error.hint
    assert server.connections == []


async def test_a_refused_account_is_not_refused_ten_thousand_times(
    server: Any, make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    transport = make_transport(server.settings(identity_files=(str(stranger),)))
    for number in range(accounts.REFUSED_IN_A_ROW):
        await failure(transport, server.host(f"gpu{number}"))
    tried = len(server.connections)
    error = await failure(transport, server.host("gpu99"))
    assert error.kind == ErrorKind.AUTH
    assert "not tried" in str(error)
    assert len(server.connections) == tried
    assert (await failure(transport, server.host("gpu99", user="other"))).kind == ErrorKind.AUTH
    assert len(server.connections) == tried + 1


async def test_a_broken_config_is_placed(server: Any, make_transport: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host gpu1\n  ConnectTimeout soon\n")
    transport = make_transport(server.settings(config=str(tmp_path / "config")))
    error = await failure(transport, server.host("gpu1"))
    assert "config:2" in str(error)
    assert error.kind == ErrorKind.RESOLVE
    await (await transport.connect(server.host("gpu2"))).close()


async def test_two_hosts_that_are_one_machine(server: Any, make_transport: Callable[..., Any]) -> None:
    connections = Connections({"ssh": make_transport(server.settings())})
    await connections.session(server.host("gpu1"))
    with pytest.raises(UnreachableError, match="gpu2 and gpu1 are one machine: both answer at 127") as caught:
        await connections.session(server.host("gpu2"))
    assert caught.value.kind == ErrorKind.RESOLVE
    assert "gpu2" in caught.value.hint
    assert connections.live("gpu1") is not None
    await connections.close()


async def test_giving_up_leaves_nothing_behind(transport: Any, make_listener: Callable[..., Any]) -> None:
    """A cancelled attempt closes its socket, and the loop does not confuse the next one that gets its number."""
    reached: asyncio.Queue[None] = asyncio.Queue()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.put_nowait(None)
        await asyncio.sleep(3600)

    port = await make_listener(silent)
    for _ in range(20):
        task = asyncio.create_task(transport.connect(Host("gpu1", "s", address="127.0.0.1", port=port)))
        await reached.get()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gc.collect()  # an open socket would warn, and a warning fails the test


async def test_silent_hosts_do_not_hold_the_others_up(
    server: Any, make_transport: Callable[..., Any], make_listener: Callable[..., Any]
) -> None:
    """Twenty hosts hang for their whole time-out; with two handshake slots the good one still connects at once."""
    reached: asyncio.Queue[None] = asyncio.Queue()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.put_nowait(None)
        await asyncio.sleep(3600)

    port = await make_listener(silent)
    transport = make_transport(server.settings(connect_timeout_s=30.0), site_limits={"s": 2})
    hosts = [Host(f"bad{n}", "s", address="127.0.0.1", port=port, user=f"user{n}") for n in range(20)]
    hung = [asyncio.create_task(transport.connect(host)) for host in hosts]
    for _ in range(2):
        await reached.get()
    async with asyncio.timeout(LIMIT_S):
        session = await transport.connect(server.host())
    await session.close()
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)


async def test_a_stock_sshd_is_not_overrun(server: Any, make_transport: Callable[..., Any]) -> None:
    """MaxStartups 10:30:100 begins to drop at ten unauthenticated connections."""
    transport = make_transport(server.settings(), site_limits={"s": 32})
    sessions = await asyncio.gather(*(transport.connect(server.host(f"gpu{n}")) for n in range(60)))
    assert 1 < server.most_unauthenticated <= 9
    await asyncio.gather(*(s.close() for s in sessions))
