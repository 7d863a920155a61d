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
    assert check_files(nodes, inflated, placement_lines(decisions, specs), "fill").wrong == []


def test_power_policy_saves_power_and_still_fills(inflated: Path) -> None:
    assert OPENB is not None
    specs = read_nodes(OPENB / "openb_node_list_gpu_node.csv")
    figures, _ = replay(specs, read_jobs(inflated), Choices(policy="power"), lambda: 0.0)
    assert figures["power_at_kw"]["80"] <= 1060
    assert figures["allocation_at"]["100"] >= 92.7
