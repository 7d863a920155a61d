"""The command line itself: what is imported, how it says no, what it exits with."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetctl.cli.app import COMMANDS, run


def started(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETCTL") and k not in ("LANG", "LC_ALL")}
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, env=env | environ, timeout=600, check=False
    )


HEAVY = (
    "textual",
    "rich",
    "asyncssh",
    "aiohttp",
    "httpx",
    "numpy",
    "sqlite3",
    "sqlite_utils",
    "ClusterShell",
    "pynvml",
)


def test_help_imports_nothing_heavy_and_no_plugin() -> None:
    code = (
        "import sys; from fleetctl.cli.app import run; run(['--help']);"
        f"print([m for m in sys.modules if m.split('.')[0] in {HEAVY} or m.startswith('fleetctl_')], file=sys.stderr)"
    )
    done = started("-c", code)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def test_help_of_a_command_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["nodes", "-h"], ["report", "health", "--help"], ["config", "-h"]):
        assert run(words) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"Usage: fleetctl {words[0]}")
        assert text.isascii()
        assert "--install-completion" not in text
        assert max(map(len, text.splitlines())) <= 80


def test_version() -> None:
    done = started("-m", "fleetctl", "--version")
    assert (done.returncode, done.stdout) == (0, "fleetctl 0.1.0\n")


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nods"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "no command named 'nods'" in said.err
    assert "did you mean `fleetctl nodes`?" in said.err


def test_wrong_options_are_usage_errors(capsys: pytest.CaptureFixture[str], fleet: Path) -> None:
    assert run(["--bogus"]) == 2
    assert run(["--lang", "klingon", "nodes"]) == 2
    assert run(["-C", str(fleet.with_name("none.toml")), "nodes"]) == 2
    assert run(["-C", str(fleet), "nodes", "-o", "xml"]) == 2
    assert capsys.readouterr().out == ""


def test_a_name_the_fleet_does_not_have_is_not_found(capsys: pytest.CaptureFixture[str], fleet: Path) -> None:
    assert run(["-C", str(fleet), "show", "gpu009"]) == 3
    assert "gpu009" in capsys.readouterr().err


def test_without_a_terminal_the_console_says_so(capsys: pytest.CaptureFixture[str], fleet: Path) -> None:
    assert run(["-C", str(fleet)]) == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_node_names_and_commands_complete(fleet: Path) -> None:
    def complete(words: str, position: int) -> list[str]:
        done = started(
            "-m",
            "fleetctl",
            FLEETCTL_CONFIG=str(fleet),
            _FLEETCTL_COMPLETE="complete_bash",
            COMP_WORDS=words,
            COMP_CWORD=str(position),
        )
        return done.stdout.split()

    assert complete("fleetctl no", 1) == ["nodes"]
    assert complete("fleetctl nodes gpu00", 2) == ["gpu001", "gpu002", "gpu003", "gpu004"]
    assert complete("fleetctl show np", 2) == ["npu1", "npu2"]
    assert "@r1" in complete("fleetctl nodes @", 2)


def test_a_closed_pipe_is_quiet(fleet: Path) -> None:
    done = started(
        "-c",
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'fleetctl', '--help'],"
        " stdout=subprocess.PIPE, stderr=subprocess.PIPE); p.stdout.close(); err = p.stderr.read();"
        " p.stderr.close(); print(p.wait(), err)",
    )
    assert done.stdout.strip() == "1 b''"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, fleet: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fleetctl.cli.console.open_console", interrupted)
    assert run(["-C", str(fleet)]) == 130


def test_verbose_says_where_and_a_full_disk_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fleet: Path
) -> None:
    assert run(["-v", "-C", str(fleet), "show", "gpu009"]) == 3
    assert "Traceback" in capsys.readouterr().err

    def full(*_words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fleetctl.cli.console.open_console", full)
    assert run(["-C", str(fleet)]) == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("code", "hint"), [(errno.ENOSPC, "free disk space"), (errno.EROFS, "rights"), (errno.EIO, "-v prints")]
)
def test_what_the_system_refuses_is_said_with_its_place(
    code: int, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_args: object, **_more: object) -> int:
        raise OSError(code, os.strerror(code), "/data/fleet.db.log")

    monkeypatch.setattr("typer.main.get_command", lambda _app: type("C", (), {"main": staticmethod(refuse)})())
    assert run(["status"]) == 1
    shown = capsys.readouterr().err
    assert "/data/fleet.db.log: " in shown
    assert hint in shown
    assert "Errno" not in shown
