"""The ways to a host: jump hosts that are shared, chains of them, proxy commands, agents and certificates."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fleetctl.errors import AuthError, UnreachableError
from fleetctl.model.probe import Outcome
from fleetctl.model.report import ErrorKind
from fleetctl.transport import bastions
from tests.fakes.hostbed import LIMIT_S


def jump_config(tmp_path: Path, text: str) -> str:
    (tmp_path / "config").write_text(text)
    return str(tmp_path / "config")


def block(name: str, server: Any, more: str = "") -> str:
    return f"Host {name}\n  HostName 127.0.0.1\n  Port {server.port}\n  User ops\n{more}"


async def test_hosts_behind_one_jump_host_share_its_connection(
    make_server: Callable[..., Any], make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    bastion, inner = await make_server("bastion"), await make_server("inner")
    inner.trust(inner.line() + bastion.line())
    config = jump_config(tmp_path, block("bastion", bastion))
    transport = make_transport(inner.settings(config=config))
    sessions = await asyncio.gather(*(transport.connect(inner.host(f"gpu{n}", jump="bastion")) for n in range(20)))
    assert (len(bastion.connections), bastion.tunnels) == (1, 20)
    assert transport.bastion_counts() == {f"ops@127.0.0.1:{bastion.port}": (1, 20)}
    assert (await sessions[7].run("echo through")).stdout == "through\n"
    assert "ssh through ops@127.0.0.1" in sessions[0].facts["via"]
    await asyncio.gather(*(s.close() for s in sessions))
    assert transport.bastion_counts() == {f"ops@127.0.0.1:{bastion.port}": (1, 0)}


async def test_a_full_connection_to_the_jump_host_gets_a_second(
    make_server: Callable[..., Any], make_transport: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bastions, "CHANNELS", 3)
    bastion, inner = await make_server("bastion"), await make_server("inner")
    inner.trust(inner.line() + bastion.line())
    transport = make_transport(inner.settings(config=jump_config(tmp_path, block("bastion", bastion))))
    sessions = [await transport.connect(inner.host(f"gpu{n}", jump="bastion")) for n in range(7)]
    assert len(bastion.connections) == 3
    await asyncio.gather(*(s.close() for s in sessions))


async def test_a_lost_jump_host_is_made_again(
    make_server: Callable[..., Any], make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    bastion, inner = await make_server("bastion"), await make_server("inner")
    inner.trust(inner.line() + bastion.line())
    transport = make_transport(inner.settings(config=jump_config(tmp_path, block("bastion", bastion))))
    first = await transport.connect(inner.host("gpu1", jump="bastion"))
    bastion.connections[0].abort()
    assert (await first.run("hang", timeout_s=LIMIT_S)).outcome is Outcome.LOST
    assert first.closed
    second = await transport.connect(inner.host("gpu1", jump="bastion"))
    assert len(bastion.connections) == 2
    await second.close()


async def test_a_chain_of_jump_hosts(
    make_server: Callable[..., Any], make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    outer, middle, inner = await make_server("outer"), await make_server("middle"), await make_server("inner")
    inner.trust(inner.line() + outer.line() + middle.line())
    text = block("outer", outer) + block("middle", middle, "  ProxyJump outer\n") + block("gpu1", inner)
    transport = make_transport(inner.settings(config=jump_config(tmp_path, text)))
    by_config = await transport.connect(inner.host("gpu1", jump="middle"))
    by_list = await transport.connect(inner.host("gpu1", jump="outer,middle"))
    assert (await by_config.run("echo a")).stdout + (await by_list.run("echo b")).stdout == "a\nb\n"
    assert (outer.tunnels, middle.tunnels) == (1, 2)
    await by_config.close()
    await by_list.close()


async def test_a_dead_jump_host_is_tried_once_for_all_behind_it(
    make_server: Callable[..., Any], make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    inner = await make_server("inner")
    (tmp_path / "nobody").write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
    bastion = await make_server("bastion", authorized_client_keys=str(tmp_path / "nobody"))
    inner.trust(inner.line() + bastion.line())
    transport = make_transport(inner.settings(config=jump_config(tmp_path, block("bastion", bastion))))
    results = await asyncio.gather(
        *(transport.connect(inner.host(f"gpu{n}", jump="bastion")) for n in range(30)), return_exceptions=True
    )
    assert all(isinstance(r, AuthError) and str(r).startswith("jump host bastion") for r in results)
    assert len(bastion.connections) == 1


@pytest.mark.usefixtures("unknown_names")
async def test_what_a_jump_host_says(
    make_server: Callable[..., Any], make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    bastion = await make_server("bastion")
    transport = make_transport(bastion.settings(config=jump_config(tmp_path, block("bastion", bastion))))
    closed = await make_server("closed")
    port = closed.port
    with pytest.raises(UnreachableError) as caught:
        await transport.connect(closed.host("gpu1", jump="bastion", address="127.0.0.1", port=1))
    assert "not reached from ops@127.0.0.1" in str(caught.value)
    with pytest.raises(UnreachableError) as caught:
        await transport.connect(closed.host("gpu1", jump="bastion", address="gpu1.invalid", port=port))
    assert caught.value.kind in (ErrorKind.RESOLVE, ErrorKind.UNREACHABLE)
    assert transport.bastion_counts() == {f"ops@127.0.0.1:{bastion.port}": (1, 0)}


async def test_a_circle_of_jump_hosts(server: Any, make_transport: Callable[..., Any], tmp_path: Path) -> None:
    text = block("a", server, "  ProxyJump b\n") + block("b", server, "  ProxyJump a\n")
    transport = make_transport(server.settings(config=jump_config(tmp_path, text)))
    with pytest.raises(UnreachableError, match="circle"):
        await transport.connect(server.host("gpu1", jump="a"))


async def test_a_proxy_command(server: Any, make_transport: Callable[..., Any], tmp_path: Path) -> None:
    script = tmp_path / "pipe.py"
    script.write_text(
        "import socket, sys, os, threading\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): s.sendall(data)\n"
        "    os._exit(0)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := s.recv(65536): os.write(1, data)\n"
    )
    config = jump_config(tmp_path, f"ProxyCommand {sys.executable} {script} %h %p\n")
    session = await make_transport(server.settings(config=config)).connect(server.host())
    assert (await session.run("echo piped")).stdout == "piped\n"
    await session.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """agent(key files...) -> socket of a real ssh-agent that holds them."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*files: Path) -> Path:
        sock = tmp_path / f"agent{len(running)}"
        process = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        for file in files:
            file.chmod(0o600)
            environ = {**os.environ, "SSH_AUTH_SOCK": str(sock)}
            subprocess.run(["ssh-add", file], env=environ, check=True, capture_output=True)
        return sock

    yield start
    for process in running:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.peers
