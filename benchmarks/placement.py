"""Placement on openb, churn, drain, power, queues of gangs and pooled sites, and speed, beside published figures.

    python benchmarks/placement.py TRACE_FOLDER [--seeds 10] [--only fill,churn,drain,queue,sites,speed]

TRACE_FOLDER holds openb_node_list_gpu_node.csv and openb_pod_list_default.csv. Everything runs through the packer and
the replays behind `fleetctl simulate`.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fleetctl.scheduler.packing.drain import Drain
from fleetctl.scheduler.packing.fragments import ClassMix, count_classes
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.packer import Packer, Share
from fleetctl.scheduler.packing.policies import POLICIES
from fleetctl.scheduler.packing.replay import Choices, replay
from fleetctl.scheduler.packing.task import Task, TaskClass
from fleetctl.scheduler.packing.trace import read_jobs, read_nodes

Fleet = tuple[list[NodeSpec], list[Task]]
PUBLISHED = {"random": 87.47, "best-fit": 93.08, "fgd": 95.39}  # Weng et al., USENIX ATC 2023, at 130 % asked
RERUN = {"random": 87.50, "best-fit": 93.10, "fgd": 95.45, "first-fit": 94.5}  # an independent program, ten seeds


def inflated(jobs: Sequence[Task], cards: int, seed: int, ratio: float) -> list[Task]:
    """The published protocol: the list once in random order, then draws with replacement."""
    rng = random.Random(seed)
    order = list(jobs)
    rng.shuffle(order)
    asked = sum(t.kind.demand_milli for t in order)
    while asked < ratio * cards * 1000:
        task = rng.choice(jobs)
        order.append(task)
        asked += task.kind.demand_milli
    return order


def fill_table(fleet: Fleet, seeds: int) -> None:
    nodes, jobs = fleet
    cards = sum(n.cards for n in nodes)
    print("| policy | at 100 % asked | at 130 % | lowest at 100 % | published, 130 % | re-run, 130 % | kW at 80 % |")
    print("|---|---|---|---|---|---|---|")
    for policy in ("random", "first-fit", "best-fit", "power", "fgd"):
        rows = []
        for seed in range(seeds):
            figures, _ = replay(
                nodes, inflated(jobs, cards, seed, 1.31), Choices(policy=policy, seed=seed), time.perf_counter
            )
            at = figures["allocation_at"]
            rows.append((at["100"], at["130"], figures["power_at_kw"]["80"]))
        means = [statistics.fmean(column) for column in zip(*rows, strict=True)]
        lowest = min(row[0] for row in rows)
        beside = f"{PUBLISHED.get(policy, '-')} | {RERUN.get(policy, '-')}"
        print(f"| {policy} | {means[0]:.2f} | {means[1]:.2f} | {lowest:.2f} | {beside} | {means[2]:.0f} |", flush=True)


def churn(fleet: Fleet, policy: str, seed: int, load: float = 1.0, turnover: float = 8.0) -> float:
    """Mean allocated % when tasks come at a rate that would take `load` of all cards, run, end, and are lost if unplaced.

    turnover: mean runs that are played. The fleet begins empty, and after t of them 1 - exp(-t) of the load has come: what
    is measured, the last third, begins at 99.5 % of it. With 3 it would begin at 86 %, and no policy could pass 91.5.
    """
    nodes, jobs = fleet
    rng = random.Random(seed)
    packer = Packer(nodes, POLICIES[policy], ClassMix(count_classes(t.kind for t in jobs), max_cards=8), seed=seed)
    rate = load * packer.total_milli / statistics.fmean(t.kind.demand_milli for t in jobs)  # per mean run of 1
    ends: list[tuple[float, int, tuple[Share, ...]]] = []
    now, area, measured, number = 0.0, 0.0, 0.0, 0
    while now < turnover:
        later = now + rng.expovariate(rate)
        while ends and ends[0][0] <= later:
            at, _, shares = heapq.heappop(ends)
            area, measured = _add(packer, now, at, turnover, area, measured)
            now = at
            packer.release(shares)
        area, measured = _add(packer, now, later, turnover, area, measured)
        now, number = later, number + 1
        shares = packer.choose(rng.choice(jobs).kind)
        if shares:
            packer.apply(shares)
            heapq.heappush(ends, (now + rng.expovariate(1.0), number, shares))
    return 100.0 * area / measured / packer.total_milli


def _add(
    packer: Packer, since: float, until: float, turnover: float, area: float, measured: float
) -> tuple[float, float]:
    """Counts from two thirds of the time on, when the fleet has filled."""
    span = max(0.0, until - max(since, turnover * 2 / 3))
    return area + packer.used_milli * span, measured + span


def churn_table(fleet: Fleet, seeds: int) -> None:
    measured_before = {"first-fit": 91.9, "best-fit": 93.2, "fgd": "94.8 (plain FGD 93.5)"}
    print("| policy | allocated % at 100 % offered | measured before |\n|---|---|---|")
    for policy in ("first-fit", "best-fit", "fgd"):
        found = [churn(fleet, policy, seed) for seed in range(seeds)]
        print(f"| {policy} | {statistics.fmean(found):.2f} | {measured_before[policy]} |", flush=True)


def drain_table(fleet: Fleet, seeds: int) -> None:
    nodes, jobs = fleet
    cards = sum(n.cards for n in nodes)
    before = {"first-fit": 96, "best-fit": 66, "fgd": "99 (plain FGD 100)"}
    print("| policy | placed again %, 60 nodes at 90 % | measured before |\n|---|---|---|")
    for policy in ("first-fit", "best-fit", "fgd"):
        found = []
        for seed in range(seeds):
            rng = random.Random(seed)
            away = frozenset(rng.sample(range(len(nodes)), 60))
            order = inflated(jobs, cards, seed, 1.0)
            asked, upto = 0, 0
            while asked < 0.9 * cards * 1000:
                asked += order[upto].kind.demand_milli
                upto += 1
            choices = Choices(policy=policy, seed=seed, drains=(Drain(away, at=float(upto)),))
            figures, _ = replay(nodes, order[:upto], choices, time.perf_counter)
            found.append(figures["drains"][0]["placed_again_pct"])
        print(f"| {policy} | {statistics.fmean(found):.1f} | {before[policy]} |", flush=True)


def gang_trace(
    seed: int, *, nodes: int = 64, count: int = 2500, load: float = 0.9, sites: int = 1, movable: float = 0.0
) -> Fleet:
    """Whole-card jobs of 40 tenants with a daily wave; durations log-normal around the tenant's own, estimates 1 to 5 x."""
    rng = random.Random(seed)
    sizes, weights = [1, 2, 4, 8, 16, 32, 64], [0.62, 0.08, 0.09, 0.13, 0.045, 0.025, 0.01]
    tenants = [(rng.choices(sizes, weights, k=3), rng.uniform(math.log(300), math.log(40_000))) for _ in range(40)]
    drawn = []
    for _ in range(count):
        tenant = rng.randrange(40)
        size = rng.choice(tenants[tenant][0])
        size = size if size <= nodes // sites * 8 else 8
        runs = min(max(20.0, rng.lognormvariate(tenants[tenant][1] + 0.25 * math.log(size), 1.0)), 5 * 86_400.0)
        drawn.append((tenant, size, runs))
    span = sum(size * runs for _, size, runs in drawn) / (nodes * 8 * load)
    jobs = []
    for number, (tenant, size, runs) in enumerate(drawn):
        at = rng.random() * span
        at = max(0.0, at + 0.12 * 86_400 * math.sin(2 * math.pi * at / 86_400))
        site = f"s{rng.choices(range(sites), [2.0**-k for k in range(sites)])[0]}" if sites > 1 else ""
        free = TaskClass(cards=size) if site and rng.random() < movable else None
        estimate = runs * rng.choice((1.1, 1.5, 2.0, 3.0, 5.0))
        jobs.append(Task(f"j{number}", TaskClass(cards=size, site=site), at, runs, estimate, f"t{tenant}", free))
    jobs.sort(key=lambda t: t.submit_s)
    specs = [NodeSpec(f"n{i:03}", 96_000, 1 << 20, 8, "G3", f"s{i % sites}" if sites > 1 else "") for i in range(nodes)]
    return specs, jobs


