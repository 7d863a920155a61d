"""Real SSH servers: one in this process on a free port, and the bed of OpenSSH hosts where ../shared exists."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fleetctl.config.schema import Ssh
from fleetctl.model.host import Host
from fleetctl.transport.ssh import SshTransport
from tests.fakes.hostbed import HOSTBED, LIMIT_S, Bed, running_bed

# A checkout without ../shared has no bed; the servers in this process remain.
collect_ignore = [] if HOSTBED.exists() else ["test_bed.py", "test_collector_peers.py"]


@dataclass
class Server:
    """An SSH server in this process. `commands` counts what it was asked; `connections` who came."""

    port: int
    host_key: asyncssh.SSHKey
    folder: Path
    user_key: Path
    commands: list[str] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    open_now: int = 0
    most_unauthenticated: int = 0
    unauthenticated: int = 0
    tunnels: int = 0

    def line(self, key: asyncssh.SSHKey | None = None, names: str = "", marker: str = "") -> str:
        key = key or self.host_key
        public = key.export_public_key().decode().strip()
        return f"{marker + ' ' if marker else ''}{names or f'[127.0.0.1]:{self.port}'} {public}\n"

    def host(self, name: str = "gpu1", **more: Any) -> Host:
        return Host(name, "s", **{"address": "127.0.0.1", "port": self.port, "user": "ops", **more})

    def trust(self, text: str | None = None) -> None:
        (self.folder / "known_hosts").write_text(self.line() if text is None else text)

    def settings(self, **more: Any) -> Ssh:
        return Ssh(
            **{
                "config": "",
                "known_hosts": str(self.folder / "known_hosts"),
                "identity_files": (str(self.user_key),),
                "connect_timeout_s": LIMIT_S,
                "connects_per_second": 10_000.0,
                **more,
            }
        )


async def _answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """The commands this server knows."""
    command = process.command or ""
    word, _, rest = command.partition(" ")
    if word == "echo":
        process.stdout.write(rest.encode() + b"\n")
    elif word == "cat":
        process.stdout.write(await process.stdin.read())
    elif word == "lines":
        async for line in process.stdin:
            process.stdout.write(b"got " + line)
    elif word == "fail":
        process.stderr.write(b"it failed\n")
        process.exit(int(rest))
        return
    elif word == "hang":
        process.stdout.write(b"started\n")
        await process.wait_closed()
        return
    elif word == "flood":
        block = b"x" * 65536
        for _ in range(int(rest)):
            process.stdout.write(block)
            await process.stdout.drain()
    elif word == "bytes":
        process.stdout.write(bytes(range(256)))
    elif word == "die":
        process.channel.get_connection().abort()
        return
    else:
        process.exit(127)
        return
    process.exit(0)


@pytest.fixture
async def make_server(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """make_server(name, **options for asyncssh.listen) -> Server; trusted, with a key of its own."""
    acceptors: list[asyncssh.SSHAcceptor] = []
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    key_path = tmp_path / "id_ed25519"
    key_path.write_bytes(user_key.export_private_key())
    (tmp_path / "authorized").write_bytes(user_key.export_public_key())
    servers: list[Server] = []

    async def make(name: str = "one", key_type: str = "ssh-ed25519", port: int = 0, **options: Any) -> Server:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        host_key = asyncssh.generate_private_key(key_type)
        server = Server(port, host_key, folder, key_path)

        class Front(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                server.connections.append(conn)
                server.unauthenticated += 1
                server.most_unauthenticated = max(server.most_unauthenticated, server.unauthenticated)
                server.open_now += 1
                self.known = False

            def auth_completed(self) -> None:
                self.known = True
                server.unauthenticated -= 1

            def connection_lost(self, exc: Exception | None) -> None:
                server.open_now -= 1
                if not self.known:
                    server.unauthenticated -= 1

            def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
                server.tunnels += 1
                return True

        async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
            server.commands.append(process.command or "")
            with contextlib.suppress(ConnectionError):  # the client has seen enough
                await _answer(process)

        defaults: dict[str, Any] = {
            "server_host_keys": [host_key],
            "authorized_client_keys": str(tmp_path / "authorized"),
        }
        acceptor = await asyncssh.listen(
            "127.0.0.1", port, server_factory=Front, process_factory=answer, encoding=None, **(defaults | options)
        )
        acceptors.append(acceptor)
        server.port = acceptor.get_port()
        server.trust()
        servers.append(server)
        return server

    yield make
    for acceptor in acceptors:
        acceptor.close()
        await acceptor.wait_closed()
    for server in servers:
        for conn in server.connections:
            conn.abort()
            await conn.wait_closed()


@pytest.fixture
async def server(make_server: Callable[..., Any]) -> Server:
    made: Server = await make_server()
    return made


@pytest.fixture
async def make_transport() -> AsyncIterator[Callable[..., SshTransport]]:
    """make_transport(settings, **more) -> SshTransport, closed at the end."""
    made: list[SshTransport] = []

    def make(settings: Ssh, **more: Any) -> SshTransport:
        transport = SshTransport(settings, **{"host_keys_path": None, **more})
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.close()


@pytest.fixture
async def make_listener() -> AsyncIterator[Callable[..., Any]]:
    """make_listener(what) -> port of a server that does `what(reader, writer)` and is no SSH server."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def make(what: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await what(reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield make
    for server in servers:
        server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
def unknown_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """`*.invalid` means nothing at once, whatever name servers this machine has and however long they take."""
    look_up = socket.getaddrinfo

    def found(host: Any, *more: Any, **options: Any) -> Any:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Six OpenSSH hosts, started once, and the one that is nobody's."""
    with running_bed("-n", "7") as made:
        yield made


@pytest.fixture
def healed(bed: Bed) -> Iterator[Bed]:
    """The bed, with every fault taken back afterwards."""
    yield bed
    bed("heal", "all")
