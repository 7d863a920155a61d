"""What setting up a connection costs, beside ssh: `python benchmarks/connect.py [-n 60]`.

One real sshd on loopback; every connection logs in with a key, runs `true` and leaves. Client CPU only (ours: this
process; ssh: its children), medians of three runs. Files with many entries hold hashed known hosts, each with a salt
and a key of its own, and one Host block per host. Needs sshd, ssh and ssh-keygen.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import getpass
import hashlib
import hmac
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

from fleetctl import garbage
from fleetctl.config.schema import Ssh
from fleetctl.model.host import Host
from fleetctl.transport.known_hosts import KnownHostsFile
from fleetctl.transport.pool import Connections
from fleetctl.transport.ssh import SshTransport

RUNS = 3
AT_ONCE = 16
FEW, MANY = 125, 12_500
KEX = "curve25519-sha256"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=60, help="connections per run")
    parser.add_argument("--keep", type=int, default=0, help="instead: keep so many connections, ask each three times")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that sshd is ended too
    count, kept = parser.parse_args().n, parser.parse_args().keep
    if kept:
        keep_connections(kept)
        return
    with tempfile.TemporaryDirectory(prefix="connect") as name, sshd(Path(name)) as (port, folder):
        few, many = (write_files(folder, port, entries, count) for entries in (FEW, MANY))
        ssh_few = cpu_per(lambda n: run_ssh(few, n), min(count, 30), children=True)
        rows = [
            (f"ssh, {KEX}, {FEW} entries", ssh_few),
            (f"ssh, {KEX}, {MANY} entries", cpu_per(lambda n: run_ssh(many, n), 10, children=True)),
            (f"asyncssh with the files, {FEW} entries", cpu_per(lambda n: run_asyncssh(few, n), 20)),
            (f"asyncssh with the files, {MANY} entries", cpu_per(lambda n: run_asyncssh(many, n), 2)),
        ]
        ours_few, ours_many = (cpu_per(connector(files), count) for files in (few, many))
        rows += [(f"fleetctl, {FEW} entries", ours_few), (f"fleetctl, {MANY} entries", ours_many)]
        for label, cost in rows:
            print(f"{label:<44}{cost * 1000:>10.2f} ms   {cost / ssh_few:7.2f} of ssh")
        print(f"{f'fleetctl, reading the files of {MANY}, once':<44}{load_cost(many) * 1000:>10.2f} ms")
        print(f"fleetctl / ssh {ours_few / ssh_few:.2f} (target 0.35); {MANY} / {FEW} {ours_many / ours_few:.2f} (1.5)")


def cpu(children: bool) -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_per(run: Callable[[int], None], count: int, *, children: bool = False) -> float:
    """CPU seconds per connection, median of the runs; one connection before them warms caches and imports."""
    run(1)
    costs = []
    for _ in range(RUNS):
        start = cpu(children)
        run(count)
        costs.append((cpu(children) - start) / count)
    return statistics.median(costs)


@contextmanager
def sshd(folder: Path) -> Iterator[tuple[int, Path]]:
    binary = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        sys.exit("sshd is missing: apt-get install openssh-server")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    port = 20_000 + os.getpid() % 10_000
    (folder / "sshd_config").write_text(
        f"ListenAddress 0.0.0.0\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nMaxStartups 1000\nPrintMotd no\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([binary, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if subprocess.run(["ssh-keyscan", "-p", str(port), "127.0.0.1"], capture_output=True).stdout:
                break
            time.sleep(0.05)
        yield port, folder
    finally:
        server.terminate()
        server.wait()


def address(number: int) -> str:
    return f"127.9.{number // 250}.{number % 250 + 1}"


def write_files(folder: Path, port: int, entries: int, used: int) -> Path:
    """config and known_hosts with so many hosts; the first `used` of them are the sshd, the others strangers."""
    made = folder / str(entries)
    made.mkdir()
    host_key, user = (folder / "host.pub").read_text().split()[1], getpass.getuser()
    with (made / "config").open("w") as config, (made / "known_hosts").open("w") as known:
        for number in range(entries):
            config.write(f"Host gpu{number:05}\n  HostName {address(number)}\n  Port {port}\n  User {user}\n")
            salt, name = os.urandom(20), f"[{address(number)}]:{port}"
            digest = hmac.digest(salt, name.encode(), hashlib.sha1)
            stranger = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + os.urandom(32)).decode()
            hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
            known.write(f"{hashed} ssh-ed25519 {host_key if number < used else stranger}\n")
        config.write(
            f"Host *\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {made}/known_hosts\n  GlobalKnownHostsFile none\n  KexAlgorithms {KEX}\n"
        )
    return made


def run_ssh(files: Path, count: int) -> None:
    for number in range(count):
        subprocess.run(["ssh", "-F", files / "config", f"gpu{number:05}", "true"], check=True, stdin=subprocess.DEVNULL)


def run_asyncssh(files: Path, count: int) -> None:
    async def run() -> None:
        for number in range(count):
            async with asyncssh.connect(f"gpu{number:05}", config=[str(files / "config")], gss_auth=False) as conn:
                await conn.run("true")

    asyncio.run(run())


def make_transport(files: Path) -> SshTransport:
    settings = Ssh(
        config=str(files / "config"),
        known_hosts=str(files / "known_hosts"),
        connects_per_second=1e6,
        max_connecting=AT_ONCE,
    )
    return SshTransport(settings, host_keys_path=files / "ours")


def connector(files: Path) -> Callable[[int], None]:
    """fleetctl's own way; the files are read before the clock runs, as in a console that stays up."""
    transport = make_transport(files)

    async def one(number: int, slots: asyncio.Semaphore) -> None:
        async with slots:
            session = await transport.connect(Host(f"gpu{number:05}", "s"))
            output = await session.run("true")
            assert output.exit_status == 0, output
            await session.close()

    async def run(count: int) -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(one(number, slots) for number in range(count)))

    return lambda count: asyncio.run(run(count))


