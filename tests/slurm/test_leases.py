"""Leases that the real Slurm gives: asked for by `alloc`, held by a job, renewed, given back, found again after a crash."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetctl.model.lease import LeaseState, Request, RequestState, Shape
from fleetctl.operations.allocate import allocate, make_request, release, renew
from fleetctl.scheduler.backend import Allocation
from fleetctl.store.leases import get_lease
from fleetctl.store.outside_requests import list_outside_requests, set_outside_request
from fleetctl.store.requests import get_request

from .conftest import PERSON, Bed, Desk

pytestmark = pytest.mark.peers


def ask(desk: Desk, **more: object) -> Request:
    shape = Shape(**{"nodes": 1, "cards": 2, "chip": "", **more})  # type: ignore[arg-type]
    request = make_request(desk.config, "root", shape, who=PERSON, now=desk.now, duration_s=3600)
    return allocate(desk.db, desk.inventory, request, PERSON, now=desk.now, config=desk.config)


def found(desk: Desk, request: Request) -> Request:
    with desk.db.read() as conn:
        answer = get_request(conn, request.id)
    assert answer is not None
    return answer


async def test_asked_given_renewed_and_given_back(bed: Bed, desk: Desk) -> None:
    await desk.until(lambda: desk.node("szx-910b-01").outside is not None)
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
    assert abs(lease.end_at - desk.now - 3600) < 120
    assert "npu" in bed("squeue", "-h", "-j", row.job, "-O", "tres-per-node:")

    renew(desk.db, name, PERSON, now=desk.now, end_at=desk.now + 7200, config=desk.config)
    await desk.until(lambda: bed("squeue", "-h", "-j", row.job, "-o", "%l") in ("2:00:00", "2:01:00"))
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
    assert (lease.state, lease.ended_why) == (LeaseState.ENDED, f"job {row.job} is over in slurm@osl")


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
