from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.check_placements import check_files
from fleetctl.errors import UsageError
from fleetctl.scheduler.packing.drain import Drain
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.orders import ORDERS, PATIENCE
from fleetctl.scheduler.packing.record import Decision, placement_lines
from fleetctl.scheduler.packing.replay import Choices, parse_policy, replay
from fleetctl.scheduler.packing.task import Task, TaskClass
from fleetctl.scheduler.packing.trace import read_jobs, read_nodes

NODES = [NodeSpec(f"n{i}", 64_000, 65_536, 8, "G3") for i in range(4)]


def job(name: str, submit: float, runs: float | None, cards: int, estimate: float | None = None, **more: Any) -> Task:
    return Task(name, TaskClass(cards=cards), submit, runs, estimate, **more)


def play(
    jobs: list[Task], policy: str = "", estimate: str = "exact", **more: Any
) -> tuple[dict[str, Any], list[Decision]]:
    return replay(more.pop("nodes", NODES), jobs, Choices("queue", policy, estimate, **more), lambda: 0.0)


def starts(decisions: list[Decision]) -> dict[str, float]:
    return {d.job: d.time_s for d in decisions}


def made_up(seed: int, count: int = 400) -> list[Task]:
    """More work than fits at once: mostly small jobs, some gangs."""
    rng = random.Random(seed)
    jobs, at = [], 0.0
    for n in range(count):
        at += rng.expovariate(1 / 60)
        cards = rng.choices((1, 2, 4, 8, 16, 24), (50, 12, 10, 12, 6, 3))[0]
        jobs.append(job(f"j{n}", at, min(rng.lognormvariate(5.2, 1.1), 8000), cards, tenant=f"t{n % 5}"))
    return jobs


def test_fifo_lets_nobody_past_a_head_that_waits() -> None:
    jobs = [job("a", 0, 100, 24), job("b", 1, 50, 16), job("c", 2, 10, 1)]
    figures, decisions = play(jobs, "fifo")
    assert starts(decisions) == {"a": 0, "b": 100, "c": 100}
    assert figures["waiting"]["mean_s"] == pytest.approx((0 + 99 + 98) / 3, abs=0.001)


def test_easy_fills_the_gap_but_never_delays_the_head() -> None:
    jobs = [job("a", 0, 100, 24), job("b", 1, 50, 32), job("short", 2, 90, 8), job("long", 3, 200, 8)]
    assert starts(play(jobs, "easy")[1]) == {"a": 0, "short": 2, "b": 100, "long": 150}


def test_a_wrong_estimate_delays_but_breaks_nothing() -> None:
    jobs = [job("a", 0, 100, 24, 100), job("b", 1, 50, 32, 50), job("liar", 2, 500, 8, 10)]
    assert starts(play(jobs, "easy", "user")[1]) == {"a": 0, "liar": 2, "b": 502}


def test_history_takes_from_what_ended() -> None:
    jobs = [job("h", 0, 100, 24, tenant="u"), *(job(f"x{n}", n * 10, 5, 1, tenant="t") for n in range(5))]
    jobs += [job("a", 200, 100, 24, tenant="u"), job("b", 201, 50, 32, tenant="u")]
    jobs += [job("y", 202, 5, 1, tenant="t"), job("z", 203, 5, 1, tenant="u")]
    begun = starts(play(jobs, "easy", "history")[1])
    assert begun["y"] == 202  # its like ran for 5 s
    assert begun["z"] == 203  # nothing of this tenant and size, but of the size
    assert begun["b"] == 300


