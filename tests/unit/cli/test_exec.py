"""fleetctl exec on recorded hosts, and its pure parts."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleetctl.cli import exec as command
from fleetctl.cli.app import run
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.report import ErrorKind
from fleetctl.transport.fanout import HostOutput


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six hosts: gpu1-3 agree, gpu4 fails, gpu5 refuses us, gpu6 does not answer."""
    answers: dict[str, Any] = {f"gpu{n}": {"stdout": "same\n"} for n in (1, 2, 3)}
    answers["gpu4"] = {"stdout": "other\n", "stderr": "\x1b[31mred\n", "exit_status": 3}
    for name, answer in answers.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "runs.jsonl").write_text(json.dumps({"match": "uname -r", **answer}) + "\n")
    for name, error in (("gpu5", "auth"), ("gpu6", "timed_out")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "replay.json").write_text(json.dumps({"connect_error": error}))
    (tmp_path / "fleet.toml").write_text(
        f"""
name = "f"
[[sites]]
name = "s"
[[hosts]]
nodes = "gpu[1-6]"
site = "s"
transport = "replay"
address = "{tmp_path}/{{name}}"
[ssh]
config = ""
[store]
path = "{tmp_path}/fleet.db"
"""
    )
    monkeypatch.setenv("FLEETCTL_CONFIG", str(tmp_path / "fleet.toml"))
    return tmp_path


def test_equal_output_is_shown_once(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exec", "@*", "uname", "-r"]) == 1
    shown = capsys.readouterr()
    rule = "-" * 15
    assert shown.out == (
        f"{rule}\ngpu[1-3] (3)\n{rule}\nsame\n{rule}\ngpu4 (1) - exit status 3\n{rule}\nother\n\\x1b[31mred\n"
    )
    assert "gpu5 (1): auth\n" in shown.err
    assert "gpu6 (1): timed out\n" in shown.err
    assert "this host is a recording" in shown.err


@pytest.mark.parametrize(
    ("nodes", "code"),
    [("gpu[1-3]", 0), ("gpu4", 1), ("gpu5", 4), ("gpu6", 6), ("gpu[5-6]", 1), ("gpu[1,6]", 1), ("gpu9", 3)],
)
def test_exit_codes(fleet: Path, nodes: str, code: int) -> None:
    assert run(["exec", nodes, "uname -r"]) == code


def test_machine_formats(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exec", "--json", "gpu[1,4-5]", "uname -r"]) == 1
    found = {item["host"]: item for item in json.loads(capsys.readouterr().out)}
    assert (found["gpu1"]["stdout"], found["gpu1"]["exit_status"], found["gpu1"]["outcome"]) == ("same\n", 0, "done")
    assert found["gpu4"]["exit_status"] == 3
    assert (found["gpu5"]["error"], found["gpu5"]["stdout"], found["gpu5"]["exit_status"]) == ("auth", None, None)
    run(["exec", "-o", "name", "@*", "uname -r"])
    assert capsys.readouterr().out == "gpu[1-3]\n"


def test_lines_and_dry_run(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exec", "-L", "gpu[1-2]", "uname -r"]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == ["gpu1: same", "gpu2: same"]
    assert run(["exec", "--dry-run", "gpu[1-3,5]", "reboot"]) == 0
    assert capsys.readouterr().out == "gpu[1-3,5]\n"


def answer(host: str, outcome: Outcome = Outcome.DONE, status: int | None = 0) -> HostOutput:
    return HostOutput(host, Output("x", "", status, outcome), 0.1)


def test_one_status_for_all() -> None:
    refused = HostOutput("a", None, 0.1, ErrorKind.AUTH, "no", "", 4)
    silent = HostOutput("b", None, 0.1, ErrorKind.TIMED_OUT, "no", "", 6)
    timed_out = answer("c", Outcome.TIMEOUT, None)
    assert command.exit_code([answer("a"), answer("b")]) == 0
    assert command.exit_code([answer("a"), refused]) == 1
    assert command.exit_code([refused, refused]) == 4
    assert command.exit_code([silent]) == 6
    assert command.exit_code([refused, silent]) == 1
    assert command.exit_code([timed_out, timed_out]) == 6
    assert command.exit_code([timed_out, silent]) == 6
    assert command.exit_code([answer("a", Outcome.CUT)]) == 1


def test_groups_keep_how_it_ended() -> None:
    answers = [answer("b"), answer("a"), answer("c", Outcome.TIMEOUT, None), answer("d", Outcome.DONE, 2)]
    assert command.fold_outputs(answers) == [
        (["b", "a"], "x", ""),
        (["c"], "x", "stopped at the time limit"),
        (["d"], "x", "exit status 2"),
    ]


def test_a_double_dash_before_the_command_is_no_part_of_it(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exec", "gpu[1-3]", "--", "uname", "-r"]) == 0
    assert "same" in capsys.readouterr().out
    assert run(["exec", "gpu1", "--"]) == 2
