"""An outside scheduler is told once, read back, and never has somebody else's drain undone."""

from __future__ import annotations

from collections.abc import Sequence

from fleetctl.errors import FleetctlError, UnreachableError
from fleetctl.model.plan import PlanState
from fleetctl.model.states import Admin
from fleetctl.operations import plan_drain, plan_resume
from fleetctl.scheduler.backend import BackendNode, BackendView, Capability, is_ours
from fleetctl.scheduler.telling import look, tell
from fleetctl.store.audit import list_audit
from fleetctl.store.plans import get_action, list_backend_steps
from tests.fakes.fleet import ALICE, SchedulerFleet


class FakeBackend:
    """Nodes by name; `down` makes every call fail; `busy` names nodes with work."""

    name = "slurm"

    def __init__(self, *hosts: str) -> None:
        self.nodes = {h: BackendNode(h, Admin.IN_SERVICE, "IDLE", busy=False) for h in hosts}
        self.down = False
        self.deaf = False  # says yes and does nothing
        self.able = frozenset(Capability)
        self.told: list[tuple[str, str]] = []
        self.busy: set[str] = set()

    def _check(self) -> None:
        if self.down:
            raise UnreachableError("slurmctld does not answer")

    async def capabilities(self) -> frozenset[Capability]:
        return self.able

    async def read(self) -> BackendView:
        self._check()
        return BackendView(1000.0, "22.05", dict(self.nodes))

    async def read_node(self, host: str) -> BackendNode:
        self._check()
        return self.nodes[host]

    async def drain(self, host: str, reason: str) -> None:
        self._check()
        self.told.append(("drain", host))
        if not self.deaf:
            busy = host in self.busy
            state = Admin.DRAINING if busy else Admin.DRAINED
            self.nodes[host] = BackendNode(host, state, "DRAIN", reason, "root", is_ours(reason), busy)

    async def resume(self, host: str) -> None:
        self._check()
        self.told.append(("resume", host))
        self.nodes[host] = BackendNode(host, Admin.IN_SERVICE, "IDLE", busy=False)

    async def reserve(
        self, name: str, hosts: Sequence[str], start_at: int, end_at: int | None, *, users: Sequence[str], maint: bool
    ) -> str:
        raise FleetctlError("not here")

    async def unreserve(self, name: str) -> None:
        raise FleetctlError("not here")

    async def submit(self, script: str, *, name: str, partition: str, nodes: int, cards: int, duration_s: int) -> str:
        raise FleetctlError("not here")

    async def cancel(self, job: str) -> None:
        raise FleetctlError("not here")


def _drain(fleet: SchedulerFleet, nodes: str) -> str:
    plan = plan_drain(fleet.db, fleet.inventory, nodes, "hw: fan", who=ALICE, now=1000)
    fleet.apply(plan)
    return plan.id


def _state(fleet: SchedulerFleet, plan: str) -> PlanState:
    with fleet.db.read() as conn:
        action = get_action(conn, plan)
    assert action is not None
    return action.state


async def test_drain_waits_for_a_job_of_the_other_scheduler(fleet: SchedulerFleet) -> None:
    slurm = FakeBackend("n01", "n02")
    slurm.busy.add("n01")
    await look(fleet.db, slurm, 1000)
    plan = _drain(fleet, "n[01-02]")
    assert _state(fleet, plan) is PlanState.RUNNING
    assert (await tell(fleet.db, slurm, 1001)).done == ["n01", "n02"]
    assert slurm.nodes["n01"].reason == f"[fleetctl {plan}] hw: fan"
    fleet.tick(1002)
    assert (fleet.observed("n01"), fleet.observed("n02")) == (Admin.DRAINING, Admin.DRAINED)
    slurm.nodes["n01"] = BackendNode("n01", Admin.DRAINED, "DRAINED", slurm.nodes["n01"].reason, "root", True, False)
    await look(fleet.db, slurm, 1003)
    fleet.tick(1004)
    assert _state(fleet, plan) is PlanState.DONE
    back = plan_resume(fleet.db, fleet.inventory, "n[01-02]", who=ALICE, now=1005)
    fleet.apply(back)
    await tell(fleet.db, slurm, 1006)
    fleet.tick(1007)
    assert fleet.state("n01") is Admin.IN_SERVICE
    assert _state(fleet, back.id) is PlanState.DONE


async def test_nothing_is_told_while_it_does_not_answer_and_nothing_twice(fleet: SchedulerFleet) -> None:
    slurm = FakeBackend("n01")
    await look(fleet.db, slurm, 1000)
    _drain(fleet, "n01")
    slurm.down = True
    assert (await tell(fleet.db, slurm, 1001)).again == ["n01"]
    slurm.down = False
    for now in (1002, 1003, 1004):
        await tell(fleet.db, slurm, now)
    assert slurm.told == [("drain", "n01")]


async def test_a_step_without_effect_fails_after_three_tries(fleet: SchedulerFleet) -> None:
    slurm = FakeBackend("n01")
    slurm.deaf = True
    await look(fleet.db, slurm, 1000)
    plan = _drain(fleet, "n01")
    for now in range(1001, 1006):
        await tell(fleet.db, slurm, now)
    assert len(slurm.told) == 3
    fleet.tick(1010)
    with fleet.db.read() as conn:
        action = get_action(conn, plan)
    assert action is not None
    assert (action.failed, action.state) == (1, PlanState.DONE)


async def test_missing_rights_are_said_and_not_tried(fleet: SchedulerFleet) -> None:
    slurm = FakeBackend("n01")
    slurm.able = frozenset({Capability.RESERVE})
    await look(fleet.db, slurm, 1000)
    plan = _drain(fleet, "n01")
    assert (await tell(fleet.db, slurm, 1001)).failed == ["n01"]
    with fleet.db.read() as conn:
        (step,) = list_backend_steps(conn, plan=plan, only_open=False)
    assert "does not let us drain" in step.note
    assert slurm.told == []


async def test_an_administrators_own_drain_stays(fleet: SchedulerFleet) -> None:
    slurm = FakeBackend("n01")
    await look(fleet.db, slurm, 999)
    slurm.nodes["n01"] = BackendNode("n01", Admin.DRAINED, "DRAINED", "bad dimm", "root", False, False)
    await look(fleet.db, slurm, 1000)
    with fleet.db.read() as conn:
        entry = list_audit(conn, subject="n01")[-1]
    assert (str(entry.who), entry.body["reason"]) == ("outside:slurm:root", "bad dimm")
    assert fleet.state("n01") is Admin.DRAINED
    assert "bad dimm" in plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=1001).skipped[0].skip
    taken = plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=1001, take_over=True)
    fleet.apply(taken)
    await tell(fleet.db, slurm, 1002)
    assert slurm.told == [("resume", "n01")]


async def test_a_newer_wish_takes_an_older_step_away(fleet: SchedulerFleet) -> None:
    slurm = FakeBackend("n01")
    await look(fleet.db, slurm, 1000)
    _drain(fleet, "n01")
    back = plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=1001)
    fleet.apply(back)
    await tell(fleet.db, slurm, 1002)
    assert slurm.told == []