def large_mean(figures: dict[str, Any]) -> float:
    """Mean wait of gangs over 8 cards."""
    sizes = figures["waiting"]["by_size"]
    large = [v for name, v in sizes.items() if "-" in name and int(name.split("-")[0]) > 8]
    return sum(v["jobs"] * v["mean_s"] for v in large) / max(1, sum(v["jobs"] for v in large))


def queue_table(make: Callable[[int], Fleet], seeds: int) -> None:
    print(
        "| policy | estimates | mean wait / FIFO's | over 8 cards / FIFO's | p95 / FIFO's | longest / FIFO's | slowdown |"
    )
    print("|---|---|---|---|---|---|---|")
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for seed in range(seeds):
        nodes, jobs = make(seed)
        base, _ = replay(nodes, jobs, Choices("queue", "fifo", "exact", seed), time.perf_counter)
        for policy in ("easy", "fleet"):
            for estimate in ("user", "history", "exact"):
                figures, _ = replay(nodes, jobs, Choices("queue", policy, estimate, seed), time.perf_counter)
                now, then = figures["waiting"], base["waiting"]
                ratios = [now[name] / max(1.0, then[name]) for name in ("mean_s", "p95_s", "max_s")]
                ratios.insert(1, large_mean(figures) / max(1.0, large_mean(base)))
                rows.setdefault((policy, estimate), []).append((*ratios, figures["slowdown"]["mean"]))
    for (policy, estimate), found in rows.items():
        cells = " | ".join(f"{statistics.fmean(column):.2f}" for column in zip(*found, strict=True))
        print(f"| {policy} | {estimate} | {cells} |", flush=True)


