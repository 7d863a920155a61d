"""Real SSH servers on loopback, one port per simulated host, all in one process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from fleetctl_demo.loop import SimulatedLoop, rounds_of
from fleetctl_demo.machine import Machine
from fleetctl_demo.shell import Shell

USER = "ops"
_MAX_STDIN = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Keys:
    """The two key pairs of a demo: one every host shows, one the console logs in with. Paths of the private keys."""

    host: Path
    client: Path


def make_keys(folder: Path) -> Keys:
    """Keys of a demo folder, made at the first call."""
    keys = Keys(folder / "host_key", folder / "client_key")
    for path in (keys.host, keys.client):
        if not path.exists():
            key = asyncssh.generate_private_key("ssh-ed25519", comment="fleetctl demo")
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(key.export_private_key())
            path.with_suffix(".pub").write_bytes(key.export_public_key())
    return keys


class _Session(asyncssh.SSHServerSession[bytes]):
    """One channel: a command whose stdin is either the host loop's program or nothing of interest."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._chan: asyncssh.SSHServerChannel[bytes] | None = None
        self._loop: SimulatedLoop | None = None
        self._stdin = b""
        self._command = ""

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def shell_requested(self) -> bool:
        return False

    def session_started(self) -> None:
        assert self._chan is not None
        if "zlib.decompress" in self._command:
            self._loop = SimulatedLoop(self._shell, self._chan.write, asyncio.get_running_loop().call_later)
        elif not self._command.endswith("/bin/sh -s"):
            self._answer(self._command)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._loop is not None:
            self._loop.feed(data)
        elif len(self._stdin) < _MAX_STDIN:
            self._stdin += data

    def eof_received(self) -> bool:
        if self._loop is not None:
            self._loop.close()
            self._exit(0)
        elif self._command.endswith("/bin/sh -s"):
            script = self._stdin.decode("utf-8", "replace")
            framed = rounds_of(self._shell, script)
            if framed is None or self._chan is None:
                self._answer(script)
            else:
                self._chan.write(framed)
                self._exit(0)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._loop is not None:
            self._loop.close()

    def _answer(self, command: str) -> None:
        ran = self._shell.script(command)
        if ran.hangs or self._chan is None:
            return
        self._chan.write(ran.stdout.encode())
        self._chan.write_stderr(ran.stderr.encode())
        self._exit(ran.status)

    def _exit(self, status: int) -> None:
        if self._chan is not None and not self._chan.is_closing():
            self._chan.exit(status)


class _Server(asyncssh.SSHServer):
    """One connection to one simulated host."""

    def __init__(self, machine: Machine, shell: Shell, live: set[tuple[Machine, Any]]) -> None:
        self._machine = machine
        self._shell = shell
        self._live = live
        self._entry: tuple[Machine, Any] | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        faults = self._machine.fault(self._shell.now())
        self._entry = (self._machine, conn)
        self._live.add(self._entry)
        if "down" in faults or "garbage" in faults:
            if "garbage" in faults:
                conn._transport.write(random.Random(self._machine.seed).randbytes(400))  # type: ignore[union-attr]
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._entry is not None:
            self._live.discard(self._entry)

    def begin_auth(self, username: str) -> bool:
        if self._entry is not None and "auth" in self._machine.fault(self._shell.now()):
            self._entry[1].set_authorized_keys(asyncssh.SSHAuthorizedKeys())
        return True

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._shell)


class DemoServers:
    """All servers of a demo. ports: host name -> port on 127.0.0.1, known after `start`."""

    def __init__(self, machines: Sequence[Machine], keys: Keys) -> None:
        self._machines = machines
        self._keys = keys
        self._live: set[tuple[Machine, Any]] = set()
        self._acceptors: list[asyncssh.SSHAcceptor] = []
        self.ports: dict[str, int] = {}

    async def start(self) -> None:
        """Listen; raises OSError when the system allows too few open files."""
        authorized = asyncssh.import_authorized_keys(self._keys.client.with_suffix(".pub").read_text())
        options = asyncssh.SSHServerConnectionOptions(
            server_host_keys=[asyncssh.read_private_key(self._keys.host)],
            authorized_client_keys=authorized,
            encoding=None,
            kex_algs=["curve25519-sha256"],
            encryption_algs=["aes128-gcm@openssh.com", "aes256-ctr"],
            compression_algs=None,
            login_timeout=120,
            allow_scp=False,
            sftp_factory=None,
        )
        for machine in self._machines:
            shell = Shell(machine)

            def factory(machine: Machine = machine, shell: Shell = shell) -> _Server:
                return _Server(machine, shell, self._live)

            acceptor = await asyncssh.listen("127.0.0.1", 0, options=options, server_factory=factory, backlog=16)
            self._acceptors.append(acceptor)
            self.ports[machine.name] = acceptor.get_port()

    async def run(self) -> None:
        """Cut the connections of hosts that go down, until cancelled."""
        while True:
            await asyncio.sleep(2.0)
            for machine, conn in list(self._live):
                if "down" in machine.fault(Shell(machine).now()):
                    conn.abort()

    async def stop(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        for _, conn in list(self._live):
            conn.abort()
        for acceptor in self._acceptors:
            await acceptor.wait_closed()
