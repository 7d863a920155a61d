"""Leases that another scheduler gives: asked for there, granted when its job runs, over when the job is.

The row is `doing` before anything is submitted and carries a mark that the job gets. After a crash or a lost answer the
job is looked for by that mark, and only when it is not there, and could not come any more, it is submitted again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from fleetctl.config.schema import Config
from fleetctl.errors import (
    ConflictError,
    FleetctlError,
    NotFoundError,
    ParseError,
    TimedOutError,
    UnreachableError,
)
from fleetctl.inventory.nodesets import expand
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.lease import HOST_SLOT, WHOLE, Hold, Lease, LeaseState, Request, RequestState
from fleetctl.model.outside import OPEN_END, OutsideRequest
from fleetctl.scheduler.backend import Allocation, Backend, BackendJob, BackendView, Capability
from fleetctl.scheduler.leasing import Quotas, end, lease_id
from fleetctl.scheduler.terms import parts_given
from fleetctl.store.audit import append_audit
from fleetctl.store.capacity import list_host_facts
from fleetctl.store.connections import Connections
from fleetctl.store.leases import get_lease, insert_lease, renew_lease
from fleetctl.store.outside_requests import list_outside_requests, marks_over, set_outside_request
from fleetctl.store.requests import decide_request, get_request, note_request

ATTEMPTS = 3
LATE_S = 30  # on top of a command's own limit: so long a submit that was cut off may still come to effect
AGAIN_S = 30  # a cancelled job may take so long to leave its nodes
FATES = 200  # jobs asked about in one question
_CANCELLED = "cancelled"
_LOST = (UnreachableError, TimedOutError, ParseError)  # nobody knows whether it was done


async def serve(
    db: Connections,
    backend: Backend,
    config: Config,
    partitions: Mapping[str, tuple[str, ...]],
    now: int,
    *,
    late_s: float = LATE_S,
) -> None:
    """Tell the scheduler what is open: jobs to submit, to move the end of, to cancel. Cheap when nothing is.

    partitions: as it named them last; late_s: how long after a submit was begun its job may still appear.
    """
    with db.read() as conn:
        rows = list_outside_requests(conn, backend=backend.name)
    for row in rows:
        row = _withdrawn(db, row, now)
        if row.state == "doing" and now - (row.told_at or 0) >= late_s:
            row = await _look_for(db, backend, row, now)
        if row.state == "wanted":
            await _submit(db, backend, config, partitions, row, now)
        elif row.state == "ending" and row.job:
            await _cancel(db, backend, row, now)
        elif row.state == "told" and row.end_at is not None:
            await _move_end(db, backend, row, now)


def _withdrawn(db: Connections, row: OutsideRequest, now: int) -> OutsideRequest:
    """The row after a look at its request and its lease: what was given back here must end there."""
    if row.state == "ending":
        return row
    with db.read() as conn:
        request, lease = get_request(conn, row.request), get_lease(conn, lease_id(row.request))
    late = (
        request is not None
        and request.state is RequestState.QUEUED
        and request.latest_start_at is not None
        and request.latest_start_at < now
    )
    waits = request is not None and request.state is RequestState.QUEUED and not late
    if waits or (lease is not None and lease.state is LeaseState.ACTIVE):
        return row
    if row.state == "doing":
        return row  # its job may exist without our knowing: found first, cancelled then
    new = replace(row, state="ending" if row.job else "over")
    with db.write() as conn:
        if late and decide_request(conn, row.request, RequestState.LAPSED, now, note="its latest start has passed"):
            append_audit(conn, now, _who(row), "lapsed", row.request, {"why": "its latest start has passed"})
        return new if set_outside_request(conn, row, new) else row


async def _submit(
    db: Connections,
    backend: Backend,
    config: Config,
    partitions: Mapping[str, tuple[str, ...]],
    row: OutsideRequest,
    now: int,
) -> None:
    with db.read() as conn:
        request = get_request(conn, row.request)
        over = "" if request is None else _over_quota(conn, config, request, row)
    if request is None:
        return
    if over or Capability.SUBMIT not in await backend.capabilities():
        _note(db, row, over or f"{backend.name} does not let us submit with these rights")
        return
    if row.attempts >= ATTEMPTS:
        _refuse(db, row, row.answer or f"{backend.name} gave no answer", now)
        return
    doing = replace(row, state="doing", attempts=row.attempts + 1, told_at=now)
    with db.write(durable=True) as conn:
        if not set_outside_request(conn, row, doing):
            return
    body = dict(row.body)
    allowed = set(expand(body.pop("hosts")))
    not_on = tuple(h for h in partitions.get(body["partition"], ()) if h not in allowed)
    try:
        job = await backend.hold(Allocation(**body, not_on=not_on), row.mark)
    except _LOST as error:
        _note(db, doing, f"{error}; looked for before it is asked again")
    except FleetctlError as error:
        _refuse(db, doing, str(error), now)
    else:
        _told(db, doing, job, now)


def _over_quota(conn: sqlite3.Connection, config: Config, request: Request, row: OutsideRequest) -> str:
    """Counts what waits there too: it will be held without anybody asking us again."""
    on_the_way = 0.0
    for other in list_outside_requests(conn):
        theirs = get_request(conn, other.request)
        waits = theirs is not None and theirs.state is RequestState.QUEUED and other.state in ("doing", "told")
        if theirs is not None and waits and other.request != row.request and theirs.tenant == request.tenant:
            on_the_way += _cards(theirs)
    return Quotas(conn, config).why_over(request.tenant, on_the_way + _cards(request))


def _cards(request: Request) -> float:
    return request.shape.nodes * request.shape.cards * request.shape.milli / WHOLE


async def _look_for(db: Connections, backend: Backend, row: OutsideRequest, now: int) -> OutsideRequest:
    """A submit whose answer was lost: its job, or another try."""
    try:
        job = await backend.find(row.mark)
    except FleetctlError:
        return row
    if job:
        return _told(db, row, job, now)
    new = replace(row, state="wanted")
    with db.write() as conn:
        return new if set_outside_request(conn, row, new) else row


def _told(db: Connections, row: OutsideRequest, job: str, now: int) -> OutsideRequest:
    new = replace(row, state="told", job=job, told_at=now, answer="")
    with db.write(durable=True) as conn:
        if not set_outside_request(conn, row, new):
            return row
        append_audit(conn, now, _who(row), "told_alloc", row.request, {"job": job, "scheduler": row.backend})
        note_request(conn, row.request, f"{row.backend} job {job}")
    return new


async def _cancel(db: Connections, backend: Backend, row: OutsideRequest, now: int) -> None:
    """Until the job is gone; the round in which it is missing closes the row."""
    if row.answer == _CANCELLED and now - (row.told_at or 0) < AGAIN_S:
        return  # it is on its way out: no hammering
    try:
        await backend.cancel(row.job)
    except NotFoundError:
        with db.write() as conn:
            set_outside_request(conn, row, replace(row, state="over"))
    except FleetctlError as error:
        _note(db, row, str(error))
    else:
        with db.write() as conn:
            set_outside_request(conn, row, replace(row, told_at=now, answer=_CANCELLED))


async def _move_end(db: Connections, backend: Backend, row: OutsideRequest, now: int) -> None:
    """What it refuses stays as it is there, and the lease follows its job at the next round."""
    with db.read() as conn:
        lease = get_lease(conn, lease_id(row.request))
    if lease is None or row.end_at is None:
        return
    answer = ""
    try:
        await backend.set_end(row.job, lease.start_at, None if row.end_at == OPEN_END else row.end_at)
    except _LOST as error:
        _note(db, row, str(error))
        return
    except FleetctlError as error:
        answer = str(error)
    with db.write() as conn:
        if set_outside_request(conn, row, replace(row, end_at=None, answer=answer)):
            verb = "backend_failed" if answer else "told_renew"
            append_audit(conn, now, _who(row), verb, lease.id, {"job": row.job, "end_at": row.end_at, "why": answer})


async def ask_fates(db: Connections, backend: Backend, view: BackendView) -> Mapping[str, str]:
    """What became of jobs of leases that this round does not show any more. Asked for only when there are some."""
    there = {job.id for job in view.jobs}
    with db.read() as conn:
        rows = list_outside_requests(conn, backend=backend.name)
    gone = [row.job for row in rows if row.state == "told" and row.job and row.job not in there]
    try:
        return await backend.fates(gone[:FATES]) if gone else {}
    except FleetctlError:
        return {}  # nice to know: the lease ends without it


def match_jobs(
    db: Connections,
    config: Config,
    backend: str,
    view: BackendView,
    began: int,
    fates: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Compare the round's jobs with what was asked for; jobs with a mark of ours that must not be there (a second one for
    the same request, one of a request that is over) are returned. began: when the round's question was asked; fates: what
    became of jobs that are gone, where it is known."""
    marked: dict[str, list[BackendJob]] = {}
    for job in view.jobs:
        if job.mark:
            marked.setdefault(job.mark, []).append(job)
    with db.read() as conn:
        rows = list_outside_requests(conn, backend=backend)
        lost = marks_over(conn, marked.keys() - {row.mark for row in rows}) if marked else set()
    now = int(view.at)
    over = [job.id for mark in sorted(lost) for job in marked[mark]]
    for row in rows:
        mine = marked.get(row.mark, [])
        if row.state == "doing" and mine:
            row = _told(db, row, min(mine, key=lambda j: (len(j.id), j.id)).id, now)
        own = next((j for j in mine if j.id == row.job), None)
        over += [j.id for j in mine if row.job and j.id != row.job]
        if row.job:
            _follow(db, config, row, own, began, now, fates.get(row.job, ""))
    return over


