"""A real Slurm on loopback where ../shared and Debian's packages exist: four nodes, a second to start."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetctl.clock import SystemClock
from fleetctl.config.schema import Config, HostGroup, Poll, Scheduler, Site
from fleetctl.inventory import Inventory, build_inventory
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.host import Host
from fleetctl.model.plan import Action, Plan
from fleetctl.model.probe import Output
from fleetctl.operations import apply, plan_drain, plan_resume
from fleetctl.scheduler.outside import Lane
from fleetctl.scheduler.tick import tick
from fleetctl.store.database import Database
from fleetctl.transport.local import LocalTransport
from fleetctl.views import nodes
from fleetctl.views.nodes import NodeRow
from fleetctl_slurm.backend import SlurmBackend

SLURMBED = Path(__file__).resolve().parents[2] / ".." / "shared" / "testbed" / "slurm" / "slurmbed.py"
TOOLS = ("slurmctld", "slurmd", "munged", "sinfo", "scontrol")

# Another release: a root tree made by mkroot.sh of the bed (trixie: 24.11, forky: 26.05).
ROOT = os.environ.get("SLURMBED_ROOT", "")
# Debian: slurm-wlm, slurm-wlm-jwt-plugin, munge. A checkout without them keeps the tests on recorded text.
INSTALLED = all(shutil.which(t) for t in TOOLS) and any(Path("/usr/lib").glob("*/slurm-wlm/auth_jwt.so"))
HERE = SLURMBED.exists() and (INSTALLED or bool(ROOT))
# slurmrestd of Debian 12's release cannot drain: that way is tested on the later ones.
collect_ignore = (
    (["test_rest.py"] if not ROOT else [])
    if HERE
    else ["test_bed.py", "test_console.py", "test_leases.py", "test_login.py", "test_rest.py"]
)

NODES = ("osl-h100-01", "osl-h100-02", "osl-h100-03", "szx-910b-01")
_GROUP = {"sockets": 2, "cores": 8, "mem_mb": 64000, "features": [], "weight": 1}
LAYOUT = {
    "cluster": "bed",
    "groups": [
        {"site": "osl", "vendor": "nvidia", "partition": "osl-h100", "prefix": "osl-h100-", "count": 3}
        | {"gres": "gpu:h100:8"}
        | _GROUP,
        {"site": "szx", "vendor": "huawei", "partition": "szx-910b", "prefix": "szx-910b-", "count": 1}
        | {"gres": "npu:910b:8"}
        | _GROUP,
    ],
}


SHARED = "osl-h100-03"  # its cards are given in quarters too (gres/shard)
PERSON = Actor(ActorKind.PERSON, "ops")


class Bed:
    """One running Slurm."""

    def __init__(self, folder: Path, number: int = 1) -> None:
        self.folder = folder / f"bed{number}"
        (folder / "layout.json").write_text(json.dumps(LAYOUT))
        self.layout = folder / "layout.json"

    @property
    def bin(self) -> str:
        return str(self.folder / "bin")

    def control(self, verb: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, SLURMBED, verb, "--dir", self.folder, *words], capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def address(self, name: str) -> str:
        """SLURMRESTD_URL or SLURMRESTD_SOCKET of this bed."""
        found = re.search(rf"{name}=(\S+)", (self.folder / "env.sh").read_text())
        assert found is not None
        return found[1].strip("'\"")

    def __call__(self, tool: str, *words: str, stdin: str = "") -> str:
        """Run one of Slurm's own commands, as an administrator there would."""
        done = subprocess.run(
            [f"{self.bin}/{tool}", *words], input=stdin, capture_output=True, text=True, timeout=600, cwd=self.folder
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, node: str, cards: int = 8, *words: str) -> str:
        """A job that stays until it is cancelled; it runs when this returns."""
        kind = "npu" if "910b" in node else "gpu"
        asked = ["-p", "all", "-w", node, f"--gres={kind}:{cards}", "-o", "/dev/null", *words]
        job = self("sbatch", "--parsable", *asked, stdin="#!/bin/sh\nexec sleep 6000\n")
        self.wait(lambda: self("squeue", "-h", "-j", job, "-o", "%T") == "RUNNING")
        return job

    def share_cards(self, node: str) -> None:
        """The bed knows one resource a node. A second one is new to the controller only without what it remembers."""
        daemons = ("ctld", *NODES)
        self.kill(*daemons)
        conf, gres = self.folder / "etc" / "slurm.conf", self.folder / "etc" / "gres.conf"
        text = conf.read_text().replace("GresTypes=gpu", "GresTypes=gpu,shard")
        row = next(line for line in text.splitlines() if line.startswith("NodeName=osl-h100-"))
        one = row.replace("NodeName=osl-h100-[01-03]", f"NodeName={node}").replace("h100:8", "h100:8,shard:32")
        port = re.search(r"Port=\[(\d+)-(\d+)\]", row)
        assert port is not None
        rest = row.replace("[01-03]", "[01-02]").replace(port[0], f"Port=[{port[1]}-{int(port[2]) - 1}]")
        conf.write_text(text.replace(row, f"{rest}\n{one.replace(port[0], f'Port={port[2]}')}"))
        gres.write_text(f"{gres.read_text()}NodeName={node} Name=shard Count=32\n")
        for kept in (self.folder / "state").glob("node_state*"):
            kept.unlink()
        self.control("fault", "revive", *daemons)
        self.wait(self.answers)  # every client but this one fails meanwhile
        self.wait(lambda: all(self.takes_work(n) for n in NODES))

    def kill(self, *daemons: str) -> None:
        """Kill them and see them gone: one that still ends is taken for a living one when it is to be revived."""
        self.control("fault", "kill", *daemons)
        self.wait(lambda: not any(self._lives(daemon) for daemon in daemons))

    def _lives(self, daemon: str) -> bool:
        name = {"ctld": "slurmctld", "munge": "munged"}.get(daemon, f"slurmd.{daemon}")
        pid, began = (self.folder / "pid" / name).read_text().split()
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        state, *fields = stat[stat.rindex(")") + 2 :].split()
        return state != "Z" and fields[18] == began

    def answers(self) -> bool:
        ping = [f"{self.bin}/scontrol", "ping"]
        return " is UP" in subprocess.run(ping, capture_output=True, text=True, timeout=600, check=False).stdout

    def state(self, node: str) -> str:
        return self("sinfo", "-h", "-N", "-p", "all", "-n", node, "-O", "StateComplete:")

    def takes_work(self, node: str) -> bool:
        """Idle; `idle+not_responding` is what a node looks like from a resume to the next ping."""
        return self.state(node) in ("idle", "idle+not_responding")

    def wait(self, there: Callable[[], bool], limit_s: float = 300.0) -> None:
        """Slurm's own pace: there is no event to wait for from outside."""
        for _ in range(int(limit_s * 10)):
            if there():
                return
            subprocess.run(["sleep", "0.1"], check=True)
        pytest.fail("Slurm did not come to the expected state")

    def settle(self) -> None:
        """No job, no drain, no reservation, the controller up."""
        for line in self("scontrol", "-o", "show", "reservation").splitlines():
            if line.startswith("ReservationName="):
                self("scontrol", "delete", line.split()[0])
        self("scancel", "-u", "root")
        for node in NODES:
            self.wait(lambda node=node: "+completing" not in self.state(node) and "alloc" not in self.state(node))
            if "drain" in self.state(node):
                self("scontrol", "update", f"nodename={node}", "state=resume")
            self.wait(lambda node=node: self.state(node) == "idle")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Bed]:
    # Not below pytest's own folder: unix sockets need short paths, and other users must pass through.
    with tempfile.TemporaryDirectory(prefix="sb") as name:
        folder = Path(name)
        folder.chmod(0o755)
        bed = _started(folder)
        try:
            bed.share_cards(SHARED)
            yield bed
        finally:
            bed.control("stop", "--rm")


