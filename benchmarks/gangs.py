"""Queues of whole-card gangs that nothing was tuned on, through `fleetctl simulate`: FIFO, EASY and the fleet's order.

    python -m benchmarks.gangs [--shapes bursts,one-size,...] [--seeds 3] [--jobs 1000] [--estimates user,history]

Every run goes through files and the command, and every placement through `check_placements.py`. Figures are ratios to FIFO.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.check_placements import check_files
from fleetctl.cli.app import run

Job = tuple[float, float, int, str, float | str]  # when (0..1 of the trace), seconds, cards, tenant, estimate
Draw = Callable[[random.Random, int], list[Job]]


def research(rng: random.Random, count: int) -> list[Job]:
    """As in Philly: most take one card, some run for weeks, users say nothing."""
    found: list[Job] = []
    for _ in range(count):
        size = rng.choices([1, 2, 4, 8, 16, 32, 64], [0.70, 0.06, 0.07, 0.12, 0.035, 0.01, 0.005])[0]
        seconds = min(max(10.0, rng.lognormvariate(6.5 + 0.3 * math.log(size), 2.0)), 30 * 86_400.0)
        found.append((rng.random(), seconds, size, f"vc{min(13, int(rng.paretovariate(1.0)))}", ""))
    return found


def daily(rng: random.Random, count: int) -> list[Job]:
    """As in Helios: few users bring most jobs, alike in size and length, by day."""
    users = [(rng.choice([1, 1, 1, 2, 4, 8, 8, 16, 32]), rng.uniform(3, 11)) for _ in range(60)]
    weights = [rng.paretovariate(1.2) for _ in users]
    found: list[Job] = []
    for _ in range(count):
        user = rng.choices(range(60), weights)[0]
        size = users[user][0] if rng.random() < 0.8 else 1
        seconds = min(max(5.0, rng.lognormvariate(users[user][1], 1.3)), 10 * 86_400.0)
        at = (rng.randrange(20) + (rng.gauss(14, 4) % 24) / 24) / 20
        found.append((at, seconds, size, f"u{user}", rng.choice(("", f"{seconds * 2}", "86400"))))
    return found


def heavy_tail(rng: random.Random, count: int) -> list[Job]:
    """A few jobs hold nearly all the work."""
    found: list[Job] = []
    for _ in range(count):
        seconds = min(30 * rng.paretovariate(0.9), 20 * 86_400.0)
        size = rng.choice([1, 1, 1, 2, 4, 8, 8, 16, 24, 32, 64, 128])
        found.append((rng.random(), seconds, size, f"t{rng.randrange(20)}", seconds * rng.uniform(1, 10)))
    return found


def bursts(rng: random.Random, count: int) -> list[Job]:
    """Up to 80 alike at once, estimates by the hour."""
    found: list[Job] = []
    while len(found) < count:
        at, size, usual, tenant = rng.random(), rng.choice([1, 2, 4, 8, 16, 32]), rng.uniform(4, 9), rng.randrange(15)
        for _ in range(rng.randint(1, 80)):
            seconds = max(1.0, rng.lognormvariate(usual, 0.5))
            found.append((at, seconds, size, f"t{tenant}", math.ceil(seconds / 3600) * 3600.0))
    return found[:count]


def one_size(rng: random.Random, count: int) -> list[Job]:
    """All ask for the same, and their users' past says nothing."""
    size = rng.choice([1, 8, 16])
    lengths = [rng.lognormvariate(7, 1.5) for _ in range(count)]
    return [(rng.random(), s, size, f"t{rng.randrange(5)}", s * 1.5) for s in lengths]


def large(rng: random.Random, count: int) -> list[Job]:
    """Nothing under a node, up to a quarter of the fleet."""
    found: list[Job] = []
    for _ in range(count):
        size = rng.choices([8, 16, 32, 64, 128], [0.4, 0.25, 0.19, 0.1, 0.06])[0]
        seconds = rng.lognormvariate(8, 1.2)
        found.append((rng.random(), seconds, size, f"t{rng.randrange(12)}", seconds * rng.choice([1.1, 1.5, 3])))
    return found