def next_step(
    row: OutsideRequest, job: BackendJob | None, request: Request | None, lease: Lease | None, began: int
) -> str:
    """What a round's answer means for one request: gone, wait, grant, unlike (it runs without its class), lost (it waits
    again), follow, or "" when all is as it should be. Pure."""
    active = lease is not None and lease.state is LeaseState.ACTIVE
    queued = request is not None and request.state is RequestState.QUEUED
    if job is None:
        return "gone" if row.told_at is not None and row.told_at < began else ""
    if row.state != "told":
        return ""
    if queued and job.hosts:
        # A cluster without accounting drops a QOS: at once up to 22.05, from 24.11 on when the job begins.
        return "unlike" if row.body.get("qos") and not job.qos else "grant"
    if queued:
        return "wait"
    # Its owner moved the end there, or ours was rounded to whole minutes.
    moved = lease is not None and job.end_at != lease.end_at and (job.end_at is None or job.end_at > lease.start_at)
    if active and not job.hosts:
        return "lost"
    return "follow" if active and moved and row.end_at is None else ""


def _follow(
    db: Connections, config: Config, row: OutsideRequest, job: BackendJob | None, began: int, now: int, fate: str
) -> None:
    def step(conn: sqlite3.Connection) -> tuple[str, Request | None, Lease | None]:
        request, lease = get_request(conn, row.request), get_lease(conn, lease_id(row.request))
        return next_step(row, job, request, lease, began), request, lease

    with db.read() as conn:
        todo = step(conn)[0]
    if todo == "unlike":  # and as its request is over, the next round cancels the job
        _refuse(db, row, f"{row.backend} runs job {row.job} without QOS {row.body['qos']}: it has no accounting?", now)
    if todo in ("", "unlike"):
        return
    try:
        with db.write() as conn:
            what, request, lease = step(conn)
            if what == "gone":
                _gone(conn, config, row, request, lease, now, fate)
            elif what == "wait" and job is not None:
                note_request(conn, row.request, _waits(row, job))
            elif what == "grant" and job is not None and request is not None:
                _grant(conn, request, row, job, now)
            elif what == "lost" and job is not None and lease is not None:
                # Requeued there: it would come back on other nodes, so it is cancelled, and its tenant asks anew.
                end(
                    conn, config, lease.id, now, _who(row), f"job {row.job} was requeued in {row.backend}: {job.reason}"
                )
            elif what == "follow" and job is not None and lease is not None:
                renew_lease(conn, lease.id, job.end_at, lease.version)
    except ConflictError as error:
        # Somebody holds these cards by our own record: never two, so what came later goes.
        why = f"{row.backend} job {row.job}: {error}"
        with db.write() as conn:
            decide_request(conn, row.request, RequestState.CANCELLED, now, note=why)
            append_audit(conn, now, _who(row), "backend_failed", row.request, {"why": why})