def _started(folder: Path) -> Bed:
    """A cluster that is up. Its controller has half a minute to start, and the ports it looked up may be gone by then:
    on a busy machine another is made. A node may be silent for long without being taken for dead."""
    patience = ["--timeout", "300", "--slurmd-timeout", "600"]
    for number in (1, 2, 3):
        bed = Bed(folder, number)
        try:
            bed.control("start", "--layout", str(bed.layout), *patience, *(["--root", ROOT, "--rest"] if ROOT else []))
            return bed
        except AssertionError as error:  # what was started of it has been ended
            trouble = error
    raise trouble


@pytest.fixture
def bed(cluster: Bed) -> Iterator[Bed]:
    """The cluster, idle before and after."""
    yield cluster
    cluster.settle()


class Desk:
    """fleetctl beside the bed: a store, an inventory of its nodes, and the lane the engine runs."""

    def __init__(self, folder: Path, bed: Bed, **more: object) -> None:
        settings = {"site": "osl", "bin": bed.bin, "reserve_for": "users", **more}
        self.config = Config(
            sites=(Site(name="osl", max_drain_pct=100.0), Site(name="szx", max_drain_pct=100.0)),
            hosts=(
                HostGroup(nodes="osl-h100-[01-03]", site="osl", cards=8),
                HostGroup(nodes="szx-910b-01", site="szx", cards=8),
            ),
            schedulers=(Scheduler(**settings),),  # type: ignore[arg-type]
            poll=Poll(interval_s=5.0),
        )
        self.inventory: Inventory = build_inventory(self.config)
        self.db = Database.open(folder / "fleet.db", write=True)
        self.clock = SystemClock()
        self.shell = _Local()
        self.backend = SlurmBackend(self.config.schedulers[0], self.shell, self.clock)
        self.lane = Lane(self.config.schedulers[0], self.backend, self.db, self.inventory, self.clock)

    @property
    def now(self) -> float:
        return time.time()

    async def until(self, there: Callable[[], bool], rounds: int = 600) -> None:
        """Rounds and ticks as the engine has them, until something holds."""
        for _ in range(rounds):
            await self.lane.round()
            tick(self.db, self.inventory, self.now, config=self.config)
            if there():
                return
            await asyncio.to_thread(subprocess.run, ["sleep", "0.3"], check=True)
        pytest.fail("fleetctl did not come to the expected state")

    def node(self, name: str) -> NodeRow:
        with self.db.read() as conn:
            (row,) = nodes.load(conn, self.inventory, self.now, config=self.config, host=name)
        return row

    def apply(self, plan: Plan) -> Action:
        return apply(self.db, plan, PERSON, inventory=self.inventory, config=self.config, now=self.now)

    def drain(self, node: str, reason: str = "hw: fan 3") -> Action:
        plan = plan_drain(self.db, self.inventory, node, reason, who=PERSON, now=self.now, config=self.config)
        return self.apply(plan)

    def resume(self, node: str, **more: bool) -> Plan:
        return plan_resume(self.db, self.inventory, node, who=PERSON, now=self.now, config=self.config, **more)


class _Local:
    """Runs on this machine and remembers what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told: list[str] = []

    async def run(self, command: str, **limits: Any) -> Output:
        self.asked.append(command)
        session = await LocalTransport().connect(Host("here", "osl", transport="local"))
        try:
            output = await session.run(command, **limits)
        finally:
            await session.close()
        self.told.append(output.stdout)
        return output

    def begun(self) -> list[str]:
        """Of the last script, the questions that it came to."""
        return re.findall(r"^[0-9a-f]{16} begin ([a-z]+)$", self.told[-1], re.MULTILINE)


@pytest.fixture
def desk(bed: Bed, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, bed)
    with made.db:
        yield made
