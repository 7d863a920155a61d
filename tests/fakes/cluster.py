"""An outside scheduler that does as it is told, loses answers when asked to, and the lane that speaks to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fleetctl.config.schema import Scheduler
from fleetctl.errors import FleetctlError, NotFoundError
from fleetctl.model.states import Admin
from fleetctl.scheduler.backend import (
    Allocation,
    BackendJob,
    BackendNode,
    BackendReservation,
    BackendView,
    Capability,
    is_ours,
)
from fleetctl.scheduler.outside import Lane
from tests.fakes.clock import FakeClock
from tests.fakes.fleet import SchedulerFleet

NAME = "slurm@east"


class Cluster:
    """A cluster that does as it is told, and counts what it is asked."""

    name = NAME

    def __init__(self, clock: FakeClock, hosts: Sequence[str]) -> None:
        self.clock = clock
        self.nodes = {h: self.node(h) for h in hosts}
        self.jobs: dict[str, BackendJob] = {}
        self.windows: dict[str, BackendReservation] = {}
        self.error: FleetctlError | None = None
        self.asked: list[str] = []
        self.wanted: list[Allocation] = []
        self.over: dict[str, str] = {}  # what became of jobs that are gone
        self.count = 6
        self.lose = False  # with an error: a submit is carried out, its answer lost

    def node(self, host: str, state: Admin = Admin.IN_SERVICE, reason: str = "", **more: object) -> BackendNode:
        held = state in (Admin.DRAINING, Admin.DRAINED)
        word = "idle+drain" if held else "idle"
        given = {"busy": False, "cards": 8, "cards_used": 0, "held": held, "partitions": ("all",), **more}
        return BackendNode(host, state, word, reason, "root" if reason else "", is_ours(reason), **given)  # type: ignore[arg-type]

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    async def capabilities(self) -> frozenset[Capability]:
        return frozenset(Capability)

    async def read(self) -> BackendView:
        self._ask("read")
        return BackendView(
            self.clock.now(),
            "22.05.8",
            dict(self.nodes),
            tuple(self.jobs.values()),
            tuple(self.windows.values()),
            {p: tuple(h for h, n in self.nodes.items() if p in n.partitions) for p in self._partitions()},
        )

    def _partitions(self) -> list[str]:
        return list(dict.fromkeys(p for n in self.nodes.values() for p in n.partitions))

    async def read_node(self, host: str) -> BackendNode:
        self._ask("read_node")
        return self.nodes[host]

    async def drain(self, host: str, reason: str) -> None:
        self._ask("drain")
        busy = any(host in j.hosts for j in self.jobs.values())
        self.nodes[host] = self.node(host, Admin.DRAINING if busy else Admin.DRAINED, reason, busy=busy)

    async def resume(self, host: str) -> None:
        self._ask("resume")
        self.nodes[host] = self.node(host)

    async def reserve(
        self, name: str, hosts: Sequence[str], start_at: int, end_at: int | None, *, users: Sequence[str], maint: bool
    ) -> str:
        self._ask("reserve")
        self.windows[name] = BackendReservation(name, tuple(hosts), start_at, end_at, tuple(users), ours=True)
        return name

    async def unreserve(self, name: str) -> None:
        self._ask("unreserve")
        del self.windows[name]

    async def submit(self, script: str, *, mark: str, **words: object) -> str:
        return self._queue("submit", mark)

    async def hold(self, wanted: Allocation, mark: str) -> str:
        self.wanted.append(wanted)
        return self._queue("hold", mark)

    def _queue(self, what: str, mark: str) -> str:
        """The job is there, whatever becomes of the answer."""
        if self.error is None or self.lose:
            self.count += 1
            self.jobs[str(self.count)] = BackendJob(str(self.count), "held", "ops", "pending", nodes=1, mark=mark)
        self._ask(what)
        return str(self.count)

    def start(self, job: str, *hosts: str, cards: int = 2, **more: object) -> None:
        """A job that waits begins to run."""
        there = {h: tuple(range(cards)) for h in hosts}
        more = {"cards": cards * len(hosts), "places": there, "start_at": int(self.clock.now()), **more}
        self.jobs[job] = replace(self.jobs[job], state="running", hosts=hosts, **more)  # type: ignore[arg-type]

    async def find(self, mark: str) -> str:
        self._ask("find")
        return next((j.id for j in self.jobs.values() if j.mark == mark), "")

    async def fates(self, jobs: Sequence[str]) -> dict[str, str]:
        self._ask("fates")
        return {job: self.over[job] for job in jobs if job in self.over}

    async def set_end(self, job: str, start_at: int, end_at: int | None) -> None:
        self._ask("set_end")
        self.jobs[job] = replace(self.jobs[job], end_at=end_at)

    async def cancel(self, job: str) -> None:
        self._ask("cancel")
        if job not in self.jobs:
            raise NotFoundError(f"no job {job}")
        gone = self.jobs.pop(job)
        for host in gone.hosts:
            old = self.nodes[host]
            self.nodes[host] = self.node(host, Admin.DRAINED if old.held else Admin.IN_SERVICE, old.reason)

    async def diagnose(self) -> list[object]:
        return []


def lane_of(fleet: SchedulerFleet) -> tuple[Lane, Cluster, FakeClock, list[str]]:
    clock = FakeClock(1000.0)
    hosts = list(fleet.inventory.hosts)[:6]
    cluster = Cluster(clock, hosts)
    return make_lane(fleet, cluster), cluster, clock, hosts


def make_lane(fleet: SchedulerFleet, cluster: Cluster) -> Lane:
    """Also after a crash: a new one beside the same store."""
    settings = Scheduler(site="east", name=NAME)
    return Lane(settings, cluster, fleet.db, fleet.inventory, cluster.clock, fleet.config)  # type: ignore[arg-type]
