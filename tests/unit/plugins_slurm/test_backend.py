"""What becomes of answers that are late, half, empty, foreign or refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetctl.config.schema import Scheduler
from fleetctl.errors import (
    AuthError,
    ConflictError,
    FleetctlError,
    NotFoundError,
    ParseError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from fleetctl.model.probe import Outcome, Output
from fleetctl.scheduler.backend import Allocation, Capability
from fleetctl_slurm.backend import SlurmBackend
from tests.fakes.clock import FakeClock

FOLDER = Path(__file__).parents[2] / "fixtures" / "slurm" / "22.05.8"
RECORDED = "feedc0de00000001"
UP = "Slurmctld(primary) at localhost is UP\n"
DOWN = "Slurmctld(primary) at localhost is DOWN\n"


def recorded(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text()


class Shell:
    """Answers each part of a script: name -> (stdout, exit status, stderr); a part that is not named is never begun."""

    def __init__(self, **parts: tuple[str, int, str]) -> None:
        self.parts = {"ping": (UP, 0, ""), "version": ("slurm-wlm 22.05.8\n", 0, ""), **parts}
        self.outcome = Outcome.DONE
        self.cut: Callable[[str], str] = str
        self.asked: list[str] = []
        self.commands: list[str] = []

    async def run(
        self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0, max_bytes: int = 1 << 20
    ) -> Output:
        self.asked += [c for _n, c in re.findall(r"^timeout -k 2 (\S+) (.*); rc=", command, re.MULTILINE)]
        self.commands.append(command)
        out = err = ""
        for nonce, name in re.findall(r"^echo ([0-9a-f]+) begin (\w+);", command, re.MULTILINE):
            if name not in self.parts:
                break
            text, status, said = self.parts[name]
            text = text.replace(RECORDED, nonce)
            out += f"{nonce} begin {name}\n{text}{nonce} end {name} {status}\n"
            err += f"{nonce} begin {name}\n{said}\n{nonce} end {name} {status}\n"
            if name == "ping" and status:
                break
        return Output(self.cut(out), err, 0, self.outcome)


def backend(shell: Shell, **settings: object) -> SlurmBackend:
    return SlurmBackend(Scheduler(**{"site": "osl", **settings}), shell, FakeClock())  # type: ignore[arg-type]


def whole(**parts: tuple[str, int, str]) -> Shell:
    answers = {name: (recorded(name), 0, "") for name in ("nodes", "jobs", "windows")}
    return Shell(**{**answers, **parts})


async def test_one_bulk_query_each() -> None:
    shell = whole()
    view = await backend(shell).read()
    assert [c.split()[0] for c in shell.asked] == ["scontrol", "scontrol", "sinfo", "squeue", "scontrol"]
    assert len(shell.commands) == 1
    assert (len(view.nodes), len(view.jobs), len(view.reservations), view.version) == (4, 4, 2, "22.05.8")


async def test_a_dead_controller_is_asked_nothing_more() -> None:
    shell = whole(ping=(DOWN, 1, ""))
    with pytest.raises(UnreachableError, match="is DOWN") as caught:
        await backend(shell).read()
    assert "with its age" in caught.value.hint


@pytest.mark.parametrize(
    ("parts", "error", "words"),
    [
        ({"ping": ("", 124, "")}, TimedOutError, "did not end"),
        ({"ping": ("", 127, "")}, NotFoundError, "no scontrol"),
        ({"ping": ("", 1, "slurm_load: munge")}, UnreachableError, "munge"),
        ({"nodes": ("", 0, "")}, ParseError, "no node at all"),
        ({"nodes": ("", 1, "Unable to contact")}, ParseError, "failed"),
        ({"jobs": ("", 124, "")}, TimedOutError, "jobs"),
        ({"nodes": ("PARTITION AVAIL\nall up\n", 0, "")}, ParseError, "inside a record"),
        ({"nodes": (f"a|b|{RECORDED}|\n" * 3, 0, "")}, ParseError, "nobody here knows"),
    ],
)
async def test_no_answer_or_a_strange_one(
    parts: dict[str, tuple[str, int, str]], error: type[FleetctlError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        await backend(whole(**parts)).read()
    assert caught.value.hint


async def test_half_an_answer() -> None:
    shell = whole()
    full = (await shell.run("")).stdout
    assert full == ""
    shell.cut = lambda text: text[: text.index("osl-h100-03|all*")]
    with pytest.raises(ParseError, match="half an answer"):
        await backend(shell).read()
    shell.cut, shell.outcome = str, Outcome.CUT
    with pytest.raises(ParseError, match="MiB"):
        await backend(shell).read()
    shell.outcome = Outcome.LOST
    with pytest.raises(UnreachableError):
        await backend(shell).read()


@pytest.mark.parametrize(("said", "version"), [("slurm 24.11.5", "24.11.5"), ("", ""), ("slurm 31.02.0", "31.02.0")])
async def test_an_unknown_version_is_read_all_the_same_and_said(said: str, version: str) -> None:
    shell = whole(version=(f"{said}\n", 0, ""), who=("root\n", 0, ""), uid=("0\n", 0, ""))
    here = backend(shell)
    assert (await here.read()).version == version
    warned = [a for a in await here.diagnose() if a.level == "warn"]
    assert bool(warned) == (version != "24.11.5")


@pytest.mark.parametrize(
    ("parts", "able", "prefix"),
    [
        ({"uid": ("0\n", 0, "")}, True, ""),
        ({"uid": ("64030\n", 0, ""), "config": ("SlurmUser = slurm(64030)\n", 0, "")}, True, ""),
        ({"uid": ("1000\n", 0, ""), "level": ("Administrator\n", 0, "")}, True, ""),
        ({"uid": ("1000\n", 0, ""), "level": ("Operator\n", 0, "")}, False, ""),
        ({"uid": ("1000\n", 0, ""), "level": ("", 1, "no slurmdbd")}, False, ""),
        ({"uid": ("1000\n", 0, "")}, True, "sudo -n"),
    ],
)
async def test_rights(parts: dict[str, tuple[str, int, str]], able: bool, prefix: str) -> None:
    blank = dict.fromkeys(("uid", "config", "level"), ("", 0, ""))
    shell = whole(who=("ops\n", 0, ""), **{**blank, **parts})
    here = backend(shell, prefix=prefix)
    assert (Capability.DRAIN in await here.capabilities()) is able
    assert any("sudoers" in a.hint or "sudo" in a.hint for a in await here.diagnose()) is not able


async def test_read_only_never_changes_anything() -> None:
    shell = whole()
    here = backend(shell, read_only=True)
    assert await here.capabilities() == frozenset()
    with pytest.raises(ConflictError):
        await here.drain("a", "x")
    assert shell.commands == []


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("slurm_update error: Invalid user id", AuthError),
        ("sudo: a password is required", AuthError),
        ("slurm_update error: Invalid node name specified", NotFoundError),
        ("slurm_update error: Invalid node state specified", ConflictError),
        ("slurm_update error: Unable to contact slurm controller (connect failure)", UnreachableError),
    ],
)
async def test_what_a_refusal_means(said: str, error: type[FleetctlError]) -> None:
    with pytest.raises(error) as caught:
        await backend(Shell(change=("", 1, said))).drain("a", "hw: fan")
    assert said in str(caught.value)


async def test_what_is_typed_for_us() -> None:
    shell = Shell(change=("7\n", 0, ""))
    here = backend(shell, prefix="sudo -n", node_pattern="{name}-ib", bin="/opt/slurm/bin")
    await here.drain("gpu1", "[fleetctl p-1] hw: it's\n\x1b[31mred")
    assert shell.asked == [
        "sudo -n scontrol update nodename=gpu1-ib state=drain 'reason=[fleetctl p-1] hw: it'\"'\"'s [31mred'"
    ]
    assert "PATH=/opt/slurm/bin:$PATH" in shell.commands[0]
    job = await here.submit("#!/bin/sh\n", name="a b", partition="p", nodes=2, cards=4, duration_s=90, mark="o-1")
    assert job == "7"
    assert "'--comment=[fleetctl o-1]'" in shell.asked[1]
    assert "--time=2" in shell.asked[1]
    assert "--gres=gpu:4" in shell.asked[1]
    wanted = Allocation(2, 0, "lab", "p", duration_s=90, not_on=("n1", "n2"), reservation="w-1")
    assert await here.hold(wanted, "r-1-ab") == "7"
    for word in ("--exclusive", "--account=lab", "--time=2", "--reservation=fleetctl_w-1", "'--exclude=n[1-2]-ib'"):
        assert word in shell.asked[2]
    assert "--gres" not in shell.asked[2]
    await here.set_end("7", 1000, 1000 + 7200)
    await here.set_end("7", 1000, None)
    assert [c.split("jobid=7 ")[1] for c in shell.asked[3:]] == ["timelimit=120", "timelimit=UNLIMITED"]
    for wrong in ("a;b", "a b", ""):
        with pytest.raises(UsageError):
            await here.drain(f"gpu1{wrong}" if wrong else "/", "x")
    with pytest.raises(UsageError):
        await here.cancel("1; id")
    with pytest.raises(ConflictError):
        await here.unreserve("theirs")


def test_a_pattern_names_the_host() -> None:
    with pytest.raises(UsageError, match="node_pattern"):
        backend(Shell(), node_pattern="node")
