"""Leases that the real Slurm gives: asked for by `alloc`, held by a job, renewed, given back, found again after a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleetctl.config.schema import SchedulerClass
from fleetctl.errors import ConflictError
from fleetctl.model.lease import LeaseState, Request, RequestState, Shape
from fleetctl.operations.allocate import allocate, make_request, release, renew
from fleetctl.operations.orders import cancel_job, find_job, submit_job
from fleetctl.scheduler.backend import Allocation
from fleetctl.store.leases import get_lease
from fleetctl.store.outside import list_jobs, list_orders
from fleetctl.store.outside_requests import list_outside_requests, set_outside_request
from fleetctl.store.requests import get_request

from .conftest import PERSON, SHARED, Bed, Desk

pytestmark = pytest.mark.peers


def ask(desk: Desk, cls: str = "normal", **more: object) -> Request:
    shape = Shape(**{"nodes": 1, "cards": 2, "chip": "", **more})  # type: ignore[arg-type]
    request = make_request(desk.config, "root", shape, who=PERSON, now=desk.now, duration_s=3600, cls=cls)
    return allocate(desk.db, desk.inventory, request, PERSON, now=desk.now, config=desk.config)


def found(desk: Desk, request: Request) -> Request:
    with desk.db.read() as conn:
        answer = get_request(conn, request.id)
    assert answer is not None
    return answer


async def test_asked_given_renewed_and_given_back(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: desk.node("szx-910b-01").outside is not None)
    asked_at = int(desk.now)
    request = ask(desk, site="szx", cards=8)
    assert request.state is RequestState.QUEUED
    await desk.until(lambda: found(desk, request).state is RequestState.GRANTED)
    name = found(desk, request).lease
    assert name is not None
    with desk.db.read() as conn:
        lease, (row,) = get_lease(conn, name), list_outside_requests(conn)
    assert lease is not None
    assert lease.hosts == ("szx-910b-01",)
    assert len(lease.holds) == 8
    assert lease.end_at is not None
    assert asked_at + 3600 <= lease.end_at <= desk.now + 3660  # an hour from its start, in whole minutes
    assert "npu" in bed("squeue", "-h", "-j", row.job, "-O", "tres-per-node:")

    renew(desk.db, name, PERSON, now=desk.now, end_at=lease.end_at + 3600, config=desk.config)
    await desk.until(lambda: bed("squeue", "-h", "-j", row.job, "-o", "%l") == "2:00:00")
    bed("scontrol", "update", f"jobid={row.job}", "timelimit=30")

    def end_at() -> int:
        with desk.db.read() as conn:
            now = get_lease(conn, name)
        assert now is not None
        return now.end_at or 0

    await desk.until(lambda: end_at() < desk.now + 1900)
    release(desk.db, name, PERSON, now=desk.now, config=desk.config)
    await desk.until(lambda: not bed("squeue", "-h", "-j", row.job, "-t", "running,pending"))
    await desk.until(lambda: not _rows(desk))


def _rows(desk: Desk) -> list[object]:
    with desk.db.read() as conn:
        return list(list_outside_requests(conn))


async def test_whole_nodes_and_a_job_cancelled_there(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: desk.node("osl-h100-01").outside is not None)
    request = ask(desk, cards=0, nodes=2, hosts=("osl-h100-02", "osl-h100-03"))
    await desk.until(lambda: found(desk, request).state is RequestState.GRANTED)
    assert desk.node("osl-h100-02").leases == (found(desk, request).lease,)
    assert not desk.node("osl-h100-01").leases
    with desk.db.read() as conn:
        (row,) = list_outside_requests(conn)
        lease = get_lease(conn, found(desk, request).lease or "")
    assert lease is not None
    assert len(lease.holds) == 16
    bed("scancel", row.job)
    await desk.until(lambda: not _rows(desk))
    with desk.db.read() as conn:
        lease = get_lease(conn, lease.id)
    assert lease is not None
    assert (lease.state, lease.ended_why) == (LeaseState.ENDED, f"job {row.job} is over in slurm@osl: cancelled")


async def test_a_crash_between_sbatch_and_its_record_submits_once(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: desk.node("osl-h100-01").outside is not None)
    request = ask(desk, hosts=("osl-h100-01",))
    with desk.db.read() as conn:
        (row,) = list_outside_requests(conn)
    # What the engine does before it dies: begun, told, and nothing noted.
    with desk.db.write() as conn:
        assert set_outside_request(conn, row, replace(row, state="doing", attempts=1, told_at=int(desk.now)))
    job = await desk.backend.hold(Allocation(1, 2, "root", "osl-h100"), row.mark)
    await desk.until(lambda: found(desk, request).state is RequestState.GRANTED)
    assert bed("squeue", "-h", "-o", "%i") == job
    assert await desk.backend.find(row.mark) == job
    assert await desk.backend.find("r-none") == ""


async def test_what_slurm_refuses_is_said(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: desk.node("osl-h100-01").outside is not None)
    request = ask(desk, hosts=("osl-h100-01",), cards=8)
    with desk.db.write() as conn:
        conn.execute("UPDATE outside_request SET body = json_set(body, '$.partition', 'nosuch')")
    await desk.until(lambda: found(desk, request).state is RequestState.IMPOSSIBLE)
    assert "invalid partition" in found(desk, request).note


async def test_parts_of_a_card(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: desk.node(SHARED).outside is not None)
    with pytest.raises(ConflictError, match="gives whole cards only"):
        ask(desk, hosts=("osl-h100-01",), cards=1, milli=250)
    first, second = (ask(desk, hosts=(SHARED,), cards=1, milli=milli) for milli in (250, 300))
    await desk.until(lambda: {found(desk, r).state for r in (first, second)} == {RequestState.GRANTED})
    told = bed("squeue", "-h", "-o", "%b").split()
    assert sorted(t.replace("/", ":") for t in told) == ["gres:shard:1", "gres:shard:2"], "never less than was asked"
    with desk.db.read() as conn:
        holds = [get_lease(conn, found(desk, r).lease or "") for r in (first, second)]
    assert [[h.milli for h in lease.holds] for lease in holds if lease] == [[250], [500]]
    cards = [lease.holds[0].index for lease in holds if lease]
    assert None not in cards, "Slurm says on which card each is"


async def test_a_class_arrives_or_is_said_not_to(bed: Bed, tmp_path: Path) -> None:
    classes = (SchedulerClass("spot", partition="all", nice=77, requeue=True), SchedulerClass("urgent", qos="high"))
    desk = Desk(tmp_path, bed, classes=classes)
    with desk.db:
        await desk.until(lambda: desk.node("osl-h100-01").outside is not None)
        spot = ask(desk, hosts=("osl-h100-01",), cls="spot")
        await desk.until(lambda: found(desk, spot).state is RequestState.GRANTED)
        job = bed("scontrol", "show", "job", bed("squeue", "-h", "-o", "%i"))
        assert "Nice=77 " in job
        assert "Partition=all " in job
        urgent = ask(desk, hosts=("osl-h100-02",), cls="urgent")
        await desk.until(lambda: found(desk, urgent).state is RequestState.IMPOSSIBLE)
        # 22.05 drops what it has no accounting for at once, 24.11 and 26.05 when the job begins.
        assert "without QOS high" in found(desk, urgent).note
        await desk.until(lambda: not desk.node("osl-h100-02").jobs)
        assert any("no accounting" in a.text for a in await desk.backend.diagnose())
        order = submit_job(
            *(desk.db, desk.config, "slurm@osl", "#!/bin/sh\nexec sleep 600\n", PERSON),
            now=desk.now,
            name="x",
            partition="",
            nodes=1,
            cards=1,
            duration_s=600,
            cls="spot",
        )
        await desk.until(lambda: _answer(desk, order.id) != "")
        job = bed("scontrol", "show", "job", _answer(desk, order.id))
        assert "Nice=77 " in job
        assert "Requeue=1 " in job
    assert len(bed("squeue", "-h", "-o", "%i").split()) == 2, "what Slurm took otherwise was cancelled"


def _answer(desk: Desk, order: str) -> str:
    with desk.db.read() as conn:
        return next(o.answer for o in list_orders(conn, only_open=False) if o.id == order)


async def test_arrays_and_jobs_of_several_kinds(bed: Bed, desk: Desk) -> None:
    sleep = "#!/bin/sh\nexec sleep 600\n"
    bed("sbatch", "-p", "osl-h100", "--gres=gpu:8", "-N3", "--array=1-9%1", "-o", "/dev/null", stdin=sleep)
    parts = "#!/bin/sh\n#SBATCH -N1 -p osl-h100 -H\n#SBATCH hetjob\n#SBATCH -N1 -p szx-910b\nexec sleep 600\n"
    bed("sbatch", "-o", "/dev/null", stdin=parts)
    held = bed("sbatch", "-H", "-N1", "-o", "/dev/null", "--parsable", stdin=sleep)

    def waiting() -> dict[str, str]:
        with desk.db.read() as conn:
            return {j.id: j.reason for j in list_jobs(conn, running=False)}

    await desk.until(lambda: len(waiting()) == 4)
    array = next(i for i in waiting() if "[" in i)
    part = next(i for i in waiting() if i.endswith("+1"))
    assert part.replace("+1", "+0") in waiting(), "both parts stand in the list"
    assert waiting()[held] == "JobHeldUser"
    for job in (array, part, held):
        cancel_job(desk.db, find_job(desk.db, job), PERSON, now=desk.now)
    await desk.until(lambda: not waiting())
