"""Leases and requests: who holds what until when, and who waits for what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from fleetctl.model.lease import WHOLE, Lease, Request, Shape
from fleetctl.store.leases import list_leases
from fleetctl.store.outside_requests import list_outside_requests
from fleetctl.store.requests import list_queue, list_requests
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_duration, show_moment


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """cards: cards held, fractions counted in thousandths; left_s: until its end, None for an open one; job: the job of
    another scheduler that holds them, `slurm@site/12`."""

    lease: Lease
    now: float
    job: str | None = None

    @property
    def cards(self) -> float:
        return sum(hold.milli for hold in self.lease.holds if hold.card) / WHOLE

    @property
    def left_s(self) -> float | None:
        return None if self.lease.end_at is None else self.lease.end_at - self.now


@dataclass(frozen=True, slots=True)
class RequestRow:
    """place: 1 for the head of the queue, None when it no longer waits; waits_s: since it was submitted."""

    request: Request
    place: int | None
    now: float

    @property
    def waits_s(self) -> float:
        return max((self.request.decided_at or self.now) - self.request.submitted_at, 0.0)


def shape_words(shape: Shape) -> str:
    """What is asked for, in a few words: `2 nodes x 8 cards, H100, pool train`."""
    if shape.cards == 0:
        size = f"{shape.nodes} whole node{'s' if shape.nodes > 1 else ''}"
    else:
        part = f" of {shape.milli / WHOLE:g}" if shape.milli != WHOLE else ""
        size = f"{shape.nodes} x {shape.cards} card{'s' if shape.cards > 1 else ''}{part}"
    extras = [
        shape.chip,
        shape.pool and f"pool {shape.pool}",
        shape.site and f"site {shape.site}",
        shape.same and f"same {shape.same}",
        "exclusive" if shape.exclusive else "",
    ]
    return ", ".join([size, *(e for e in extras if e)])


def _nodes(names: Iterable[str]) -> str | None:
    from fleetctl.inventory.nodesets import fold

    return fold(names) or None


LEASE_COLUMNS: tuple[Column[LeaseRow], ...] = (
    Column("id", "lease", lambda r: r.lease.id, width=8, doc="id"),
    Column("tenant", "tenant", lambda r: r.lease.tenant, width=8, doc="who it is for"),
    Column("state", "state", lambda r: r.lease.state.value, width=8, role="state", doc="active, ending, ended"),
    Column("cards", "cards", lambda r: r.cards, lambda v: f"{v:g}", 6, True, doc="cards held"),
    Column("node_count", "on", lambda r: len(r.lease.hosts), width=4, right=True, doc="nodes"),
    Column("nodes", "nodes", lambda r: _nodes(r.lease.hosts), width=12, doc="node set"),
    Column("start_at", "start", lambda r: r.lease.start_at, show_moment, 19, wide=True, role="moment", doc="from"),
    Column("end_at", "end", lambda r: r.lease.end_at, show_moment, 19, wide=True, role="moment", doc="until"),
    Column("left_s", "left", lambda r: r.left_s, show_duration, 7, True, doc="time left, s; unknown: until given back"),
    Column("class", "class", lambda r: r.lease.cls, width=7, wide=True, doc="urgent, normal or spot"),
    Column("who", "who", lambda r: r.lease.who or None, width=8, wide=True, doc="who asked"),
    Column("shape", "asked for", lambda r: shape_words(r.lease.shape), width=16, wide=True, doc="what was asked for"),
    Column("request", "request", lambda r: r.lease.request, width=8, wide=True, doc="request it came from"),
    Column("job", "job", lambda r: r.job, width=8, wide=True, doc="job of another scheduler that holds them"),
    Column("ended_why", "why ended", lambda r: r.lease.ended_why or None, width=10, wide=True, doc="why it ended"),
)
REQUEST_COLUMNS: tuple[Column[RequestRow], ...] = (
    Column("place", "place", lambda r: r.place, width=5, right=True, doc="place in the queue"),
    Column("id", "request", lambda r: r.request.id, width=8, doc="id"),
    Column("tenant", "tenant", lambda r: r.request.tenant, width=8, doc="who it is for"),
    Column("state", "state", lambda r: r.request.state.value, width=9, role="state", doc="queued, granted ..."),
    Column("class", "class", lambda r: r.request.cls, width=7, wide=True, doc="urgent, normal or spot"),
    Column("shape", "asked for", lambda r: shape_words(r.request.shape), width=16, doc="what is asked for"),
    Column("waits_s", "waits", lambda r: r.waits_s, show_duration, 7, True, doc="time it has waited, s"),
    Column("duration_s", "for", lambda r: r.request.duration_s, show_duration, 7, True, wide=True, doc="how long, s"),
    Column("note", "why it waits", lambda r: r.request.note or None, width=16, doc="what is in its way"),
    Column("who", "who", lambda r: r.request.who or None, width=8, wide=True, doc="who asked"),
    Column("lease", "lease", lambda r: r.request.lease, width=8, wide=True, doc="lease it became"),
)


def load_leases(
    conn: sqlite3.Connection, now: float, *, node: str | None = None, live: bool = True, tenant: str = ""
) -> list[LeaseRow]:
    """Live leases (or all), newest first; with `node`, those that hold something there."""
    found = list_leases(conn, live=live, tenant=tenant)
    jobs = {r.request: f"{r.backend}/{r.job}" for r in list_outside_requests(conn, only_open=live) if r.job}
    return [LeaseRow(lease, now, jobs.get(lease.request)) for lease in found if node is None or node in lease.hosts]


def load_requests(conn: sqlite3.Connection, now: float, *, only_queued: bool = True) -> list[RequestRow]:
    """The queue in its order; with only_queued=False all requests, newest first."""
    queued = list_queue(conn)
    places = {request.id: place for place, request in enumerate(queued, 1)}
    found = queued if only_queued else list_requests(conn)
    return [RequestRow(request, places.get(request.id), now) for request in found]


def lease_table(rows: list[LeaseRow]) -> Table[LeaseRow]:
    return Table("lease", LEASE_COLUMNS, rows, lambda r: r.lease.id)


def request_table(rows: list[RequestRow]) -> Table[RequestRow]:
    return Table("request", REQUEST_COLUMNS, rows, lambda r: r.request.id)
