"""Ending processes of a drain: exactly those that were named, TERM once, KILL after their grace, on real processes."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import FleetctlError, UnreachableError
from fleetctl.model.admin import DrainMode
from fleetctl.model.plan import Action
from fleetctl.model.probe import Output
from fleetctl.model.states import Admin
from fleetctl.operations import plan_drain, plan_undo
from fleetctl.scheduler.process_ends import (
    PreparedPass,
    finish_pass,
    pass_script,
    prepare_passes,
    read_answer,
    send_pass,
)
from fleetctl.store.audit import iter_audit
from fleetctl.store.process_ends import EndState, ProcessEnd, list_process_ends
from fleetctl.views.plans import load_nodes, plan_lines
from tests.fakes.fleet import ALICE, SchedulerFleet

REASON = "hw: fan"
NOW = 2000
Started = subprocess.Popen[str]


@dataclass
class ThisHost:
    """Runs scripts here. down: it does not answer; log: every script that was sent."""

    home: Path
    down: bool = False
    log: list[str] = field(default_factory=list)

    async def run(self, host: str, script: str, *, timeout_s: float) -> Output:
        if self.down:
            raise UnreachableError(f"{host} does not answer")
        self.log.append(script)
        done = subprocess.run(  # noqa: ASYNC221
            ["sh", "-c", script],
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        return Output(done.stdout, done.stderr, done.returncode)


@pytest.fixture
def here(tmp_path: Path) -> ThisHost:
    return ThisHost(tmp_path)


@pytest.fixture
def start() -> Iterator[Callable[[str], Started]]:
    """Starts shell commands that say a word when they are ready, and ends them after the test."""
    started: list[Started] = []

    def one(command: str) -> Started:
        process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


MEEK = "echo up; read word"
STUBBORN = "trap '' TERM; echo up; while :; do read word; done"


def uptime_s() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def work(
    fleet: SchedulerFleet,
    pid: int,
    *,
    host: str = "n01",
    card: int = 0,
    name: str = "python3",
    at: int = NOW,
    up_s: float | None = -1,
) -> None:
    """A process on a card, as a report names it. up_s: uptime of the host then; -1: now."""
    with fleet.db.write() as conn:
        conn.execute(
            "INSERT OR REPLACE INTO processes (host, pid, device, name, user, at, up_s)"
            " SELECT id, ?, ?, ?, 'alice', ?, ? FROM hosts WHERE name = ?",
            (pid, f"{host}-{card}", name, at, uptime_s() if up_s == -1 else up_s, host),
        )


def gone_from_cards(fleet: SchedulerFleet) -> None:
    with fleet.db.write() as conn:
        conn.execute("DELETE FROM processes")


def drain(fleet: SchedulerFleet, mode: DrainMode = DrainMode.NOW, **more: object) -> Action:
    plan = plan_drain(
        fleet.db,
        fleet.inventory,
        "n01",
        REASON,
        who=ALICE,
        now=NOW,
        config=fleet.config,
        mode=mode,
        **more,  # type: ignore[arg-type]
    )
    return fleet.apply(plan)


def one_pass(fleet: SchedulerFleet, here: ThisHost, now: int = NOW) -> bool:
    """One pass over every host that needs one; True when there was any."""
    fleet.tick(now)
    passes = prepare_passes(fleet.db, fleet.config, now)
    for prepared in passes:
        finish_pass(fleet.db, fleet.config, prepared, asyncio.run(send_pass(here, prepared)), now)
    return bool(passes)


def ends(fleet: SchedulerFleet) -> dict[int, EndState]:
    with fleet.db.read() as conn:
        return {p.pid: p.state for p in list_process_ends(conn, only_open=False)}


def grace(fleet: SchedulerFleet, seconds: float) -> SchedulerFleet:
    return fleet.with_config(scheduling=replace(fleet.config.scheduling, drain_grace_s=seconds))


def test_the_plan_names_who_will_be_ended_and_the_process_gets_term(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    process = start(MEEK)
    work(fleet, process.pid)
    plan = plan_drain(fleet.db, fleet.inventory, "n01", REASON, who=ALICE, now=NOW, mode=DrainMode.NOW)
    assert f"ends on n01: {process.pid} python3 of alice" in "\n".join(plan_lines(plan))
    fleet.apply(plan)
    assert one_pass(fleet, here)
    assert ends(fleet) == {process.pid: EndState.FOUND}
    assert process.poll() is None, "nothing is sent before the decision record knows whom"
    one_pass(fleet, here)
    assert process.wait(600) == -15
    one_pass(fleet, here)
    assert ends(fleet) == {process.pid: EndState.GONE}
    fleet.tick(NOW + 1)
    assert fleet.state("n01") is Admin.DRAINED, "the host's word is enough: its tool may be asked minutes later"
    with fleet.db.read() as conn:
        record = [e for e in iter_audit(conn) if e.verb in ("end_processes", "process_end")]
    assert record[0].body["processes"][0]["command"].startswith("sh -c")
    assert [sorted(e.body) for e in record[1:]] == [["plan", "told"], ["gone", "plan"]]


def test_one_that_ignores_term_has_its_grace_and_then_gets_kill(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    process = start(STUBBORN)
    work(fleet, process.pid)
    patient = grace(fleet, 3600)
    action = drain(patient)
    for _ in range(4):
        one_pass(patient, here)
    assert (process.poll(), ends(fleet)) == (None, {process.pid: EndState.TOLD})
    with fleet.db.read() as conn:
        note = load_nodes(conn, action.plan, fleet.config, NOW + 8).rows[0].note
    assert note == f"processes {process.pid} python3 of alice; TERM sent 8s ago"
    one_pass(grace(fleet, 0), here)
    assert process.wait(600) == -9


def test_a_repeated_pass_sends_nothing_twice(here: ThisHost, start: Callable[[str], Started]) -> None:
    """The engine died before it could note what the host said: the same script comes again."""
    process = start("n=0; trap 'n=$((n+1)); echo term $n' TERM; echo up; while :; do read word; done")
    assert process.stdout is not None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    seen = read_answer(asyncio.run(here.run("n01", pass_script([process.pid], [], grace_s=60), timeout_s=600)).stdout)
    end = ProcessEnd("p-1", "n01", "", boot, process.pid, seen.seen[0].started, "", "", EndState.FOUND, 0, 0)
    script = pass_script([], [end], grace_s=60)
    answers = [read_answer(asyncio.run(here.run("n01", script, timeout_s=600)).stdout) for _ in range(3)]
    assert [a.said[process.pid, end.started][0] for a in answers] == ["TERM", "waits", "waits"]
    assert process.stdout.readline() == "term 1\n"


@pytest.mark.parametrize("change", [{"started": 1}, {"boot_id": "another-boot"}])
def test_a_number_that_went_to_another_process_is_never_signalled(
    here: ThisHost, start: Callable[[str], Started], change: dict[str, object]
) -> None:
    process = start(MEEK)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    seen = read_answer(asyncio.run(here.run("n01", pass_script([process.pid], [], grace_s=0), timeout_s=600)).stdout)
    end = ProcessEnd("p-1", "n01", "", boot, process.pid, seen.seen[0].started, "", "", EndState.FOUND, 0, 0)
    other = replace(end, **change)  # type: ignore[arg-type]
    answer = read_answer(asyncio.run(here.run("n01", pass_script([], [other] * 2, grace_s=0), timeout_s=600)).stdout)
    assert answer.said == {(process.pid, other.started): ("gone", "")}
    assert process.poll() is None


def test_one_younger_than_its_sighting_is_another_process(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    process = start(MEEK)
    work(fleet, process.pid, at=NOW - 3600)  # seen on the card an hour ago; this one was started just now
    drain(fleet)
    for _ in range(3):
        one_pass(fleet, here)
    assert (process.poll(), ends(fleet)) == (None, {})


@pytest.mark.parametrize("ago_s", [60.0, None])
def test_a_clock_of_ours_that_stepped_back_makes_nobody_older(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started], ago_s: float | None
) -> None:
    """By our clock the sighting is just now; by the host's it is older than this process, or nobody knows."""
    process = start(MEEK)
    work(fleet, process.pid, up_s=None if ago_s is None else uptime_s() - ago_s)
    drain(fleet)
    one_pass(fleet, here)
    one_pass(fleet, here)
    assert ends(fleet) == {}
    assert process.poll() is None


