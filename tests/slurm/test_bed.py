"""The same verbs against a real Slurm 22.05: who owns a node, what holds a drain back, who may end it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleetctl.errors import ConflictError, NotFoundError
from fleetctl.model.admin import DrainMode
from fleetctl.model.outside import OutsideJob
from fleetctl.model.plan import StepState
from fleetctl.model.states import Admin
from fleetctl.operations import plan_drain, reserve, unreserve
from fleetctl.operations.orders import cancel_job, find_job, submit_job
from fleetctl.scheduler.backend import Capability
from fleetctl.store.audit import list_audit
from fleetctl.store.findings import list_findings
from fleetctl.store.nodes import list_outside
from fleetctl.store.outside import list_jobs, list_orders, list_outside_endpoints
from fleetctl.views.queue import load_reservations

from .conftest import NODES, PERSON, Bed, Desk

pytestmark = pytest.mark.peers


async def test_a_job_holds_the_drain_back_and_its_end_lets_it_through(bed: Bed, desk: Desk) -> None:
    job = bed.job("osl-h100-01")
    await desk.until(lambda: desk.node("osl-h100-01").name in _hosts(desk))
    action = desk.drain("osl-h100-01")
    await desk.until(lambda: "drain" in bed.state("osl-h100-01"))
    reason = bed("sinfo", "-h", "-N", "-p", "all", "-n", "osl-h100-01", "-O", "Reason:")
    assert reason == f"[fleetctl {action.plan}] hw: fan 3"
    await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.DRAINING)
    with desk.db.read() as conn:
        (running,) = list_jobs(conn, host="osl-h100-01")
    assert (running.id, running.user, running.cards) == (job, "root", 8)

    bed("scancel", job)
    await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.DRAINED)
    assert bed.state("osl-h100-01") == "idle+drain"

    desk.apply(desk.resume("osl-h100-01"))
    await desk.until(lambda: bed.takes_work("osl-h100-01"))
    await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.IN_SERVICE)


async def test_an_administrators_own_drain_is_shown_and_stays(bed: Bed, desk: Desk) -> None:
    bed("scontrol", "update", "nodename=osl-h100-02", "state=drain", "reason=xid|79, gpu 3")
    await desk.until(lambda: desk.node("osl-h100-02").admin is Admin.DRAINED)
    row = desk.node("osl-h100-02")
    assert (row.owner, row.reason) == ("outside:slurm@osl:root", "xid|79, gpu 3")

    plan = desk.resume("osl-h100-02")
    assert not plan.nodes
    assert "xid|79" in plan.skipped[0].skip
    await desk.until(lambda: True)
    assert bed.state("osl-h100-02") == "idle+drain"

    desk.apply(desk.resume("osl-h100-02", take_over=True))
    await desk.until(lambda: bed.takes_work("osl-h100-02"))


async def test_what_somebody_resumes_there_is_not_drained_again(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: len(_hosts(desk)) == 4)
    desk.drain("osl-h100-03")
    await desk.until(lambda: desk.node("osl-h100-03").admin is Admin.DRAINED)
    bed("scontrol", "update", "nodename=osl-h100-03", "state=resume")
    await desk.until(lambda: desk.node("osl-h100-03").admin is Admin.IN_SERVICE)
    with desk.db.read() as conn:
        (entry,) = [e for e in list_audit(conn, subject="osl-h100-03") if e.verb == "resume"]
    assert str(entry.who) == "outside:slurm@osl"
    await desk.until(lambda: True)
    assert bed.takes_work("osl-h100-03")


async def test_a_dead_controller_is_an_old_answer_and_not_a_dead_fleet(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: len(_hosts(desk)) == 4)
    before = _hosts(desk)
    bed.kill("ctld")
    try:
        assert not await desk.lane.round()
        assert desk.shell.begun() == ["ping"], "scontrol ping tells at once; every other client waits"
        assert _hosts(desk) == before
        with desk.db.read() as conn:
            (endpoint,) = list_outside_endpoints(conn)
            (finding,) = list_findings(conn)
        assert endpoint.ok_at is not None
        assert "does not answer" in endpoint.trouble
        assert finding.rule == "scheduler.silent"
        assert desk.node("osl-h100-01").admin is Admin.IN_SERVICE
        desk.drain("osl-h100-01")
        await desk.lane.round()
        assert desk.node("osl-h100-01").admin is Admin.DRAINING, "wished, but nobody was told yet"
    finally:
        bed.control("fault", "revive", "ctld")
        bed.wait(bed.answers)
    await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.DRAINED)
    with desk.db.read() as conn:
        assert not [f for f in list_findings(conn) if f.rule == "scheduler.silent"]


async def test_the_same_nodes_in_three_partitions_are_read_once(bed: Bed, desk: Desk) -> None:
    view = await desk.backend.read()
    assert tuple(view.nodes) == NODES
    assert set(view.partitions["all"]) == set(NODES)
    assert {n.cards for n in view.nodes.values()} == {8}
    assert re.fullmatch(r"\d\d\.\d\d\.\d+", view.version)
    assert not view.jobs


async def test_jobs_reservations_and_what_is_refused(bed: Bed, desk: Desk) -> None:
    backend = desk.backend
    assert Capability.DRAIN in await backend.capabilities()
    start = int(time.time()) + 600
    name = await backend.reserve("r-1", ["osl-h100-02"], start, start + 600, users=(), maint=True)
    job = await backend.submit(
        "#!/bin/sh\nsleep 600\n", name="probe", partition="osl-h100", nodes=1, cards=2, duration_s=600, mark="o-1"
    )
    bed.wait(lambda: bed("squeue", "-h", "-j", job, "-o", "%T") == "RUNNING")
    view = await backend.read()
    (held,) = view.reservations
    assert (held.name, held.hosts, held.start_at, held.ours) == (name, ("osl-h100-02",), start, True)
    (seen,) = view.jobs
    assert (seen.id, seen.cards, len(seen.hosts)) == (job, 2, 1)
    assert view.nodes[seen.hosts[0]].cards_used == 2
    await backend.cancel(job)
    await backend.unreserve(name)
    with pytest.raises(NotFoundError):
        await backend.cancel("987654")
    with pytest.raises(NotFoundError):
        await backend.drain("nosuch", "x")
    with pytest.raises(NotFoundError):
        await backend.read_node("nosuch")
    with pytest.raises(ConflictError):
        await backend.resume("osl-h100-03")
    with pytest.raises(ConflictError):
        await backend.unreserve("m1")
    assert not [a for a in await backend.diagnose() if a.level != "ok"]


async def test_jobs_are_joined_to_their_cards(bed: Bed, desk: Desk) -> None:
    """Jobs that share a node are asked for once; a count without indices stays unknown, unless it is all of them."""
    first, second = bed.job("osl-h100-01", 2, "-n1"), bed.job("osl-h100-01", 3, "-n1")
    both = bed.job("osl-h100-02", 8, "-N2", "-w", "osl-h100-02,osl-h100-03")
    some = bed.job("szx-910b-01", 4, "-n1")
    jobs = {j.id: j.places for j in (await desk.backend.read()).jobs}
    assert {len(jobs[first]["osl-h100-01"]), len(jobs[second]["osl-h100-01"])} == {2, 3}
    assert not set(jobs[first]["osl-h100-01"]) & set(jobs[second]["osl-h100-01"])
    assert jobs[both] == {"osl-h100-02": tuple(range(8)), "osl-h100-03": tuple(range(8))}
    assert not jobs[some]
    bed("scancel", some)
    bed.wait(lambda: bed.state("szx-910b-01") == "idle")
    every = bed.job("szx-910b-01", 8, "-n1")
    asked = len(desk.shell.asked)
    jobs = {j.id: j.places for j in (await desk.backend.read()).jobs}
    assert jobs[every] == {"szx-910b-01": tuple(range(8))}
    assert len(desk.shell.asked) == asked + 1, "what is known is not asked for again"


async def test_a_maintenance_reservation_is_maintenance(bed: Bed, desk: Desk) -> None:
    bed(
        *("scontrol", "create", "reservation", "reservationname=m1", "starttime=now", "duration=60"),
        *("users=root", "flags=maint,ignore_jobs", "nodes=osl-h100-02"),
    )
    await desk.until(lambda: desk.node("osl-h100-02").admin is Admin.MAINTENANCE)
    assert desk.node("osl-h100-02").reason == "reservation m1"


def _hosts(desk: Desk) -> dict[str, Admin]:
    with desk.db.read() as conn:
        return {host: state.state for host, state in list_outside(conn).items()}


async def test_a_deadline_that_is_past_ends_the_job_there(bed: Bed, desk: Desk) -> None:
    job = bed.job("osl-h100-01", 4)
    await desk.until(lambda: desk.node("osl-h100-01").jobs == (f"{job} root",))
    plan = plan_drain(
        *(desk.db, desk.inventory, "osl-h100-01", "hw: fan 3"),
        who=PERSON,
        now=desk.now,
        config=desk.config,
        mode=DrainMode.NOW,
    )
    desk.apply(plan)
    await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.DRAINED)
    assert not bed("squeue", "-h", "-j", job) or "COMPLETING" in bed("squeue", "-h", "-j", job, "-o", "%T")
    with desk.db.read() as conn:
        (order,) = list_orders(conn, only_open=False)
    assert (order.state, order.body["job"]) == (StepState.DONE, job)


async def test_jobs_are_submitted_and_cancelled_through_orders(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: len(_hosts(desk)) == 4)
    more = {"now": desk.now, "name": "probe", "partition": "szx-910b", "nodes": 1, "cards": 0, "duration_s": 600}
    submit_job(desk.db, desk.config, "slurm@osl", "#!/bin/sh\nexec sleep 600\n", PERSON, **more)

    def running() -> list[OutsideJob]:
        with desk.db.read() as conn:
            return list_jobs(conn, running=True)

    await desk.until(lambda: bool(running()))
    (job,) = running()
    assert job.hosts == ("szx-910b-01",)
    cancel_job(desk.db, find_job(desk.db, job.id), PERSON, now=desk.now)
    await desk.until(lambda: not running())
    submit_job(desk.db, desk.config, "slurm@osl", "#!/bin/sh\n", PERSON, **{**more, "partition": "nosuch"})
    await desk.lane.act()
    with desk.db.read() as conn:
        states = [o.state for o in list_orders(conn, only_open=False)]
        (failed,) = [o for o in list_orders(conn, only_open=False) if o.state is StepState.FAILED]
    assert states.count(StepState.DONE) == 2
    assert "invalid partition" in failed.answer


async def test_what_is_reserved_here_is_held_there_and_given_back(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: len(_hosts(desk)) == 4)
    held = reserve(
        *(desk.db, desk.inventory, "osl-h100-03", "root"),
        who=PERSON,
        now=desk.now,
        start_at=desk.now,
        end_at=desk.now + 3600,
    )
    await desk.until(lambda: "reserved" in bed.state("osl-h100-03"))
    assert f"ReservationName=fleetctl_{held.id}" in bed("scontrol", "-o", "show", "reservation")
    bed("scontrol", "create", "reservation", "reservationname=theirs", "starttime=now+3600", "duration=60",
        "users=root", "nodes=osl-h100-02")  # fmt: skip
    unreserve(desk.db, held.id, PERSON, now=desk.now)
    await desk.until(lambda: f"fleetctl_{held.id}" not in bed("scontrol", "-o", "show", "reservation"))
    assert "ReservationName=theirs" in bed("scontrol", "-o", "show", "reservation")
    await desk.lane.round()
    with desk.db.read() as conn:
        assert [r.id for r in load_reservations(conn).rows] == ["slurm@osl/theirs"]


async def test_the_engine_and_the_commands_drive_it(bed: Bed, tmp_path: Path) -> None:
    """`fleetctl poll`, `drain`, `nodes`, `resume` as a person types them, each a process of its own."""
    settings = tmp_path / "fleet.toml"
    settings.write_text(FLEET.format(path=tmp_path / "fleet.db", bin=bed.bin))

    def fleetctl(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "fleetctl", "--config", str(settings), *words],
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def admin() -> str:
        (row,) = json.loads(fleetctl("nodes", "osl-h100-01", "-o", "json"))
        return str(row["admin"])

    job = bed.job("osl-h100-01")
    fleetctl("poll")
    assert job in fleetctl("jobs")
    fleetctl("drain", "osl-h100-01", "--reason", "hw: fan 3", "--yes", "--count", "1")
    fleetctl("poll")
    assert admin() == "draining"
    bed("scancel", job)
    bed.wait(lambda: bed.state("osl-h100-01") == "idle+drain")
    fleetctl("poll")
    assert admin() == "drained"
    fleetctl("resume", "osl-h100-01", "--yes")
    fleetctl("poll")
    assert bed.takes_work("osl-h100-01")
    assert admin() == "in_service"


FLEET = """
[store]
path = "{path}"
[[sites]]
name = "osl"
max_drain_pct = 100
[[hosts]]
nodes = "osl-h100-[01-03]"
site = "osl"
transport = "local"
[[schedulers]]
site = "osl"
kind = "slurm"
bin = "{bin}"
"""


@pytest.mark.parametrize("what", ["ctld", "munge"])
async def test_a_daemon_that_hangs_costs_seconds_and_no_state(bed: Bed, desk: Desk, what: str) -> None:
    await desk.until(lambda: len(_hosts(desk)) == 4)
    before = _hosts(desk)
    bed.control("fault", "hang", what)
    try:
        assert not await desk.lane.round()
        assert desk.shell.begun() == ["ping"], "every other client waits for ten seconds, or for fifty"
        assert _hosts(desk) == before
    finally:
        bed.control("fault", "revive", what)
        bed.wait(bed.answers)
    await desk.until(lambda: not desk.lane.silent)
