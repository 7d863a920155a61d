"""`fleetctl simulate`: every flag the help names, what it prints, and what it says of bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.check_placements import check_files
from fleetctl.cli.app import run


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
    assert check_files(Path(files[0]), Path(files[1]), lines, "fill", figures, ["n1,n2@50%"]).wrong == []


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
    assert {"allocation", "slowdown", "utilisation_pct", "fragments", "power", "completion"} <= figures.keys()


def test_as_a_table(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["FIGURE", "VALUE"]
    assert any(line.startswith("allocation_pct") for line in lines)


def test_a_file_that_is_read_is_not_overwritten(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(files[1]).read_text()
    (tmp_path / "link").symlink_to(files[1])
    for name in (files[1], str(tmp_path / "link")):
        assert simulate(files, "--placements", name) == 2
        assert "is read, and would be overwritten" in capsys.readouterr().err
    assert Path(files[1]).read_text() == before


def test_names_that_stand_twice_are_told(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = tmp_path / "twice.csv"
    jobs.write_text("job,submit_s,duration_s,gpus\na,0,10,1\na,0,10,1\nb,0,10,1\n")
    assert simulate((files[0], str(jobs)), "--placements", str(tmp_path / "p.jsonl")) == 0
    assert "1 jobs have the name of one before them" in capsys.readouterr().err


def test_progress_is_told_on_standard_error(
    files: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fleetctl.cli.simulate import _Progress

    monkeypatch.setattr(_Progress, "FIRST_S", 0.0)
    monkeypatch.setattr(_Progress, "LOOK_EVERY", 1)
    assert simulate(files, "-o", "json") == 0
    captured = capsys.readouterr()
    assert captured.err == "read 1 jobs\n"  # no terminal: one line, the next ten seconds later
    json.loads(captured.out)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(_Progress, "DRAW_EVERY_S", 0.0)
    assert simulate(files, "-o", "json") == 0
    drawn = capsys.readouterr().err
    assert "\r\x1b[Kplaced 23 of 24 jobs" in drawn
    assert drawn.endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--policy", "magic"), 2, "no policy named 'magic'"),
        (("--policy", "easy"), 2, "--mode queue"),
        (("--drain", "n1"), 2, "is no NODES@TIME"),
        (("--drain", "x9@10"), 3, "no node x9 in this replay"),
        (("--mode", "never"), 2, "never"),
        (("--placements", "/nowhere/x"), 2, "cannot be written"),
        (("--placements", "/dev/full"), 1, "/dev/full: cannot be written: No space left"),
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
