"""Slurm through a login node: a real OpenSSH server on loopback, on which Slurm's commands are run."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleetctl.clock import SystemClock
from fleetctl.config.schema import Scheduler, Ssh
from fleetctl.engine.outside import login_host, make_backend
from fleetctl.errors import UnreachableError
from fleetctl.plugin import load_plugins
from fleetctl.transport.build import build_connections

from .conftest import NODES, Bed, Desk

pytestmark = pytest.mark.peers


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """(port, folder with id and known_hosts) of a server that lets this user in by key."""
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    shutil.copy(tmp_path / "id.pub", tmp_path / "authorized")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=subprocess.PIPE)
    assert server.stderr is not None
    try:
        while b"listening" not in server.stderr.readline():
            assert server.poll() is None
        yield port, tmp_path
    finally:
        server.terminate()
        server.wait(10)
        server.stderr.close()


async def test_everything_goes_through_the_login_node(bed: Bed, desk: Desk, sshd: tuple[int, Path]) -> None:
    port, folder = sshd
    settings = Scheduler(site="osl", bin=bed.bin, login=f"{getpass.getuser()}@127.0.0.1:{port}")
    ssh = Ssh(config="", known_hosts=str(folder / "known_hosts"), identity_files=(str(folder / "id"),))
    config = replace(desk.config, ssh=ssh, store=replace(desk.config.store, path=str(folder / "fleet.db")))
    connections = build_connections(config)
    try:
        backend = make_backend(settings, load_plugins()[0], connections, desk.inventory, SystemClock())
        assert tuple((await backend.read()).nodes) == NODES
        await backend.drain("osl-h100-02", "[fleetctl p-1] hw: it's out")
        node = await backend.read_node("osl-h100-02")
        assert (node.held, node.reason, node.ours) == (True, "[fleetctl p-1] hw: it's out", True)
        await backend.resume("osl-h100-02")
        assert not (await backend.read_node("osl-h100-02")).held
    finally:
        await connections.close()


async def test_a_login_node_that_is_gone_is_no_answer(bed: Bed, desk: Desk, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings = Scheduler(site="osl", bin=bed.bin, login=f"127.0.0.1:{free.getsockname()[1]}")
        config = replace(desk.config, store=replace(desk.config.store, path=str(tmp_path / "fleet.db")))
        connections = build_connections(config)
        try:
            backend = make_backend(settings, load_plugins()[0], connections, desk.inventory, SystemClock())
            with pytest.raises(UnreachableError):
                await backend.read()
        finally:
            await connections.close()


def test_where_commands_are_run(desk: Desk) -> None:
    at = lambda login: login_host(Scheduler(site="osl", login=login), desk.inventory)  # noqa: E731
    assert at("").transport == "local"
    assert at("osl-h100-01") is desk.inventory.hosts["osl-h100-01"]
    host = at("ops@login1.example:2222")
    assert (host.name, host.user, host.port, host.transport) == ("login1.example", "ops", 2222, "ssh")
