"""Lease hooks: what a tenant's environment says, a script that runs once per step, and what failures lead to."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from fleetctl.config.schema import Hooks
from fleetctl.errors import FleetctlError, UnreachableError
from fleetctl.model.lease import Hold, Lease, LeaseState
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.states import Admin
from fleetctl.operations import plan_resume, release
from fleetctl.scheduler.hooks import (
    STILL_RUNNING,
    HookResult,
    finish_ending,
    hook_script,
    lease_env,
    node_in_the_way,
    open_hooks,
    run_hook,
)
from fleetctl.store.capacity import CardFact, HostFact
from fleetctl.store.findings import list_findings
from tests.fakes.fleet import ALICE, SchedulerFleet

LEASE = Lease(
    "l-1",
    "r-1",
    "lab",
    "alice",
    LeaseState.ACTIVE,
    0,
    500,
    (Hold("n1", "GPU-a", 1000, "0"), Hold("n1", "GPU-b", 250, "1"), Hold("n2", "X-1", 1000, "5")),
)
TEMPLATES = {"green": {"GREEN_VISIBLE": "{indexes}", "GREEN_IDS": "{uuids}"}, "red": {"RED_VISIBLE": "{indexes}"}}


def test_each_vendor_sees_only_the_leased_cards_of_its_own() -> None:
    n1 = HostFact(
        "n1",
        "fresh",
        0,
        (CardFact("GPU-a", "0", None, None, "green", "GPU-a"), CardFact("GPU-b", "1", None, None, "green", "GPU-b")),
    )
    env = lease_env(LEASE, "n1", n1, TEMPLATES)
    assert (env["GREEN_VISIBLE"], env["GREEN_IDS"]) == ("0,1", "GPU-a,GPU-b")
    assert "RED_VISIBLE" not in env
    assert (env["FLEETCTL_NODELIST"], env["FLEETCTL_NODE_RANK"], env["FLEETCTL_MILLI"]) == ("n1,n2", "0", "250")
    assert lease_env(LEASE, "n2", None, TEMPLATES)["FLEETCTL_CARDS"] == "5"


def _sh(script: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_step_sent_twice_runs_once_and_answers_twice(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    script = hook_script(
        f'echo "$WHO said it\'s $$" >> {mark}; echo "for $WHO"; exit 3', "l-1-prolog", {"WHO": "a b'c"}
    )
    first, second = _sh(script, tmp_path), _sh(script, tmp_path)
    assert (first.returncode, first.stdout) == (3, "for a b'c\n")
    assert (second.returncode, second.stdout) == (first.returncode, first.stdout)
    assert len(mark.read_text().splitlines()) == 1


def test_a_step_that_was_cut_off_is_not_started_again(tmp_path: Path) -> None:
    (tmp_path / ".fleetctl/hooks/l-1-prolog.run").mkdir(parents=True)
    answer = _sh(hook_script("echo never", "l-1-prolog", {}), tmp_path)
    assert answer.returncode == STILL_RUNNING
    assert "never" not in answer.stdout


@dataclass
class Hosts:
    answers: list[Output | FleetctlError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def run(self, host: str, script: str, *, timeout_s: float) -> Output:
        self.asked.append(host)
        answer = self.answers.pop(0)
        if isinstance(answer, FleetctlError):
            raise answer
        return answer


async def _run_all(fleet: SchedulerFleet, hosts: Hosts, now: int) -> list[HookResult]:
    return [r for h in open_hooks(fleet.db) if (r := await run_hook(fleet.db, fleet.config, hosts, h, now)) is not None]


async def test_a_failed_prolog_drains_the_node_and_keeps_the_lease(fleet: SchedulerFleet) -> None:
    fleet = fleet.with_config(hooks=Hooks(prolog="setup"))
    lease = fleet.lease("n01", cards=2, end_at=None)
    results = await _run_all(fleet, Hosts([Output("no disk", exit_status=4)]), 1000)
    assert [(r.state, r.note) for r in results] == [("failed", "exit 4: no disk")]
    assert node_in_the_way(fleet.db, fleet.inventory, fleet.config, results[0], 1000) == ""
    assert fleet.state("n01") is Admin.DRAINING
    assert fleet.lease_state(lease) == "active"
    assert open_hooks(fleet.db) == []
    with fleet.db.read() as conn:
        assert [f.rule for f in list_findings(conn, host="n01")] == ["lease_hook"]
    fleet.apply(plan_resume(fleet.db, fleet.inventory, "n01", who=ALICE, now=1100))
    with fleet.db.read() as conn:
        assert list_findings(conn, host="n01") == []


async def test_a_host_that_does_not_answer_is_tried_again_and_then_given_up(fleet: SchedulerFleet) -> None:
    fleet = fleet.with_config(hooks=Hooks(prolog="setup", retries=2))
    fleet.lease("n01", cards=2, end_at=None)
    hosts = Hosts([UnreachableError("no route"), Output("", outcome=Outcome.LOST, exit_status=None)])
    assert [r.state for r in await _run_all(fleet, hosts, 1000)] == ["pending"]
    assert [r.state for r in await _run_all(fleet, hosts, 1001)] == ["failed"]


async def test_cards_stay_held_until_the_epilog_is_through(fleet: SchedulerFleet) -> None:
    fleet = fleet.with_config(hooks=Hooks(prolog="setup", epilog="clean"))
    lease = fleet.lease("n01", cards=2, end_at=None)
    release(fleet.db, lease, ALICE, now=1001, config=fleet.config)
    assert fleet.lease_state(lease) == "ending"
    assert finish_ending(fleet.db, 1001) == []
    hosts = Hosts([Output("", exit_status=0)])
    # The prolog that never began need not run any more.
    assert [r.hook.kind for r in await _run_all(fleet, hosts, 1002)] == ["epilog"]
    assert finish_ending(fleet.db, 1003) == [lease]
    assert fleet.lease_state(lease) == "ended"
    fleet.lease("n01", cards=8, end_at=None)


async def test_an_engine_that_died_while_a_hook_ran_asks_again_only_when_it_is_overdue(fleet: SchedulerFleet) -> None:
    fleet = fleet.with_config(hooks=Hooks(prolog="setup", timeout_s=60))

    class Dead(BaseException):
        pass

    class Dies(Hosts):
        async def run(self, host: str, script: str, *, timeout_s: float) -> Output:
            raise Dead

    fleet.lease("n01", cards=1, end_at=None)
    try:
        await _run_all(fleet, Dies(), 1000)
    except Dead:
        pass
    later = Hosts([Output("", exit_status=0)])
    assert await _run_all(fleet, later, 1100) == []
    assert [r.state for r in await _run_all(fleet, later, 1120)] == ["done"]