async def test_keys_of_the_agent(
    server: Any, make_transport: Callable[..., Any], agent: Callable[..., Path], tmp_path: Path
) -> None:
    others = []
    for number in range(3):
        path = tmp_path / f"other{number}"
        path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        others.append(path)
    sock = agent(*others, server.user_key)
    config = jump_config(tmp_path, f"IdentityAgent {sock}\nIdentityFile {tmp_path}/none\n")
    transport = make_transport(server.settings(config=config, identity_files=()))
    sessions = await asyncio.gather(*(transport.connect(server.host(f"gpu{n}")) for n in range(10)))
    assert (await sessions[9].run("echo agent")).stdout == "agent\n"
    await asyncio.gather(*(s.close() for s in sessions))
    only = jump_config(tmp_path, f"IdentityAgent {sock}\nIdentityFile {others[0]}\nIdentitiesOnly yes\n")
    with pytest.raises(AuthError, match="permission denied"):
        await make_transport(server.settings(config=only, identity_files=())).connect(server.host())


async def test_a_user_certificate(
    make_server: Callable[..., Any], make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "key").write_bytes(key.export_private_key())
    certificate = authority.generate_user_certificate(key, "ops", principals=["ops"])
    (tmp_path / "ca").write_bytes(b"cert-authority " + authority.export_public_key())
    server = await make_server(authorized_client_keys=str(tmp_path / "ca"))
    with pytest.raises(AuthError):
        await make_transport(server.settings(identity_files=(str(tmp_path / "key"),))).connect(server.host())
    (tmp_path / "key-cert.pub").write_bytes(certificate.export_certificate())
    beside = await make_transport(server.settings(identity_files=(str(tmp_path / "key"),))).connect(server.host())
    await beside.close()
    (tmp_path / "key-cert.pub").rename(tmp_path / "elsewhere.pub")
    config = jump_config(tmp_path, f"CertificateFile {tmp_path}/elsewhere.pub\n")
    named = await make_transport(server.settings(config=config, identity_files=(str(tmp_path / "key"),))).connect(
        server.host()
    )
    await named.close()
