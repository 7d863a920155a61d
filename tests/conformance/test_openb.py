"""Placement on the shared openb trace: the published protocol with one seed, every placement checked by a second program."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.check_placements import check_files
from fleetctl.scheduler.packing.record import placement_lines
from fleetctl.scheduler.packing.replay import Choices, replay
from fleetctl.scheduler.packing.trace import read_jobs, read_nodes

OPENB = next(
    (p / "shared/traces/openb" for p in Path(__file__).resolve().parents if (p / "shared/traces/openb").is_dir()), None
)
pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def inflated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The list once in random order, then draws with replacement, until 131 % of the cards have been asked for."""
    assert OPENB is not None
    head, *lines = (OPENB / "openb_pod_list_default.csv").read_text().splitlines()
    rng = random.Random(0)
    order = rng.sample(lines, len(lines))
    while sum(_demand(line) for line in order) < 1.31 * 6_212_000:
        order += rng.choices(lines, k=100)
    named = [f"j{n},{line.partition(',')[2]}" for n, line in enumerate(order)]
    path = tmp_path_factory.mktemp("openb") / "jobs.csv"
    path.write_text("\n".join([head, *named]) + "\n")
    return path


def _demand(line: str) -> int:
    values = line.split(",")
    return int(values[3]) * int(values[4] or 0)


def test_allocates_at_least_what_was_published(inflated: Path) -> None:
    assert OPENB is not None
    nodes = OPENB / "openb_node_list_gpu_node.csv"
    specs = read_nodes(nodes)
    figures, decisions = replay(specs, read_jobs(inflated), Choices(), lambda: 0.0)
    assert figures["allocation_at"]["100"] >= 95.0
    assert figures["allocation_at"]["130"] >= 95.2
    assert check_files(nodes, inflated, placement_lines(decisions, specs), "fill", figures).wrong == []


def test_power_policy_saves_power_and_still_fills(inflated: Path) -> None:
    assert OPENB is not None
    specs = read_nodes(OPENB / "openb_node_list_gpu_node.csv")
    figures, decisions = replay(specs, read_jobs(inflated), Choices(policy="power"), lambda: 0.0)
    lines = placement_lines(decisions, specs)
    assert check_files(OPENB / "openb_node_list_gpu_node.csv", inflated, lines, "fill", figures).wrong == []
    assert figures["power_at_kw"]["80"] <= 1060
    assert figures["allocation_at"]["100"] >= 92.7


@pytest.mark.parametrize("policy", ["fleet", "easy"])
def test_a_crowded_queue_is_served_rightly(tmp_path: Path, policy: str) -> None:
    """openb's tasks come in an hour instead of in 149 days, on every eighth node."""
    assert OPENB is not None
    nodes, jobs = tmp_path / "nodes.csv", tmp_path / "jobs.csv"
    head, *lines = (OPENB / "openb_node_list_gpu_node.csv").read_text().splitlines()
    nodes.write_text("\n".join([head, *lines[::8]]) + "\n")
    rng = random.Random(0)
    table = (OPENB / "openb_pod_list_default.csv").read_text().splitlines()[1:]
    rows = []
    for values in (line.split(",") for line in rng.sample(table, 1500)):
        name, cpu, memory, cards, milli, models = values[:6]
        at, runs = rng.random() * 3600, rng.lognormvariate(8.5, 1)
        rows.append(
            f"{name},{at},{runs},{cards},{milli if cards != '0' else ''},{cpu},{memory},{models},t{len(rows) % 9}"
        )
    jobs.write_text(
        "job,submit_s,duration_s,gpus,gpu_milli,cpu_milli,memory_mib,model,tenant\n" + "\n".join(rows) + "\n"
    )
    specs = read_nodes(nodes)
    figures, decisions = replay(specs, read_jobs(jobs), Choices("queue", policy, "history"), lambda: 0.0)
    assert figures["waiting"]["mean_s"] > 0
    assert check_files(nodes, jobs, placement_lines(decisions, specs), "queue", figures).wrong == []
