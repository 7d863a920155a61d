"""The shared testbed's bed of OpenSSH hosts: real sshd on loopback, with faults that are in force once they are asked for."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleetctl.config.schema import Ssh
from fleetctl.model.host import Host
from tests.fakes.loopback import own_net

HOSTBED = Path(__file__).resolve().parents[2] / ".." / "shared" / "testbed" / "hosts" / "hostbed.py"
LIMIT_S = 120.0  # only so that a broken bed ends the test at all
FAULTY = ("fault", "heal")


class Bed:
    """A running bed. Its last host is no test's: it shows what the bed has taken note of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, verb: str, *words: str) -> None:
        self._run(verb, *words)
        if verb in FAULTY and "/" not in words[0]:  # a tool's fault is a file that the tool itself reads
            self._wait_for_front()

    def _run(self, verb: str, *words: str) -> None:
        command = [sys.executable, str(HOSTBED), verb, "--dir", str(self.folder), *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{verb} {words}: {done.stderr[-2000:]}"

    def _entries(self) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / "hosts.json").read_text()))

    @property
    def hosts(self) -> list[Host]:
        return [Host(entry["name"], entry["site"]) for entry in self._entries()[:-1]]

    def config(self, hurry: str = "", hurry_s: float = 0.0) -> Path:
        """The bed's ssh_config without its own limit for connecting; one host may have one."""
        made = self.folder / f"config-{hurry}"
        lines = (self.folder / "ssh_config").read_text().splitlines()
        first = [f"Host {hurry}", f"  ConnectTimeout {hurry_s:g}"] if hurry else []
        made.write_text("\n".join([*first, *(line for line in lines if "ConnectTimeout" not in line), ""]))
        return made

    def settings(self, **more: Any) -> Ssh:
        """Settings with time enough for a busy machine."""
        plain = {
            "config": str(self.config()),
            "known_hosts": str(self.folder / "known_hosts"),
            "connect_timeout_s": LIMIT_S,
        }
        return Ssh(**{**plain, **more})

    def _wait_for_front(self) -> None:
        """The bed's front looks for orders five times a second, host by host, and never says so. When it has shut the
        last host and opened it again, it has passed all the others in between."""
        last = self._entries()[-1]
        orders = self.folder / "hosts" / last["name"] / "ctl" / "net.json"
        for shut in (True, False):
            new = orders.with_suffix(".test")
            new.write_text(json.dumps({"refuse": ""} if shut else {}))
            new.replace(orders)
            until = time.monotonic() + LIMIT_S
            while _is_shut(last["addr"], last["port"]) is not shut:
                assert time.monotonic() < until, "the bed takes no orders"
                time.sleep(0.02)  # its own pace


def _is_shut(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), LIMIT_S).close()
    except ConnectionRefusedError:
        return True
    return False


@contextmanager
def running_bed(*words: str) -> Iterator[Bed]:
    """A bed started with these words of `hostbed start`; two at once do not meet."""
    # Not below pytest's own folder: the hosts' users must be able to pass through.
    with own_net() as net, tempfile.TemporaryDirectory(prefix="bed") as folder:
        Path(folder).chmod(0o755)
        bed = Bed(Path(folder) / "bed")
        # The bed draws its addresses out of sixty; the port is what nobody else has.
        bed("start", "--port", str(20_000 + int(net.rpartition(".")[2])), *words)
        try:
            yield bed
        finally:
            bed("stop", "--rm")
