"""Made-up traces of every odd kind through `fleetctl simulate`, each held against a checker that knows nothing of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.check_placements import check_files
from fleetctl.cli.app import run

NODES = "sn,cpu_milli,memory_mib,gpu,model,site,rack,power_cap_w"
JOBS = "job,submit_s,duration_s,gpus,gpu_milli,cpu_milli,memory_mib,model,tenant,estimate_s,site,movable"

shapes = st.tuples(
    st.sampled_from([0, 8_000, 96_500]),
    st.sampled_from([0, 1_000, 262_144]),
    st.sampled_from([0, 1, 2, 3, 8, 8]),
    st.sampled_from(["G2", "T4", "unheard of"]),
    st.sampled_from(["", "a", "b"]),
)
seconds = st.sampled_from([0, 0, 5, 5, 10, 60]) | st.floats(0, 1e6, allow_nan=False)
asks = st.tuples(
    seconds,
    seconds | st.sampled_from([1e-9, 1e9]),
    st.sampled_from([0, 1, 1, 2, 3, 4, 8, 9, 12, 16, 200]),
    st.sampled_from(["", "1000", "500", "333", "1"]),
    st.sampled_from([0, 0, 100, 33_333, 500_000]),
    st.sampled_from([0, 1, 1024, 99_999]),
    st.sampled_from(["", "", "G2", "G2|T4", "none such"]),
    st.sampled_from(["", "t1", "t2"]),
    st.sampled_from(["", "0", "7.5", "3600"]),
    st.sampled_from(["", "", "a", "b", "nowhere"]),
    st.sampled_from(["", "0", "1"]),
)
orders = st.sampled_from(["", "fleet", "easy", "fifo"])
places = st.sampled_from(["fgd", "power", "best-fit", "first-fit", "tightest", "random"])


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(shapes, min_size=1, max_size=3),
    count=st.integers(1, 14),
    jobs=st.lists(asks, max_size=40),
    caps=st.sampled_from(["", "", "300", "2000"]),
    mode=st.sampled_from(["fill", "queue", "queue"]),
    order=orders,
    place=places,
    estimate=st.sampled_from(["user", "history", "exact"]),
    drain=st.sampled_from(["", "", "n0@0", "n0@5", "n0@7.5", "n0@100", "n0@50%"]),
)
def test_whatever_comes_is_placed_rightly(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: list[tuple[Any, ...]],
    count: int,
    jobs: list[tuple[Any, ...]],
    caps: str,
    mode: str,
    order: str,
    place: str,
    estimate: str,
    drain: str,
) -> None:
    folder = tmp_path_factory.mktemp("trace")
    nodes, table, out, summary = (folder / name for name in ("n.csv", "j.csv", "p.jsonl", "s.json"))
    rows = [",".join(map(str, (f"n{i}", *kinds[i % len(kinds)], f"r{i % 2}", caps))) for i in range(count)]
    nodes.write_text("\n".join([NODES, *rows]) + "\n")
    table.write_text("\n".join([JOBS, *(",".join(map(str, (f"j{n}", *job))) for n, job in enumerate(jobs))]) + "\n")
    policy = "+".join(filter(None, (order if mode == "queue" else "", place)))
    words = ["--nodes", str(nodes), "--jobs", str(table), "--mode", mode, "--policy", policy, "--estimate", estimate]
    words += ["--placements", str(out), "-o", "json", *(["--drain", drain] if drain else [])]
    with pytest.MonkeyPatch.context() as patch, summary.open("w") as file:
        patch.setattr("sys.stdout", file)
        assert run(["simulate", *words]) == 0
    figures = json.loads(summary.read_text())
    drained = [drain] if drain and (figures.get("drains") or not drain.endswith("%")) else []
    lines = out.read_text().splitlines()
    fixed = order in ("easy", "fifo")
    assert check_files(nodes, table, lines, mode, figures, drained, fixed_sites=fixed).wrong == []


@pytest.fixture
def played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, Path, list[str], dict[str, Any]]:
    """Two nodes at site a, one at b, and jobs that fill them: (nodes, jobs, placements, summary) of a queue."""
    nodes, jobs, out = tmp_path / "n.csv", tmp_path / "j.csv", tmp_path / "p.jsonl"
    nodes.write_text(f"{NODES}\nn0,8000,64,2,G2,a,,\nn1,8000,64,2,G2,a,,\nn2,8000,64,2,T4,b,,\n")
    jobs.write_text(
        f"{JOBS}\ngang,0,10,4,,8000,64,,,,a,\nhalf,1,10,1,500,100,1,G2,,,,\nother,1,10,1,600,8000,1,,,,b,0\nlate,5,10,2,,,,,,,,\n"
    )
    words = ["--nodes", str(nodes), "--jobs", str(jobs), "--mode", "queue", "--placements", str(out), "-o", "json"]
    assert run(["simulate", *words]) == 0
    return nodes, jobs, out.read_text().splitlines(), json.loads(capsys.readouterr().out)


def test_the_checker_finds_nothing_wrong_with_what_is_right(
    played: tuple[Path, Path, list[str], dict[str, Any]],
) -> None:
    nodes, jobs, lines, figures = played
    assert check_files(nodes, jobs, lines, "queue", figures).wrong == []


@pytest.mark.parametrize(
    ("job", "changes", "said"),
    [
        ("half", {"node": "n2"}, "n2 is T4, wanted G2"),
        ("other", {"node": "n0"}, "n0 is in a, wanted b"),
        ("half", {"devices": [[0, 400]]}, "not 500 milli of each card"),
        ("half", {"devices": [[5, 500]]}, "has no such card"),
        ("late", {"devices": [[0, 1000], [0, 1000]]}, "named twice"),
        ("late", {"devices": [[0, 1000]]}, "1 cards on 1 nodes, wanted 2"),
        ("gang", {"devices": [[0, 1000]]}, "gang: 1 cards on 1 nodes, wanted 4"),
        ("half", {"time": 0, "end": 10}, "starts at 0, submitted at 1"),
        ("half", {"end": 12}, "should 10"),
        ("half", {"time": 2, "end": 12}, "milli of one card at"),
        ("late", {"node": "n9"}, "no node 'n9'"),
        ("late", {"job": "stranger"}, "no job 'stranger'"),
        ("late", {"time": 90, "end": 100}, "summary: waiting.mean_s"),
        ("late", None, "late never starts"),
    ],
)
def test_the_checker_sees_what_is_wrong(
    played: tuple[Path, Path, list[str], dict[str, Any]], job: str, changes: dict[str, Any] | None, said: str
) -> None:
    nodes, jobs, lines, figures = played
    changed = []
    for text in lines:
        line = json.loads(text)
        if line["job"] == job:
            if changes is None:
                continue
            line |= changes
        changed.append(json.dumps(line))
    wrong = check_files(nodes, jobs, changed, "queue", figures).wrong
    assert any(said in text for text in wrong), wrong


def test_the_checker_sees_a_job_lost_that_had_room(tmp_path: Path) -> None:
    nodes, jobs = tmp_path / "n.csv", tmp_path / "j.csv"
    nodes.write_text(f"{NODES}\nn0,8000,64,2,G2,,,\n")
    jobs.write_text("job,submit_s,duration_s,gpus\na,0,1,1\nb,0,1,1\n")
    line = '{"job":"b","time":1,"node":"n0","devices":[[0,1000]],"end":null}'
    assert check_files(nodes, jobs, [line], "fill").wrong == ["a, number 0, was lost though n0 had room"]
    twice = line.replace('"time":1', '"time":0')
    assert any("arrived as number 1" in text for text in check_files(nodes, jobs, [twice], "fill").wrong)
    drained = check_files(nodes, jobs, [line], "fill", drains=["n0@1"]).wrong
    assert any("on a node that was drained at 1" in text for text in drained)
