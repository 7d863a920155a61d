"""`fleetctl simulate`: every flag the help names, what it prints, and what it says of bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetctl.cli.app import run
from tests.fakes.placements import read_table, violations


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    nodes, jobs = tmp_path / "nodes.csv", tmp_path / "jobs.csv"
    head = "sn,cpu_milli,memory_mib,gpu,model,site,rack,power_cap_w\n"
    nodes.write_text(head + "".join(f"n{i},64000,65536,8,G2,east,r1,\n" for i in range(1, 5)))
    rows = "".join(f"j{i},{i * 10},100,{(1, 2, 8, 16)[i % 4]},t{i % 3},120\n" for i in range(24))
    jobs.write_text("job,submit_s,duration_s,gpus,tenant,estimate_s\n" + rows)
    return str(nodes), str(jobs)


def simulate(files: tuple[str, str], *words: str) -> int:
    return run(["simulate", "--nodes", files[0], "--jobs", files[1], *words])


def test_fill_prints_figures_and_writes_placements(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "placements.jsonl"
    assert simulate(files, "-o", "json", "--placements", str(out), "--drain", "n[1-2]@50%", "--seed", "3") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["mode"], figures["policy"], figures["cards"]) == ("fill", "fgd", 32)
    assert figures["placed"] + figures["lost"] == 24
    assert {"allocation_pct", "fragments", "power", "speed", "drains"} <= figures.keys()
    lines = out.read_text().splitlines()
    assert set(json.loads(lines[0])) == {"job", "time", "node", "devices", "end"}
    assert violations(read_table(Path(files[0])), read_table(Path(files[1])), lines) == []


@pytest.mark.parametrize("policy", ["", "fifo", "easy", "fleet+best-fit"])
@pytest.mark.parametrize("estimate", ["user", "history", "exact"])
def test_queue_prints_waiting(
    files: tuple[str, str], policy: str, estimate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--mode", "queue", "--policy", policy, "--estimate", estimate, "--drain", "n4@2m", "-o", "json")
    assert simulate(files, *words) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["started"] == 24
    assert {"mean_s", "median_s", "p95_s", "by_size"} <= figures["waiting"].keys()
    assert {"slowdown", "utilisation_pct", "fragments", "power", "completion"} <= figures.keys()


def test_as_a_table(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["FIGURE", "VALUE"]
    assert any(line.startswith("allocation_pct") for line in lines)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--policy", "magic"), 2, "no policy named 'magic'"),
        (("--policy", "easy"), 2, "--mode queue"),
        (("--drain", "n1"), 2, "is no NODES@TIME"),
        (("--drain", "x9@10"), 3, "no node x9 in this replay"),
        (("--mode", "never"), 2, "never"),
        (("--placements", "/nowhere/x"), 2, "cannot be written"),
    ],
)
def test_bad_words_are_said(
    files: tuple[str, str], words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(files, *words) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_wrong_column_is_named(files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = tmp_path / "bad.csv"
    jobs.write_text("job,submit_s,duration_s,gpus\na,0,10,1\nb,0,ten,1\n")
    assert simulate((files[0], str(jobs))) == 2
    assert f"{jobs}: line 3, column duration_s (number 3): 'ten' is not a number" in capsys.readouterr().err
    assert simulate((files[1], str(jobs))) == 2
    assert "line 1, column sn" in capsys.readouterr().err
    assert simulate((files[0], str(tmp_path / "none.csv"))) == 3


def test_the_real_fleet_without_what_is_out_of_service(
    call: Callable[..., tuple[int, str, str]], files: tuple[str, str]
) -> None:
    code, out, err = call("simulate", "--nodes", "fleet", "--jobs", files[1], "-o", "json")
    assert code == 0
    figures = json.loads(out)
    assert 0 < figures["nodes"] < 6
    assert "left out" in err
    assert figures["placed"] > 0
