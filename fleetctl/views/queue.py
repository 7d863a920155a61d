"""The line as it is served, the calendar of windows, and what tenants hold, may hold and are owed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.inventory.nodesets import fold
from fleetctl.model.lease import Request, Reservation, Shape
from fleetctl.model.outside import OutsideJob
from fleetctl.scheduler.fairshare import fair_use
from fleetctl.scheduler.fragments import Fragment, fragments
from fleetctl.scheduler.live import load_snapshot
from fleetctl.scheduler.placement import ChipFacts
from fleetctl.scheduler.queue import in_order
from fleetctl.scheduler.tick import load_turns
from fleetctl.store.leases import held_cards, list_leases
from fleetctl.store.outside import list_jobs, list_windows
from fleetctl.store.outside_requests import list_outside_requests
from fleetctl.store.requests import list_queue, list_queue_outside, list_requests
from fleetctl.store.reservations import list_reservations
from fleetctl.views.column import Column, Table
from fleetctl.views.leases import RequestRow
from fleetctl.views.quotes import readable
from fleetctl.views.units import show_moment


def load_line(conn: sqlite3.Connection, config: Config, now: float, *, past: bool = False) -> list[RequestRow]:
    """The line in the order it is served (class, fair share, age); with `past`, then what was answered, newest first."""
    line = in_order(list_queue(conn), fair_use(conn, config, int(now)), config, load_turns(conn), int(now))
    rows = [RequestRow(readable(request), place, now) for place, request in enumerate(line, 1)]
    # Ours that another scheduler serves stand once, under the name they have here.
    outside = list_queue_outside(conn)
    rows += [RequestRow(readable(request), None, now) for request in outside]
    if past:
        waiting = {r.id for r in (*line, *outside)}
        rows += [RequestRow(r, None, now) for r in list_requests(conn) if r.id not in waiting]
    named = {(r.backend, r.job) for r in list_outside_requests(conn)}
    theirs = [job for job in list_jobs(conn, running=False) if (job.backend, job.id) not in named]
    return rows + [RequestRow(waiting_elsewhere(job), None, now) for job in theirs]


def waiting_elsewhere(job: OutsideJob) -> Request:
    """A job that waits in another scheduler, in the words of our own line; its place there is not ours to say."""
    nodes = max(1, job.nodes or 1)
    return Request(
        id=f"{job.backend}/{job.id}",
        tenant=job.account or job.user,
        shape=Shape(nodes=nodes, cards=-(-job.cards // nodes) if job.cards else 0),
        submitted_at=job.submitted_at or 0,
        who=job.user,
        cls="",
        note=job.reason or job.state,
    )


RESERVATION_COLUMNS: tuple[Column[Reservation], ...] = (
    Column("id", "id", lambda r: r.id, width=10, doc="what `reserve cancel` takes"),
    Column("kind", "kind", lambda r: r.kind, width=5, doc="hold: for a tenant; maint: for work on the nodes"),
    Column("tenant", "tenant", lambda r: r.tenant or None, width=8, doc="whom it is held for"),
    Column("nodes", "nodes", lambda r: fold(r.hosts), width=16, doc="node set"),
    Column("start_at", "from", lambda r: r.start_at, show_moment, 19, role="moment", doc="begins"),
    Column("end_at", "until", lambda r: r.end_at, show_moment, 19, role="moment", doc="ends; unknown: open"),
    Column("state", "state", lambda r: r.state, width=8, role="state", doc="planned, cancelled or over"),
    Column("reason", "reason", lambda r: r.reason or None, width=12, doc="what for"),
    Column("who", "who", lambda r: r.who or None, width=12, wide=True, doc="who set it"),
    Column("plan", "plan", lambda r: r.plan, width=10, wide=True, doc="plan it belongs to"),
)


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """One tenant. used_cards: now; fair: its part of all recent use; owed: the part its share gives it; both 0 to 1."""

    tenant: str
    used_cards: float
    max_cards: float | None
    leases: int
    max_leases: int | None
    queued: int
    share: float
    fair: float | None
    owed: float

    @property
    def over(self) -> bool:
        return self.max_cards is not None and self.used_cards > self.max_cards + 1e-9


QUOTA_COLUMNS: tuple[Column[QuotaRow], ...] = (
    Column("tenant", "tenant", lambda r: r.tenant, width=10, doc="name"),
    Column("used_cards", "cards", lambda r: r.used_cards, width=6, right=True, doc="cards held now"),
    Column("max_cards", "quota", lambda r: r.max_cards, width=6, right=True, doc="cards at most; unknown: no limit"),
    Column("over", "over", lambda r: r.over, width=5, doc="holds more than its quota; nothing is taken away for that"),
    Column("leases", "leases", lambda r: r.leases, width=6, right=True, doc="leases held now"),
    Column("max_leases", "most", lambda r: r.max_leases, width=5, right=True, wide=True, doc="leases at most"),
    Column("queued", "queued", lambda r: r.queued, width=6, right=True, doc="requests that wait"),
    Column("share", "share", lambda r: r.share, width=6, right=True, wide=True, doc="weight in fair share"),
    Column("used_pct", "used", lambda r: _pct(r.fair), width=6, right=True, doc="its part of recent use, %"),
    Column("owed_pct", "owed", lambda r: _pct(r.owed), width=6, right=True, doc="the part its share gives it, %"),
)


def _pct(part: float | None) -> float | None:
    return None if part is None else round(100.0 * part, 1)


def load_reservations(conn: sqlite3.Connection, *, past: bool = False) -> Table[Reservation]:
    """The calendar: reservations and maintenance windows by start."""
    held = list_reservations(conn, only_planned=not past)
    return Table("reservation", RESERVATION_COLUMNS, [*held, *_held_elsewhere(conn)], lambda r: r.id)


def _held_elsewhere(conn: sqlite3.Connection) -> list[Reservation]:
    """Reservations other schedulers have by themselves; those we made there stand in our own calendar."""
    return [
        Reservation(
            id=f"{w.backend}/{w.name}",
            kind="maint" if {f.lower() for f in w.flags} & {"maint", "maintenance"} else "hold",
            hosts=w.hosts,
            start_at=w.start_at or 0,
            end_at=w.end_at,
            tenant=",".join(w.users),
            who=w.backend,
            reason=",".join(f.lower() for f in w.flags),
        )
        for w in list_windows(conn)
        if not w.ours
    ]


def load_quotas(conn: sqlite3.Connection, config: Config, now: float) -> Table[QuotaRow]:
    """Tenants of fleet.toml, then others that hold or held something."""
    held, used = held_cards(conn), fair_use(conn, config, int(now))
    queue, leases = [*list_queue(conn), *list_queue_outside(conn)], list_leases(conn)
    known = {t.name: t for t in config.tenants}
    names = list(dict.fromkeys([*known, *sorted({*held, *used, *(r.tenant for r in queue)})]))
    total = sum(used.values())
    shares = {name: known[name].share if name in known else 1.0 for name in names}
    rows = [
        QuotaRow(
            tenant=name,
            used_cards=held.get(name, 0.0),
            max_cards=known[name].max_cards if name in known else None,
            leases=sum(1 for x in leases if x.tenant == name),
            max_leases=known[name].max_leases if name in known else None,
            queued=sum(1 for r in queue if r.tenant == name),
            share=shares[name],
            fair=used.get(name, 0.0) / total if total else None,
            owed=shares[name] / sum(shares.values()),
        )
        for name in names
    ]
    return Table("tenant", QUOTA_COLUMNS, rows, lambda r: r.tenant)


FRAGMENT_COLUMNS: tuple[Column[Fragment], ...] = (
    Column("chip", "chip", lambda r: r.chip, width=16, doc="accelerator"),
    Column("nodes", "nodes", lambda r: r.nodes, width=6, right=True, doc="nodes that take work"),
    Column("free", "free", lambda r: round(r.free, 3), width=7, right=True, doc="cards nobody holds, parts included"),
    Column("whole", "whole", lambda r: r.whole, width=6, right=True, doc="of these, cards free in full"),
    Column(
        "empty_nodes", "empty nodes", lambda r: r.empty_nodes, width=6, right=True, doc="nodes with nothing on them"
    ),
    Column(
        "stranded",
        "fragments",
        lambda r: None if r.stranded is None else round(r.stranded, 3),
        width=9,
        right=True,
        doc="free cards that no waiting request can use; unknown: nothing waits",
    ),
    Column("why", "reason", lambda r: r.why or None, width=30, doc="commonest reason there"),
)


def load_fragments(
    conn: sqlite3.Connection, inventory: Inventory, config: Config, now: float, chips: Mapping[str, ChipFacts]
) -> Table[Fragment]:
    """Free cards by chip, and those that no waiting request can use."""
    snapshot = load_snapshot(conn, inventory, config, int(now), chips)
    return Table("chip", FRAGMENT_COLUMNS, fragments(snapshot, list_queue(conn)), lambda r: r.chip)
