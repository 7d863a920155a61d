"""What an outside scheduler is asked besides drain and resume: cancel and submit jobs, hold nodes for a time.

Cancels may be repeated, so a crash repeats them. A submit may not: one that was begun and has no answer is looked for by
the mark its job carries, once it cannot come any more; only what is not there is submitted again.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from fleetctl.errors import FleetctlError, NotFoundError, ParseError, TimedOutError, UnreachableError
from fleetctl.model.admin import Actor, ActorKind, DrainMode
from fleetctl.model.lease import Reservation
from fleetctl.model.outside import OutsideOrder
from fleetctl.model.plan import StepState
from fleetctl.model.states import Admin
from fleetctl.scheduler.backend import MARK, Backend, BackendView, Capability
from fleetctl.scheduler.carry_out import EMPTYING
from fleetctl.scheduler.outside_leases import LATE_S
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.nodes import list_admin, list_outside
from fleetctl.store.outside import append_order, list_jobs, set_order
from fleetctl.store.reservations import close_reservation, list_reservations
from fleetctl.store.scheduler_facts import get_fact, set_fact

ATTEMPTS = 3
REFUSED_S = 60  # after a reservation was refused
_DRAINER = Actor(ActorKind.RULE, "drainer")


async def carry_out(
    db: Connections, backend: Backend, order: OutsideOrder, now: int, *, late_s: float = LATE_S
) -> StepState:
    """One order, once. What the endpoint refuses is its answer; what it did not hear is tried again, three times.

    late_s: how long after a submit was begun its job may still appear.
    """
    if order.state is StepState.DOING and order.verb == "submit":
        if now - (order.moved_at or 0) < late_s:
            return StepState.DOING
        try:
            job = await backend.find(order.id)
        except FleetctlError:
            return StepState.DOING  # nobody knows
        if job:
            return _close(db, order, StepState.DONE, now, job)
    if order.attempts >= ATTEMPTS:
        return _close(db, order, StepState.FAILED, now, order.answer or "no answer")
    with db.write(durable=True) as conn:
        if not set_order(conn, order, StepState.DOING, now):
            return StepState.PENDING
    order = replace(order, state=StepState.DOING, attempts=order.attempts + 1)
    try:
        if order.verb == "submit":
            answer = await backend.submit(**order.body, mark=order.id)
        else:
            await backend.cancel(order.body["job"])
            answer = "cancelled"
    except NotFoundError as error:
        gone = order.verb == "cancel"  # ended meanwhile: that is what was wanted
        return _close(db, order, StepState.DONE if gone else StepState.FAILED, now, str(error))
    except (UnreachableError, TimedOutError, ParseError) as error:
        if order.verb == "submit":
            return StepState.DOING  # looked for before it is tried again
        with db.write() as conn:
            set_order(conn, order, StepState.PENDING, now, str(error))
        return StepState.PENDING
    except FleetctlError as error:
        return _close(db, order, StepState.FAILED, now, str(error))
    return _close(db, order, StepState.DONE, now, answer)


def _close(db: Connections, order: OutsideOrder, state: StepState, now: int, answer: str) -> StepState:
    with db.write() as conn:
        if set_order(conn, order, state, now, answer):
            body = {"order": order.id, "state": state.value, "answer": answer, "job": order.body.get("job", "")}
            append_audit(conn, now, order.who, f"{order.verb}_job", order.backend, body)
    return state


def order_ends(db: Connections, backend: str, now: int) -> list[str]:
    """Ask for the end of jobs on nodes whose drain has a deadline that is past; ids of the orders that are new.

    The person who set the deadline has confirmed it. Each job is asked for once per drain.
    """
    with db.read() as conn:
        past = [
            r
            for r in list_admin(conn).values()
            if r.wish in EMPTYING
            and r.mode is not DrainMode.WAIT
            and r.deadline_at is not None
            and r.deadline_at <= now
        ]
        outside = list_outside(conn) if past else {}
        due = {
            r.host: r
            for r in past
            # Only where the drain was told: otherwise another job would follow.
            if r.host in outside and outside[r.host].backend == backend and outside[r.host].state is Admin.DRAINING
        }
        jobs = [j for j in list_jobs(conn) if j.backend == backend and due.keys() & set(j.hosts)] if due else []
    if not jobs:
        return []
    new = []
    with db.write() as conn:
        for job in jobs:
            host = next(h for h in job.hosts if h in due)
            record = due[host]
            order = OutsideOrder(
                f"{record.plan}/{record.version}/{job.id}",
                backend,
                "cancel",
                record.owner or _DRAINER,
                now,
                {"job": job.id},
            )
            if append_order(conn, order):
                body = {"job": job.id, "user": job.user, "why": f"{host} is drained, its deadline has passed"}
                append_audit(conn, now, _DRAINER, "end_job", host, body)
                new.append(order.id)
    return new


async def match_windows(
    db: Connections,
    backend: Backend,
    view: BackendView,
    known: Container[str],
    now: int,
    refused: dict[str, int] | None = None,
) -> None:
    """Make there what was reserved here on its nodes, and give back there what was given back here.

    Compared afresh each round, so a crash or a lost answer costs a round. What it refuses is said once and asked again a
    minute later (refused: name -> when it was, kept by the caller). What somebody removed there is over here too.
    """
    refused = {} if refused is None else refused
    with db.read() as conn:
        wanted = {
            _window_name(r): (r, tuple(h for h in r.hosts if h in view.nodes and h in known))
            for r in list_reservations(conn)
            if r.end_at is None or r.end_at > now
        }
        # Another fleetctl may speak to the same endpoint: only what this store knows is given back.
        mine = {_window_name(r) for r in list_reservations(conn, only_planned=False)}
        seen = set(get_fact(conn, f"windows/{backend.name}") or ())
    there = {w.name for w in view.reservations if w.ours}
    for name in seen & (wanted.keys() - there):
        held, _hosts = wanted.pop(name)
        if held.end_at is None or held.end_at > now + 60:  # else its clock is a little before ours
            _removed_there(db, backend.name, held, now)
    if seen != there & mine:
        with db.write() as conn:
            set_fact(conn, f"windows/{backend.name}", sorted(there & mine))
    missing = [(name, r, hosts) for name, (r, hosts) in wanted.items() if hosts and name not in there]
    over = sorted((there & mine) - {name for name, (_r, hosts) in wanted.items() if hosts})
    missing = [one for one in missing if now - refused.get(one[0], 0) >= REFUSED_S]
    over = [name for name in over if now - refused.get(name, 0) >= REFUSED_S]
    if not missing and not over:
        return
    if Capability.RESERVE not in await backend.capabilities():
        _say_once(db, backend.name, "reservations", f"{backend.name} does not let us reserve with these rights", now)
        return
    for name, held, hosts in missing:
        try:
            await backend.reserve(
                name, hosts, max(held.start_at, now), held.end_at, users=(held.tenant,), maint=held.kind == "maint"
            )
        except FleetctlError as error:
            refused[name] = now
            _say_once(db, backend.name, held.id, str(error), now)
    for name in over:
        try:
            await backend.unreserve(name)
        except FleetctlError as error:
            refused[name] = now
            _say_once(db, backend.name, name, str(error), now)


def _removed_there(db: Connections, backend: str, held: Reservation, now: int) -> None:
    """The owner of the nodes has the last word: what he took away is not made again, and nobody is told it still holds."""
    with db.write() as conn:
        if close_reservation(conn, held.id, "cancelled"):
            body = {"why": f"removed in {backend} by somebody else", "plan": held.plan}
            append_audit(conn, now, Actor(ActorKind.OUTSIDE, backend), "unreserve", held.id, body)


def _window_name(reservation: Reservation) -> str:
    return f"{MARK}_{reservation.id}"


def _say_once(db: Connections, backend: str, subject: str, why: str, now: int) -> None:
    key = f"refused/{backend}/{subject}"
    with db.write() as conn:
        if get_fact(conn, key) != why:
            set_fact(conn, key, why)
            append_audit(conn, now, Actor(ActorKind.RULE, backend), "backend_failed", subject, {"why": why})