@pytest.mark.parametrize("policy", ["fifo", "easy", "fleet", "fleet+best-fit", "easy+random"])
def test_everything_starts_once_and_fits(policy: str, tmp_path: Path) -> None:
    jobs = made_up(1, 150)
    table, nodes = tmp_path / "jobs.csv", tmp_path / "nodes.csv"
    rows = [f"{t.name},{t.submit_s},{t.duration_s},{t.kind.cards},{t.tenant}" for t in jobs]
    table.write_text("job,submit_s,duration_s,gpus,tenant\n" + "\n".join(rows))
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\n" + "\n".join(f"{n.name},64000,65536,8,G3" for n in NODES))
    specs, tasks = read_nodes(nodes), read_jobs(table)
    figures, decisions = replay(specs, tasks, Choices("queue", policy, "history"), lambda: 0.0)
    assert check_files(nodes, table, placement_lines(decisions, specs), "queue").wrong == []
    assert sorted(d.job for d in decisions) == sorted(t.name for t in jobs)
    submits = {t.name: t.submit_s for t in tasks}
    assert all(d.time_s >= submits[d.job] for d in decisions)
    assert figures["started"] == 150
    assert replay(specs, tasks, Choices("queue", policy, "history"), lambda: 0.0)[1] == decisions


def test_the_fleet_order_waits_less_and_gangs_not_longer_than_first_come() -> None:
    fifo, easy, fleet = (_waits(made_up(2), policy) for policy in ("fifo", "easy", "fleet"))
    assert fleet[0] < easy[0]
    assert fleet[0] <= fifo[0] / 2
    assert fleet[1] <= fifo[1]


def _waits(jobs: list[Task], policy: str) -> tuple[float, float]:
    """Mean wait of all, and of those over eight cards."""
    begun = starts(play(jobs, policy, "history")[1])
    waits = [(t.kind.cards, begun[t.name] - t.submit_s) for t in jobs]
    large = [w for cards, w in waits if cards > 8]
    return sum(w for _, w in waits) / len(waits), sum(large) / len(large)


def test_nobody_is_overtaken_for_ever() -> None:
    flood = [job(f"s{n}", n * 10.0, 100, 4) for n in range(600)]  # more than fits, without end
    begun = starts(play([job("large", 5, 60, 32), *flood], "fleet")[1])
    assert begun["large"] < 5 + 4 * 60 * 32**0.5 + 1000
    assert begun["large"] < max(begun.values())


def test_what_can_never_fit_is_said_and_stops_nobody() -> None:
    figures, decisions = play([job("giant", 0, 10, 33), job("a", 1, 10, 1)], "fifo")
    assert figures["impossible"] == 1
    assert starts(decisions) == {"a": 1}


def test_a_job_without_an_end_stays() -> None:
    figures, decisions = play([job("service", 0, None, 32), job("a", 1, 10, 1)], "easy")
    assert [(d.job, d.end_s) for d in decisions] == [("service", None)]
    assert figures["started"] == 1


SITES = [NodeSpec("e1", 64_000, 65_536, 8, "G3", "east"), NodeSpec("w1", 64_000, 65_536, 8, "G3", "west")]


def at_east(name: str, submit: float, *, movable: bool = False) -> Task:
    return Task(name, TaskClass(cards=8, site="east"), submit, 100, free=TaskClass(cards=8) if movable else None)


def test_only_movable_jobs_leave_their_site_and_only_where_sites_are_pooled() -> None:
    jobs = [at_east("a", 0), at_east("b", 1), at_east("m", 2, movable=True)]
    assert starts(play(jobs, "fifo", nodes=SITES)[1]) == {"a": 0, "b": 100, "m": 200}
    pooled = play(jobs, "fleet", nodes=SITES)[1]
    assert starts(pooled) == {"a": 0, "b": 100, "m": 2}
    assert {d.job: SITES[d.shares[0].node].site for d in pooled} == {"a": "east", "b": "east", "m": "west"}


