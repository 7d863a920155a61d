from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from benchmarks.check_placements import check_files
from fleetctl.scheduler.packing.drain import Drain
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.policies import POLICIES
from fleetctl.scheduler.packing.record import placement_lines
from fleetctl.scheduler.packing.replay import Choices, replay
from fleetctl.scheduler.packing.task import Task, TaskClass
from fleetctl.scheduler.packing.trace import read_jobs, read_nodes

HEAD = "job,submit_s,duration_s,gpus,gpu_milli,cpu_milli,memory_mib\n"


@pytest.fixture
def trace(tmp_path: Path) -> tuple[Path, Path]:
    rng = random.Random(3)
    nodes, jobs = tmp_path / "nodes.csv", tmp_path / "jobs.csv"
    rows = [f"n{i},{rng.choice((32, 64))}000,65536,{rng.choice((2, 4, 8))},G2" for i in range(20)]
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\n" + "\n".join(rows))
    shapes = ("1,300", "1,600", "1,1000", "2,1000", "4,1000", "8,1000", "0,", "16,1000")
    rows = [f"j{i},0,60,{rng.choice(shapes)},{rng.randrange(1, 9)}000,4096" for i in range(200)]
    jobs.write_text(HEAD + "\n".join(rows))
    return nodes, jobs


def tick() -> float:
    return 0.0


@pytest.mark.parametrize("policy", list(POLICIES))
def test_every_placement_is_feasible(trace: tuple[Path, Path], policy: str) -> None:
    nodes, jobs = trace
    specs = read_nodes(nodes)
    figures, decisions = replay(specs, read_jobs(jobs), Choices(policy=policy, seed=1), tick)
    assert check_files(nodes, jobs, placement_lines(decisions, specs), "fill").wrong == []
    assert figures["placed"] == len(decisions) > 50
    assert figures["placed"] + figures["lost"] == 200


def test_the_checker_sees_a_card_given_twice(trace: tuple[Path, Path]) -> None:
    nodes, jobs = trace
    specs = read_nodes(nodes)
    _, decisions = replay(specs, read_jobs(jobs), Choices(), tick)
    lines = list(placement_lines(decisions, specs))
    whole = next(line for line in lines if '"devices":[[0,1000]' in line)
    other = whole.replace('"time":', '"time":1')
    assert check_files(nodes, jobs, [*lines, other], "fill").wrong


def test_what_does_not_fit_is_lost_and_later_ones_still_come() -> None:
    node = NodeSpec("n", 8000, 8000, 2, "G2")
    jobs = [Task(n, TaskClass(1000, 1, cards)) for n, cards in (("a", 1), ("b", 2), ("c", 1))]
    figures, decisions = replay([node], jobs, Choices(), tick)
    assert [(d.job, d.time_s, d.end_s) for d in decisions] == [("a", 0.0, None), ("c", 2.0, None)]
    assert (figures["lost"], figures["allocation_pct"], figures["asked_pct"]) == (1, 100.0, 200.0)
    assert figures["allocation_at"]["200"] == 100.0


def test_a_drain_moves_what_runs_there_and_closes_the_nodes() -> None:
    nodes = [NodeSpec(f"n{i}", 8000, 8000, 2, "G2") for i in range(3)]
    jobs = [Task(f"j{i}", TaskClass(1000, 1, 1)) for i in range(4)]
    drains = (Drain(frozenset({0}), at=2.0),)
    figures, decisions = replay(nodes, jobs, Choices(policy="first-fit", drains=drains), tick)
    assert figures["drains"] == [
        {"at": 2.0, "nodes": 1, "jobs": 2, "cards_displaced": 2.0, "placed_again_pct": 100.0},
    ]
    assert {s.node for d in decisions if d.end_s is None for s in d.shares} == {1, 2}
    assert [d.end_s for d in decisions if d.shares[0].node == 0] == [2.0, 2.0]


def test_the_clock_only_times() -> None:
    ticks = itertools.count()
    figures, _ = replay([NodeSpec("n", 1, 1, 1)], [Task("a", TaskClass(cards=1))], Choices(), lambda: next(ticks))
    assert figures["speed"] == {"decisions_per_s": 1.0, "p50_ms": 1000.0, "p99_ms": 1000.0, "max_ms": 1000.0}


def test_what_is_hard_to_place_leaves_a_drained_node_first() -> None:
    """A share that wants much CPU would find none once a whole card that wants little had taken the first node."""
    nodes = [NodeSpec("n0", 16_000, 64, 4), NodeSpec("n1", 8_000, 64, 2), NodeSpec("n2", 2_000, 64, 2)]
    jobs = [Task("whole", TaskClass(2_000, 0, 1)), Task("share", TaskClass(8_000, 0, 1, 500))]
    drain = Drain(frozenset({0}), at=2.0)
    figures, _ = replay(nodes, jobs, Choices(policy="first-fit", drains=(drain,)), tick)
    assert figures["drains"][0]["jobs"] == 2
    assert figures["drains"][0]["placed_again_pct"] == 100.0