def _waits(row: OutsideRequest, job: BackendJob) -> str:
    return f"{row.backend} job {job.id}: {job.reason or job.state}" + (
        f"; can start at {job.start_at}" if job.start_at else ""
    )


def _gone(
    conn: sqlite3.Connection,
    config: Config,
    row: OutsideRequest,
    request: Request | None,
    lease: Lease | None,
    now: int,
    fate: str,
) -> None:
    """The job is not there any more. fate: what became of it, "" where nobody says."""
    if not set_outside_request(conn, row, replace(row, state="over", end_at=None)):
        return
    why = f"job {row.job} is over in {row.backend}" + (f": {fate}" if fate else "")
    if lease is not None and lease.state is LeaseState.ACTIVE:
        end(conn, config, lease.id, now, _who(row), why)
    elif request is not None and decide_request(
        conn, request.id, RequestState.CANCELLED, now, note=f"{why}, it never ran"
    ):
        append_audit(conn, now, _who(row), "withdraw", request.id, {"why": why})


def _grant(conn: sqlite3.Connection, request: Request, row: OutsideRequest, job: BackendJob, now: int) -> None:
    """The lease of a job that runs, in one transaction with its holds. Raises ConflictError when a card is taken."""
    lease = Lease(
        id=lease_id(request.id),
        request=request.id,
        tenant=request.tenant,
        who=request.who,
        state=LeaseState.ACTIVE,
        start_at=job.start_at or now,
        end_at=job.end_at,
        holds=_holds(conn, request, job, str(row.body.get("parts", ""))),
        cls=request.cls,
        shape=request.shape,
    )
    if not decide_request(conn, request.id, RequestState.GRANTED, now, lease=lease.id):
        return  # withdrawn meanwhile: its job is cancelled
    insert_lease(conn, lease)
    body = {
        "request": request.id,
        "tenant": lease.tenant,
        "end_at": lease.end_at,
        "scheduler": row.backend,
        "job": job.id,
        "holds": [[h.host, h.card, h.milli] for h in lease.holds],
    }
    append_audit(conn, now, _who(row), "grant", lease.id, body)