def test_a_drain_moves_running_jobs_or_puts_them_back_in_line() -> None:
    jobs = [job("a", 0, 100, 8), job("b", 0, 100, 8), job("c", 0, 100, 8), job("d", 0, 100, 8)]
    drains = (Drain(frozenset({0}), at=40.0),)
    figures, decisions = play(jobs, "fleet", drains=drains)
    assert figures["drains"][0]["placed_again_pct"] == 0.0
    moved = [d for d in decisions if d.shares[0].node == 0]
    assert [d.end_s for d in moved] == [40.0]
    (again,) = [d for d in decisions if d.job == moved[0].job and d.shares[0].node != 0]
    assert (again.time_s, again.end_s) == (100.0, 160.0)  # 60 of its 100 seconds were left

    figures, decisions = play(jobs[:3], "fleet", drains=(Drain(frozenset({0, 1}), at=40.0),))
    assert figures["drains"][0]["placed_again_pct"] == 50.0


@pytest.mark.parametrize("policy", ["fifo", "easy", "fleet"])
def test_a_drain_that_makes_the_first_in_line_impossible_holds_nobody_up(policy: str) -> None:
    jobs = [job("a", 0, 100, 8), job("all", 1, 10, 32), job("b", 2, 10, 8)]
    figures, decisions = play(jobs, policy, drains=(Drain(frozenset({3}), at=50.0), Drain(frozenset({2}), at=9000.0)))
    assert starts(decisions)["b"] <= 100
    assert (figures["started"], figures["impossible"], figures["never_started"]) == (2, 1, 0)
    assert figures["makespan_s"] <= 110  # a drain after everything makes it no longer
    assert len(figures["drains"]) == 2


def test_who_has_waited_long_enough_goes_first() -> None:
    """A long gang is passed by short jobs that keep coming, but not for ever."""
    short = [job(f"s{n}", 10 + 5 * n, 10, 8) for n in range(400)]
    jobs = [job("first", 0, 100, 32), job("gang", 1, 5000, 32), *short]
    _, decisions = play(jobs, "fleet", "exact")
    start = {d.job: d.time_s for d in decisions}
    assert start["s0"] == 100.0  # passes the gang
    assert start["gang"] < PATIENCE * 110 + 20
    waited = sum(1 for n in range(400) if start[f"s{n}"] > start["gang"])
    assert waited > 200


def test_figures_by_hand() -> None:
    figures, _ = play([job("a", 0, 100, 32), job("b", 50, 50, 16)], "fifo")
    assert figures["waiting"]["by_size"]["9-16"] == {
        "jobs": 1, "mean_s": 50.0, "median_s": 50.0, "p95_s": 50.0, "max_s": 50.0,
    }  # fmt: skip
    assert figures["slowdown"] == {"mean": 1.5, "median": 1.5, "p95": 2.0, "max": 2.0}
    assert figures["completion"]["mean_s"] == 100.0
    assert figures["makespan_s"] == 150.0
    assert figures["utilisation_pct"] == pytest.approx(100 * (32 * 100 + 16 * 50) / (32 * 150), abs=0.001)
    assert figures["utilisation_until_last_arrival_pct"] == 100.0


def test_policies_by_name() -> None:
    assert [p and p.name for p in parse_policy("", "queue")] == ["fgd", "fleet"]
    assert [p and p.name for p in parse_policy("easy+best-fit", "queue")] == ["best-fit", "easy"]
    assert parse_policy("power", "fill")[1] is None
    for text, mode in (("easy", "fill"), ("magic", "queue")):
        with pytest.raises(UsageError):
            parse_policy(text, mode)
    assert list(ORDERS) == ["fleet", "easy", "fifo"]


def test_the_clock_counts_only_deciding() -> None:
    ticks = itertools.count()
    figures, _ = replay(NODES, [job("a", 0, 10, 1)], Choices("queue"), lambda: float(next(ticks)))
    assert figures["speed"]["decisions_per_s"] == 1.0


def test_one_look_at_a_long_line_of_odd_jobs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetctl.scheduler.packing.line.LOOK_AHEAD", 3)
    jobs = [Task(f"j{n}", TaskClass(cpu_milli=n + 1, cards=8), float(n), 50) for n in range(40)]
    figures, decisions = play(jobs, "fleet")
    assert figures["started"] == len(decisions) == 40