def four_nodes(rng: random.Random, count: int) -> list[Job]:
    """A fleet so small that one gang takes all of it."""
    found: list[Job] = []
    for _ in range(count):
        size = rng.choices([1, 2, 4, 8, 16, 32], [0.5, 0.15, 0.1, 0.15, 0.07, 0.03])[0]
        seconds = rng.lognormvariate(6, 1.5)
        found.append((rng.random(), seconds, size, f"t{rng.randrange(6)}", seconds * rng.choice([1, 2, 5])))
    return found


SHAPES: dict[str, tuple[Draw, int, float]] = {  # how jobs are drawn, nodes of eight cards, share of them asked for
    "research": (research, 32, 1.0),
    "daily": (daily, 32, 1.0),
    "heavy-tail": (heavy_tail, 32, 0.95),
    "bursts": (bursts, 32, 0.9),
    "one-size": (one_size, 16, 0.95),
    "large": (large, 64, 0.95),
    "four-nodes": (four_nodes, 4, 0.9),
}


def write(shape: str, seed: int, count: int, nodes: Path, jobs: Path) -> None:
    draw, size, load = SHAPES[shape]
    found = sorted(draw(random.Random(f"{shape} {seed}"), count))
    span = sum(seconds * cards for _, seconds, cards, _, _ in found) / (size * 8 * load)
    nodes.write_text(
        "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(f"n{i:03},96000,1048576,8,G3\n" for i in range(size))
    )
    with jobs.open("w") as file:
        file.write("job,submit_s,duration_s,gpus,tenant,estimate_s\n")
        for n, (at, seconds, cards, tenant, said) in enumerate(found):
            file.write(f"j{n},{at * span},{seconds},{cards},{tenant},{said}\n")


def play(folder: Path, policy: str, estimate: str) -> dict[str, Any]:
    nodes, jobs, out, text = folder / "n.csv", folder / "j.csv", folder / "p.jsonl", io.StringIO()
    words = ["--nodes", str(nodes), "--jobs", str(jobs), "--mode", "queue", "--policy", policy, "--estimate", estimate]
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(io.StringIO()):
        code = run(["simulate", *words, "-o", "json", "--placements", str(out)])
    if code:
        raise SystemExit(f"simulate ended with {code}")
    figures: dict[str, Any] = json.loads(text.getvalue())
    with out.open() as lines:
        wrong = check_files(nodes, jobs, lines, "queue", figures).wrong
    if wrong:
        raise SystemExit(f"{policy} {estimate}: {wrong[0]}")
    return figures


def waits(figures: dict[str, Any]) -> tuple[float, float, float]:
    """Mean wait of all and of gangs over 8 cards (0 where there are none), and the longest."""
    waiting = figures["waiting"]
    gangs = [v for name, v in waiting["by_size"].items() if "-" in name and int(name.split("-")[0]) > 8]
    jobs = sum(v["jobs"] for v in gangs)
    mean = sum(v["jobs"] * v["mean_s"] for v in gangs) / jobs if jobs else 0.0
    return waiting["mean_s"], mean, waiting["max_s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--estimates", default="user,history")
    options = parser.parse_args()
    print("| shape | estimates | mean: EASY | fleet | over 8: EASY | fleet | longest: EASY | fleet |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for shape in options.shapes.split(","):
            rows: dict[str, list[list[float]]] = {}
            for seed in range(options.seeds):
                write(shape, seed, options.jobs, folder / "n.csv", folder / "j.csv")
                fifo = play(folder, "fifo", "exact")
                for estimate in options.estimates.split(","):
                    base, *others = (waits(f) for f in (fifo, *(play(folder, p, estimate) for p in ("easy", "fleet"))))
                    ratios = [
                        [value / max(1.0, first) for value in rest] for first, *rest in zip(base, *others, strict=True)
                    ]
                    rows.setdefault(estimate, []).append([value for pair in ratios for value in pair])
            for estimate, found in rows.items():
                cells = " | ".join(f"{statistics.fmean(column):.2f}" for column in zip(*found, strict=True))
                print(f"| {shape} | {estimate} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