def keep_connections(count: int) -> None:
    """Kept connections: CPU, memory and the longest turn of the loop while they are made, CPU per command on them.

    The turn is measured in CPU time, because sshd's own logins share these cores.
    """
    rounds = 3
    with tempfile.TemporaryDirectory(prefix="connect") as name, sshd(Path(name)) as (port, folder):
        transport = make_transport(write_files(folder, port, count, count))

        async def watch(lags: list[float]) -> None:
            while True:
                before = time.thread_time()
                await asyncio.sleep(0.005)
                lags.append(time.thread_time() - before)

        async def run() -> None:
            lags: list[float] = []
            watcher = asyncio.create_task(watch(lags))
            connections = Connections({"ssh": transport})
            await connections.session(Host("gpu00000", "s"))
            hosts = [Host(f"gpu{number:05}", "s") for number in range(1, count)]
            memory, start, clock = rss(), cpu(False), time.monotonic()
            sessions = await asyncio.gather(*map(connections.session, hosts))
            made = cpu(False) - start
            took, grown = time.monotonic() - clock, rss() - memory
            print(f"{len(sessions)} connections in {took:.1f} s, {made / len(sessions) * 1000:.2f} ms CPU each")
            print(f"memory {grown / len(sessions) / 1024:.1f} KiB each")
            lags.sort()
            print(f"turn of the loop p99 {lags[int(len(lags) * 0.99)] * 1000:.0f} ms, longest {lags[-1] * 1000:.0f} ms")
            garbage.freeze()
            start = cpu(False)
            for _ in range(rounds):
                await asyncio.gather(*(s.run("true") for s in sessions))
            print(f"one command a round {(cpu(False) - start) / rounds / len(sessions) * 1000:.3f} ms CPU each")
            watcher.cancel()
            await connections.close()

        asyncio.run(run())


def rss() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def load_cost(files: Path) -> float:
    """CPU seconds for reading both files, as once per start."""
    costs = []
    for _ in range(RUNS):
        start = cpu(False)
        make_transport(files)
        KnownHostsFile(files / "known_hosts").refresh()
        costs.append(cpu(False) - start)
    return statistics.median(costs)


if __name__ == "__main__":
    main()