def test_a_lease_ends_first_and_what_it_leaves_behind_afterwards(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    process = start(MEEK)
    work(fleet, process.pid, at=NOW + 102)
    lease = fleet.lease("n01", cards=1, end_at=9000)
    plan = plan_drain(
        fleet.db, fleet.inventory, "n01", REASON, who=ALICE, now=NOW, mode=DrainMode.DEADLINE, deadline_at=NOW + 100
    )
    fleet.apply(plan)
    assert not one_pass(fleet, here, NOW + 50), "the deadline has not come"
    one_pass(fleet, here, NOW + 101)
    one_pass(fleet, here, NOW + 102)
    assert fleet.lease_state(lease) == "ended"
    assert process.wait(600) == -15


@pytest.mark.parametrize("how", ["kept", "waits", "undone", "ignored", "outside", "silent", "old plan"])
def test_nobody_is_signalled_where_nobody_asked(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started], how: str
) -> None:
    process = start(MEEK)
    work(fleet, process.pid, name="/usr/bin/Xorg" if how == "ignored" else "python3")
    if how == "outside":
        fleet.outside("n01", Admin.IN_SERVICE, busy=True)
    mode = DrainMode.WAIT if how == "waits" else DrainMode.NOW
    action = drain(fleet, mode, keep_processes=how == "kept")
    if how == "undone":
        one_pass(fleet, here)
        fleet.apply(plan_undo(fleet.db, action.plan, who=ALICE, now=NOW, config=fleet.config))
    if how == "silent":
        fleet.see({"n01": 8}, reach="unreachable")
    if how == "old plan":
        with fleet.db.write() as conn:
            conn.execute("UPDATE plan SET body = json_remove(body, '$.end_processes')")
    for _ in range(3):
        one_pass(fleet, here)
    assert process.poll() is None
    assert ends(fleet) == ({process.pid: EndState.LEFT} if how == "undone" else {})