def _holds(conn: sqlite3.Connection, request: Request, job: BackendJob, parts: str) -> tuple[Hold, ...]:
    """Its cards by the names we know them by, and what of each: parts, as the scheduler shares them. Where the scheduler tells no index they are counted, under the job's name;
    the node's own slot, where it does not even tell how many."""
    facts = list_host_facts(conn, job.hosts)
    holds: list[Hold] = []
    milli = parts_given(parts, request.shape.milli) if parts else WHOLE
    for host in job.hosts:
        keys = {c.number: c.key for c in facts[host].cards} if host in facts else {}
        if host in job.places:
            names = {str(i): keys.get(str(i), f"card {i}") for i in job.places[host]}
            holds += [Hold(host, key, milli, index) for index, key in names.items()]
            continue
        count = job.cards // len(job.hosts) if job.cards else request.shape.cards
        holds += [Hold(host, f"job {job.id}/{n}", milli) for n in range(count)] or [Hold(host, HOST_SLOT, WHOLE)]
    return tuple(holds)


def _note(db: Connections, row: OutsideRequest, text: str) -> None:
    with db.write() as conn:
        note_request(conn, row.request, text)
        set_outside_request(conn, row, replace(row, answer=text))


def _refuse(db: Connections, row: OutsideRequest, why: str, now: int) -> None:
    with db.write() as conn:
        if set_outside_request(conn, row, replace(row, state="over", answer=why)):
            decide_request(conn, row.request, RequestState.IMPOSSIBLE, now, note=why)
            append_audit(conn, now, _who(row), "backend_failed", row.request, {"why": why})


def _who(row: OutsideRequest) -> Actor:
    return Actor(ActorKind.OUTSIDE, row.backend)
