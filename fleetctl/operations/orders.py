"""Asking another scheduler to cancel or take a job: saved here, carried out by the engine."""

from __future__ import annotations

from collections import Counter

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError, NotFoundError, UsageError
from fleetctl.model.admin import Actor
from fleetctl.model.lease import WHOLE, Latency
from fleetctl.model.outside import OutsideJob, OutsideOrder
from fleetctl.operations.planning import new_id
from fleetctl.scheduler.terms import terms_of
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.nodes import list_outside
from fleetctl.store.outside import append_order, list_jobs


def find_job(db: Connections, text: str) -> OutsideJob:
    """`1234`, or `slurm@site/1234` where two schedulers have it. Raises NotFoundError, UsageError."""
    backend, _, number = text.rpartition("/")
    with db.read() as conn:
        found = [j for j in list_jobs(conn) if j.id == number and backend in ("", j.backend)]
    if not found:
        raise NotFoundError(f"no job {text}", hint="`fleetctl jobs` lists those that wait and run")
    if len(found) > 1:
        names = " or ".join(f"{j.backend}/{j.id}" for j in found)
        raise UsageError(f"{len(found)} schedulers have a job {text}", hint=f"say {names}")
    return found[0]


def cancel_job(db: Connections, job: OutsideJob, who: Actor, *, now: float) -> OutsideOrder:
    """Ask for its end. The engine tells its scheduler, and the job leaves the list when it is gone there."""
    order = OutsideOrder(new_id("o"), job.backend, "cancel", who, int(now), {"job": job.id})
    return _save(db, order, {"job": job.id, "user": job.user})


def submit_job(
    db: Connections,
    config: Config,
    backend: str,
    script: str,
    who: Actor,
    *,
    now: float,
    name: str,
    partition: str,
    nodes: int,
    cards: int,
    duration_s: int,
    milli: int = WHOLE,
    cls: str = "normal",
    latency: str = Latency.BATCH,
) -> OutsideOrder:
    """Queue a batch script there. milli: of one card per node. Raises ConflictError for an endpoint that is read only, that
    does not know the class, or gives whole cards only."""
    settings = next((s for s in config.schedulers if s.endpoint == backend), None)
    if settings is None:
        known = ", ".join(s.endpoint for s in config.schedulers) or "none"
        raise NotFoundError(f"no scheduler {backend!r}", hint=f"fleet.toml names: {known}")
    if settings.read_only:
        raise ConflictError(f"{backend} is read only", hint="fleet.toml says so: read_only")
    if not script.startswith("#!"):
        raise UsageError("a batch script begins with #!", hint="#!/bin/sh")
    if nodes < 1 or cards < 0 or duration_s < 1:
        raise UsageError("nodes and duration are at least 1, cards at least 0")
    terms = terms_of(settings, cls, latency)
    if terms.why:
        raise ConflictError(terms.why, hint=terms.hint)
    partition = partition or terms.partition
    body = {
        "script": script,
        "name": name,
        "partition": partition,
        "nodes": nodes,
        "cards": cards,
        "duration_s": duration_s,
        "qos": terms.qos,
        "nice": terms.nice,
        "requeue": terms.requeue,
        "milli": milli,
        "parts": _parts(db, backend, partition) if milli < WHOLE else "",
    }
    order = OutsideOrder(new_id("o"), backend, "submit", who, int(now), body)
    return _save(db, order, {"name": name, "nodes": nodes, "cards": cards, "partition": partition})


def _parts(db: Connections, backend: str, partition: str) -> str:
    """How most nodes of a partition share their cards. Raises ConflictError where none does."""
    with db.read() as conn:
        there = [s for s in list_outside(conn).values() if s.backend == backend]
    found = Counter(s.parts for s in there if s.parts and partition in ("", *s.partitions))
    if not found:
        where = f"partition {partition} of {backend}" if partition else backend
        hint = "ask for --cards 1, or let gres.conf there share cards"
        raise ConflictError(f"{where} gives whole cards only: no gres/shard and no gres/mps there", hint=hint)
    return found.most_common(1)[0][0]


def _save(db: Connections, order: OutsideOrder, body: dict[str, object]) -> OutsideOrder:
    with db.write(durable=True) as conn:
        append_order(conn, order)
        append_audit(conn, order.created_at, order.who, f"ask_{order.verb}", order.backend, {"order": order.id, **body})
    return order
