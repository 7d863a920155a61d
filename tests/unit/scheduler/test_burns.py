"""Burns: who gets one, what a real shell makes of the script, and what each tool's output means."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.burn import Burn, Verdict
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.states import Admin
from fleetctl.operations import plan_drain, plan_quarantine
from fleetctl.operations.recheck import burns_for, recheck
from fleetctl.plugin.loading import load_plugins
from fleetctl.scheduler.burns import HOST_BURN, BurnPlan, burn_script, judge_stress_ng, not_run, plan_burns, read_burn
from fleetctl.scheduler.checks import Check, passed
from fleetctl_amd.burns import judge_rvs
from fleetctl_ascend.burns import judge_dmi
from fleetctl_nvidia.burns import judge_dcgmi, judge_gpu_burn
from tests.fakes.fleet import ALICE, SchedulerFleet

TOOL = Burn("toy", "toy-burn", "toy-burn --all", lambda o: Verdict(o.exit_status == 0, o.stdout.strip()), limit_s=60)


def run(burn: Burn, folder: Path) -> Output:
    done = subprocess.run(
        ["sh", "-c", burn_script(burn)],
        env={"HOME": str(folder), "PATH": f"{folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Output(done.stdout, done.stderr, done.returncode)


def tool(folder: Path, body: str) -> None:
    path = folder / "toy-burn"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_tool_that_is_not_there_is_not_run_and_never_passed(tmp_path: Path) -> None:
    assert read_burn(TOOL, run(TOOL, tmp_path)) is None
    (check,) = not_run(BurnPlan(((TOOL,),)), [])
    assert (check.ok, check.needed) == (None, False)
    assert check.text == "not run: the host has none of toy-burn"


def test_a_tool_that_is_there_is_run_without_input_and_judged(tmp_path: Path) -> None:
    tool(tmp_path, 'read x || echo "held $1"')
    assert read_burn(TOOL, run(TOOL, tmp_path)) == Check("burn toy-burn", True, "held --all")
    tool(tmp_path, "echo broke; exit 3")
    assert read_burn(TOOL, run(TOOL, tmp_path)) == Check("burn toy-burn", False, "broke")


def test_one_that_does_not_end_fails_and_a_second_is_not_started_beside_it(tmp_path: Path) -> None:
    tool(tmp_path, "exec tail -f /dev/null")
    quick = Burn("toy", "toy-burn", "toy-burn", TOOL.judge, limit_s=1)
    check = read_burn(quick, run(quick, tmp_path))
    assert check == Check("burn toy-burn", False, "did not end within 1 s")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    lock = tmp_path / ".fleetctl" / f"burn.{boot}.toy"
    with subprocess.Popen(["flock", str(lock), "sh", "-c", "echo held; read x"], stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        check = read_burn(quick, run(quick, tmp_path))
        holder.kill()
    assert check is not None
    assert "an earlier burn has not ended" in check.text


def test_a_host_that_cannot_be_asked_does_not_pass() -> None:
    for output in ("no route", Output("", exit_status=None, outcome=Outcome.LOST)):
        check = read_burn(TOOL, output)
        assert check is not None
        assert not passed([check])


@pytest.mark.parametrize("state", list(Admin))
def test_only_nodes_that_take_no_work_burn(state: Admin) -> None:
    plan = plan_burns(state, False, ["nvidia"])
    takes_work = {Admin.IN_SERVICE, Admin.CORDONED, Admin.DRAINING, Admin.RETIRED}
    assert bool(plan.why_not) == (state in takes_work)
    assert plan_burns(state, True, ["nvidia"]).why_not
    assert plan_burns(state, None, ["nvidia"]).why_not, "nobody can tell is not idle"


def test_the_cards_decide_which_tools_are_looked_for() -> None:
    plan = plan_burns(Admin.DRAINED, False, ["nvidia", "nvidia", "nobody"])
    assert [[b.tool for b in group] for group in plan.groups] == [["dcgmi", "gpu_burn"], ["stress-ng"]]
    assert plan.limit_s == 480 + 60


def test_every_declared_burn_is_bounded_and_says_where_it_is_described() -> None:
    for burn in [b for p in load_plugins()[0] for b in p.burns] + [HOST_BURN]:
        assert 0 < burn.limit_s <= 900
        assert burn.source
        subprocess.run(["sh", "-n", "-c", burn_script(burn)], check=True)


def test_a_failing_node_is_not_burned_first(fleet: SchedulerFleet) -> None:
    fleet.apply(plan_quarantine(fleet.db, fleet.inventory, "n01", "hw: xid", who=ALICE, now=1000))
    fleet.see({"n01": 7})
    plan = burns_for(fleet.db, fleet.inventory, "n01", now=1000, config=fleet.config)
    assert plan.why_not.startswith("other checks fail first: cards")


def test_the_result_is_kept_with_the_record(fleet: SchedulerFleet) -> None:
    fleet.apply(plan_drain(fleet.db, fleet.inventory, "m01", "hw: fan", who=ALICE, now=1000, config=fleet.config))
    bad = Check("burn dcgmi", False, "failed: memory")
    result = recheck(fleet.db, fleet.inventory, "m01", who=ALICE, now=1000, config=fleet.config, burns=[bad])
    assert not result.ok
    assert "  FAIL burn dcgmi: failed: memory" in result.lines()


def dcgm(*statuses: str) -> str:
    tests = [{"name": f"test {i}", "results": [{"entity_id": 0, "status": s}]} for i, s in enumerate(statuses)]
    return "some words first\n" + json.dumps(
        {"DCGM Diagnostic": {"test_categories": [{"category": "x", "tests": tests}]}}
    )


@pytest.mark.parametrize(
    ("text", "status", "ok", "words"),
    [
        (dcgm("Pass", "Pass", "Skip"), 0, True, "2 tests passed"),
        (dcgm("PASS", "Fail"), 226, False, "failed: test 1"),
        (dcgm("Pass", "Warn"), 0, False, "warns: test 1"),
        (dcgm("Skip"), 0, None, "no test was run"),
        (dcgm("Pass"), 1, False, "ended with 1"),
        ("Error: unable to establish a connection to the specified host: localhost", 255, None, "unable to establish"),
        ('{"half": ', 0, None, "no result"),
    ],
)
def test_dcgm(text: str, status: int, ok: bool | None, words: str) -> None:
    verdict = judge_dcgmi(Output(text, exit_status=status))
    assert verdict.ok is ok
    assert words in verdict.text


def test_the_other_tools() -> None:
    assert judge_gpu_burn(Output("Tested 2 GPUs:\n\tGPU 0: OK\n\tGPU 1: OK\n")).ok is True
    assert judge_gpu_burn(Output("Tested 2 GPUs:\n\tGPU 0: OK\n\tGPU 1: FAULTY\n")).text == "faulty: GPU 1"
    assert judge_gpu_burn(Output("Couldn't init CUDA", exit_status=1)).ok is None
    assert judge_rvs(Output("[RESULT] [1.2] [gst-1] gst GPU 3254 pass: TRUE\n")).ok is True
    assert judge_rvs(Output("[RESULT] [1.2] [gst-1] gst GPU 3254 pass: FALSE\n")).ok is False
    assert judge_rvs(Output("[ERROR ] [1.2] no GPU\n", exit_status=1)).ok is None
    assert judge_dmi(Output("| aicore | PASS |\n")).ok is True
    assert judge_dmi(Output("| aicore | PASS |\n| aicore | EMERGENCY_WARN |\n")).ok is False
    assert judge_dmi(Output("dcmi module initialize failed", exit_status=1)).ok is None
    assert judge_stress_ng(Output("", exit_status=0)).ok is True
    assert judge_stress_ng(Output("stress-ng: fail: [1] vm: detected 4 bit errors", exit_status=2)).ok is False
    assert judge_stress_ng(Output("", exit_status=3)).ok is None


@given(st.text(max_size=400), st.integers(0, 255))
def test_no_output_is_too_odd(text: str, status: int) -> None:
    for judge in (judge_dcgmi, judge_gpu_burn, judge_rvs, judge_dmi, judge_stress_ng):
        verdict = judge(Output(text, exit_status=status))
        assert status == 0 or verdict.ok is not True