def test_a_drain_of_one_card_ends_what_is_on_it_and_nothing_else(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    mine, other = start(MEEK), start(MEEK)
    work(fleet, mine.pid, card=3)
    work(fleet, other.pid, card=4)
    action = drain(fleet, cards=("3",))
    with fleet.db.read() as conn:
        assert "python3" in (load_nodes(conn, action.plan, fleet.config, NOW).rows[0].note)
    for _ in range(3):
        one_pass(fleet, here)
    assert (mine.wait(600), other.poll()) == (-15, None)
    gone_from_cards(fleet)
    assert fleet.tick(NOW + 5).closed == [action.plan]


def test_a_host_that_does_not_answer_is_not_done(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    process = start(MEEK)
    work(fleet, process.pid)
    action = drain(fleet)
    one_pass(fleet, here)
    here.down = True
    one_pass(fleet, here)
    assert ends(fleet) == {process.pid: EndState.FOUND}
    assert fleet.state("n01") is Admin.DRAINING
    with fleet.db.read() as conn:
        assert "n01 does not answer" in load_nodes(conn, action.plan, fleet.config, NOW).rows[0].note


def test_a_refusal_names_the_setting_and_is_tried_again(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started], tmp_path: Path
) -> None:
    process = start(MEEK)
    work(fleet, process.pid)
    may_not = tmp_path / "may-not"
    may_not.write_text("#!/bin/sh\necho 'kill: (1): Operation not permitted' >&2\nexit 1\n")
    may_not.chmod(0o755)
    strict = fleet.with_config(scheduling=replace(fleet.config.scheduling, kill_prefix=str(may_not)))
    action = drain(strict)
    one_pass(strict, here)
    one_pass(strict, here)
    assert ends(fleet) == {process.pid: EndState.REFUSED}
    with fleet.db.read() as conn:
        assert "kill_prefix" in load_nodes(conn, action.plan, fleet.config, NOW).rows[0].note
    one_pass(fleet, here)
    assert process.wait(600) == -15


def test_a_clock_that_jumped_ends_nobody(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    process = start(MEEK)
    work(fleet, process.pid)
    plan = plan_drain(
        fleet.db, fleet.inventory, "n01", REASON, who=ALICE, now=NOW, mode=DrainMode.DEADLINE, deadline_at=NOW + 100
    )
    fleet.apply(plan)
    fleet.tick(NOW)
    ahead = NOW + 10**6
    fleet.tick(ahead)
    assert prepare_passes(fleet.db, fleet.config, ahead) == []


@given(st.text(max_size=300))
def test_any_answer_is_read(text: str) -> None:
    read_answer(text)
    assert not read_answer(f"seen\t1\t2\t{text}").seen, "without the boot nobody is named"


def test_a_finish_that_comes_late_moves_nothing_twice(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    process = start(STUBBORN)
    work(fleet, process.pid)
    drain(fleet)
    one_pass(fleet, here)
    (prepared,) = prepare_passes(fleet.db, fleet.config, NOW)
    answer: Output | FleetctlError = asyncio.run(send_pass(here, prepared))
    for _ in range(2):
        finish_pass(fleet.db, fleet.config, prepared, answer, NOW)
    with fleet.db.read() as conn:
        assert sum(e.verb == "process_end" for e in iter_audit(conn)) == 1
    assert isinstance(prepared, PreparedPass)


@pytest.mark.parametrize("cards", [(), ("0",)])
def test_a_drain_that_kept_processes_can_be_made_to_end_them(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started], cards: tuple[str, ...]
) -> None:
    process = start(MEEK)
    work(fleet, process.pid)
    drain(fleet, keep_processes=True, cards=cards)
    one_pass(fleet, here)
    drain(fleet, cards=cards)
    for _ in range(2):
        one_pass(fleet, here)
    assert process.wait(600) == -15


def test_one_that_ended_by_itself_is_not_waited_for(
    fleet: SchedulerFleet, here: ThisHost, start: Callable[[str], Started]
) -> None:
    process = start(MEEK)
    work(fleet, process.pid)
    drain(fleet)
    process.kill()
    process.wait()
    one_pass(fleet, here)
    fleet.tick(NOW + 1)
    assert (fleet.state("n01"), ends(fleet)) == (Admin.DRAINED, {})