def speed_table(fleet: Fleet, count: int) -> None:
    _, jobs = fleet
    rng = random.Random(0)
    nodes = [NodeSpec(f"n{i:05}", 96_000, 393_216, 8, "G2") for i in range(12_500)]
    packer = Packer(nodes, POLICIES["fgd"], ClassMix(count_classes(t.kind for t in jobs), max_cards=8))
    took = []
    cpu = time.process_time()
    for _ in range(count):
        kind = rng.choice(jobs).kind
        began = time.perf_counter()
        shares = packer.choose(kind)
        if shares:
            packer.apply(shares)
        took.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    took.sort()
    print(
        "| nodes | decisions | per second | per CPU second | p50 ms | p99 ms | longest ms |\n|---|---|---|---|---|---|---|"
    )
    at = [took[int(len(took) * q)] * 1000 for q in (0.5, 0.99)]
    rates = f"{count / sum(took):,.0f} | {count / cpu:,.0f}"
    print(f"| 12,500 x 8 | {count:,} | {rates} | {at[0]:.3f} | {at[1]:.3f} | {took[-1] * 1000:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--decisions", type=int, default=140_000)
    parser.add_argument("--only", default="fill,churn,drain,queue,sites,speed")
    options = parser.parse_args()
    fleet = (
        read_nodes(options.folder / "openb_node_list_gpu_node.csv"),
        read_jobs(options.folder / "openb_pod_list_default.csv"),
    )
    parts: dict[str, Callable[[], None]] = {
        "fill": lambda: fill_table(fleet, options.seeds),
        "churn": lambda: churn_table(fleet, options.seeds),
        "drain": lambda: drain_table(fleet, options.seeds),
        "queue": lambda: queue_table(gang_trace, options.seeds),
        "sites": lambda: queue_table(lambda seed: gang_trace(seed, sites=4, movable=0.25), options.seeds),
        "speed": lambda: speed_table(fleet, options.decisions),
    }
    for name in options.only.split(","):
        print(f"\n{name}\n", flush=True)
        parts[name]()


if __name__ == "__main__":
    main()
