"""Asking for cards, keeping them longer, giving them back, holding nodes for later; and where a request would go."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError, NotFoundError, UsageError
from fleetctl.inventory.inventory import Inventory
from fleetctl.inventory.nodesets import fold
from fleetctl.model.admin import Actor
from fleetctl.model.lease import WHOLE, Lease, LeaseState, Request, RequestState, Reservation, Shape
from fleetctl.model.outside import OPEN_END, OutsideRequest
from fleetctl.operations.planning import new_id
from fleetctl.scheduler.fairshare import fair_use
from fleetctl.scheduler.leasing import Quotas, end
from fleetctl.scheduler.placement import ChipFacts, Snapshot
from fleetctl.scheduler.queue import CLASS_ORDER, in_order, moment_of
from fleetctl.scheduler.quote import Quote
from fleetctl.scheduler.routing import Route, find_route
from fleetctl.scheduler.terms import parts_given, terms_of
from fleetctl.scheduler.tick import TickResult, load_turns, serve_queue
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.leases import find_lease, get_lease, list_leases, renew_lease
from fleetctl.store.nodes import list_outside
from fleetctl.store.outside_requests import insert_outside_request, want_end
from fleetctl.store.requests import (
    decide_request,
    find_request,
    get_request,
    insert_request,
    list_queue,
)
from fleetctl.store.reservations import close_reservation, insert_reservation, list_reservations

if TYPE_CHECKING:
    from fleetctl.scheduler.fleet_core import FleetCore
    from fleetctl.scheduler.packing.promises import Promise as CorePromise


def make_request(
    config: Config,
    tenant: str,
    shape: Shape,
    *,
    who: Actor,
    now: float,
    cls: str = "normal",
    duration_s: int | None = None,
    start_at: float | None = None,
    latest_start_at: float | None = None,
    reservation: str = "",
) -> Request:
    """A request that makes sense. Raises UsageError naming what does not."""
    known = {t.name: t for t in config.tenants}
    rules = config.scheduling
    if not tenant.strip():
        raise UsageError("no tenant was named", hint="--tenant NAME")
    if rules.known_tenants_only and tenant not in known:
        raise UsageError(f"no tenant {tenant!r} in fleet.toml", hint=f"known: {', '.join(sorted(known)) or 'none'}")
    if cls not in CLASS_ORDER:
        raise UsageError(f"no class {cls!r}", hint=f"one of {', '.join(CLASS_ORDER)}")
    if tenant in known and cls not in known[tenant].classes:
        raise UsageError(f"{tenant} may not ask for class {cls}", hint=f"it may: {', '.join(known[tenant].classes)}")
    _check_shape(shape)
    if duration_s is None:
        duration_s = rules.default_duration_s
    if duration_s is not None and duration_s <= 0:
        raise UsageError("a lease lasts at least a second")
    if rules.max_duration_s is not None and (duration_s is None or duration_s > rules.max_duration_s):
        raise UsageError(f"longer than the longest lease of {rules.max_duration_s} s", hint="--duration, then renew")
    if start_at is not None and latest_start_at is not None and latest_start_at < start_at:
        raise UsageError("the latest start lies before the start")
    return Request(
        id=new_id("r"),
        tenant=tenant,
        shape=shape,
        submitted_at=int(now),
        who=str(who),
        cls=cls,
        duration_s=duration_s,
        start_at=None if start_at is None else int(start_at),
        latest_start_at=None if latest_start_at is None else int(latest_start_at),
        reservation=reservation,
    )


def _check_shape(shape: Shape) -> None:
    if not 1 <= shape.nodes <= 100_000:
        raise UsageError("nodes: at least 1")
    if not 0 <= shape.cards <= 1024:
        raise UsageError("cards per node: 0 (whole nodes) to 1024")
    if not 1 <= shape.milli <= WHOLE:
        raise UsageError("a part of a card is more than 0 and at most 1")
    if shape.milli < WHOLE and (shape.cards != 1 or shape.exclusive):
        raise UsageError(
            "a part of a card is asked for one card at a time, and shared", hint="--cards 1 without --exclusive"
        )
    if shape.same not in ("", "rack", "leaf", "site"):
        raise UsageError(f"the gang can share a rack, a leaf or a site, not {shape.same!r}")


def quote(
    db: Connections,
    inventory: Inventory,
    request: Request,
    *,
    now: float,
    config: Config | None = None,
    chips: Mapping[str, ChipFacts] | None = None,
    via: str = "",
) -> Quote:
    """Where and when a request would run, what it costs, and why not elsewhere. Reads only."""
    from fleetctl.scheduler.kept import kept_fleet
    from fleetctl.scheduler.queue import look_at

    config = config or Config()
    at = int(now)
    with ExitStack() as stack:
        with db.read() as conn:
            fleet = stack.enter_context(kept_fleet(db, conn, inventory, config, at, chips))
            queue = [r for r in list_queue(conn) if r.id != request.id]
            line = in_order([*queue, request], fair_use(conn, config, at), config, load_turns(conn), at)
            cards = request.shape.nodes * request.shape.cards * request.shape.milli / WHOLE
            over = Quotas(conn, config).why_over(request.tenant, cards)
            route = _route(conn, config, request, fleet.core.facts(), via)
        core, leases = fleet.core, list(fleet.leases.values())
        never = core.never(request)
        refusals = core.reasons(request)
        if route is not None:
            elsewhere = {host: why for host, why in refusals.items() if host not in route.hosts}
            return Quote(
                request, None, None, route.why or over or _goes_to(route, request.shape), elsewhere, via=route.backend
            )
        if never:
            return Quote(request, None, None, f"can never fit: {never.why}", refusals, never.nearest)
        unknown = core.not_known(request)
        if unknown or over:
            return Quote(request, None, None, unknown or over, refusals)
        asked_for = replace(request, start_at=None)
        decisions = look_at([asked_for if r.id == request.id else r for r in line], core, leases, config)
        ahead = next(i for i, r in enumerate(line) if r.id == request.id)
        started = next((p for r, p in decisions.starts if r.id == request.id), None)
        promise = next((p for p in decisions.promises if p.request.id == request.id), None)
        others = [p.core for p in decisions.promises if p is not promise and p.at is not None]
        for begun, _ in decisions.starts:  # a quote books nothing: but who starts before it is in its way
            if begun.id == request.id:
                core.end(begun.id)
        try:
            if started is not None and (request.start_at is None or request.start_at <= at):
                return Quote(request, at, started, "", refusals, ahead=ahead)
            return _later(request, core, decisions.notes.get(request.id, ""), refusals, ahead, others)
        finally:
            for begun, _ in decisions.starts:
                core.end(begun.id)


def _route(conn: sqlite3.Connection, config: Config, request: Request, snapshot: Snapshot, via: str) -> Route | None:
    """Which other scheduler serves the request; None for our own queue. Raises NotFoundError for one nobody knows."""
    known = {s.endpoint for s in config.schedulers}
    if not via:  # a pool that is a partition says where itself
        via = next((p.partition for p in config.pools if p.name == request.shape.pool), "")
    if via and via.partition("/")[0] not in known:
        raise NotFoundError(f"no scheduler {via!r}", hint=f"fleet.toml names: {', '.join(sorted(known)) or 'none'}")
    outside = list_outside(conn) if known else {}
    closed = {s.endpoint for s in config.schedulers if s.read_only}
    terms = {s.endpoint: terms_of(s, request.cls, request.shape.latency) for s in config.schedulers}
    return find_route(request, snapshot, outside, via=via, closed=closed, terms=terms) if outside or via else None


def _goes_to(route: Route, shape: Shape) -> str:
    what = ""
    if route.parts:
        what = f", {parts_given(route.parts, shape.milli) / WHOLE:g} of a card ({route.parts.partition(':')[0]})"
    qos = f", QOS {route.terms.qos}" if route.terms.qos else ""
    return f"asked of {route.backend}, partition {route.partition}{what}{qos}: it says when"


def _later(
    request: Request,
    core: FleetCore,
    why: str,
    refusals: Mapping[str, str],
    ahead: int,
    others: Sequence[CorePromise],
) -> Quote:
    """When and where it could begin, beside those who start now and those who were promised a time."""
    begin = max(core.now, request.start_at or 0)
    if begin > core.now:
        with core.at(begin):
            shares = core.choose(request, others)
        if shares:
            return Quote(request, begin, core.placement(shares), why, refusals, ahead=ahead)
    with core.at(begin):
        promise = core.promise(request, others)
    moment = None if promise is None else moment_of(promise)
    if moment is None:
        return Quote(request, None, None, why, refusals, ahead=ahead)
    with core.at(moment):
        shares = core.choose(request, others)
    return Quote(request, moment, core.placement(shares) if shares else None, why, refusals, ahead=ahead)


def allocate(
    db: Connections,
    inventory: Inventory,
    request: Request,
    who: Actor,
    *,
    now: float,
    config: Config | None = None,
    chips: Mapping[str, ChipFacts] | None = None,
    wait: bool = True,
    via: str = "",
) -> Request:
    """Queue a request and look at the queue at once; the request as it stands then: granted, queued or impossible.

    A request for nodes of another scheduler is noted for it and stays queued until that one gives them; via: its name, or
    name/partition, where somebody says so. wait False: granted now or not at all. Sending the same request again changes
    nothing. Raises ConflictError when it can never fit, its quota forbids it for good, the queue is full, or it cannot
    start now and may not wait.
    """
    config = config or Config()
    at = int(now)
    cards = request.shape.nodes * request.shape.cards * request.shape.milli / WHOLE
    tenant = next((t for t in config.tenants if t.name == request.tenant), None)
    if tenant is not None and tenant.max_cards is not None and cards > tenant.max_cards:
        raise ConflictError(
            f"{cards:g} cards are asked for, the quota of {tenant.name} is {tenant.max_cards:g}",
            hint=f"ask for at most {tenant.max_cards:g}, or raise max_cards in fleet.toml",
        )
    route = None
    if config.schedulers:
        from fleetctl.scheduler.kept import kept_fleet

        with db.read() as conn, kept_fleet(db, conn, inventory, config, at, chips) as fleet:
            route = _route(conn, config, request, fleet.core.facts(), via)
    if via and route is None:
        raise NotFoundError(f"no scheduler {via!r}", hint="fleet.toml names none")
    if route is not None and (route.why or not wait):
        why = route.why or f"{route.backend} answers later, nobody can say now whether it could start"
        raise ConflictError(why, hint="leave --now away" if not route.why else route.hint)
    with db.write(durable=True) as conn:
        if get_request(conn, request.id) is None:
            if len(list_queue(conn)) >= config.scheduling.max_queue:
                raise ConflictError(
                    "the queue is full", hint="`fleetctl queue` shows it; scheduling.max_queue limits it"
                )
            insert_request(conn, request if route is None else replace(request, note=_goes_to(route, request.shape)))
            if route is not None:
                insert_outside_request(conn, _asked_there(request, route))
            body = {
                "scheduler": route.backend if route is not None else "",
                "tenant": request.tenant,
                "shape": request.shape,
                "cls": request.cls,
                "duration_s": request.duration_s,
            }
            append_audit(conn, at, who, "request", request.id, body)
    serve_queue(db, inventory, config, at, chips, TickResult())
    with db.read() as conn:
        answered = get_request(conn, request.id)
    assert answered is not None
    if answered.state is RequestState.IMPOSSIBLE:
        raise ConflictError(answered.note, hint="`fleetctl place` with the same words says why, node by node")
    if answered.state is RequestState.QUEUED and not wait:
        release(db, request.id, who, now=now, config=config)
        raise ConflictError(
            f"cannot start now: {answered.note or 'no room'}", hint="without --now it waits in the queue"
        )
    return answered


def _asked_there(request: Request, route: Route) -> OutsideRequest:
    """hosts: those of the partition it may use. The mark cannot be guessed, so that no job of others is taken for ours."""
    shape = request.shape
    body = {
        "nodes": shape.nodes,
        "cards": shape.cards,
        "exclusive": shape.exclusive,
        "tenant": request.tenant,
        "partition": route.partition,
        "duration_s": request.duration_s,
        "begin_at": request.start_at,
        "reservation": request.reservation,
        "hosts": fold(route.hosts),
        "qos": route.terms.qos,
        "nice": route.terms.nice,
        "milli": shape.milli,
        "parts": route.parts,
    }
    return OutsideRequest(request.id, route.backend, f"{request.id}-{secrets.token_hex(4)}", body)


def release(
    db: Connections, name: str, who: Actor, *, now: float, config: Config | None = None, why: str = "given back"
) -> str:
    """End a lease early, or withdraw a queued request. name: an id or its start. Returns the id that was released.

    Raises NotFoundError, UsageError (several begin like that), ConflictError (it is over already).
    """
    config = config or Config()
    at = int(now)
    with db.write(durable=True) as conn:
        found = _one(name, find_lease(conn, name), find_request(conn, name))
        if found.startswith("l"):
            if not end(conn, config, found, at, who, why):
                raise ConflictError(f"{found} is over already")
            return found
        request = get_request(conn, found)
        if request is not None and request.state is RequestState.GRANTED and request.lease:
            if not end(conn, config, request.lease, at, who, why):
                raise ConflictError(f"{request.lease} is over already")
            return request.lease
        if not decide_request(conn, found, RequestState.CANCELLED, at, note=f"withdrawn by {who}"):
            raise ConflictError(f"{found} is {request.state.value if request else 'gone'} already")
        append_audit(conn, at, who, "withdraw", found, {"why": why})
        return found


def renew(
    db: Connections, name: str, who: Actor, *, now: float, end_at: float | None, config: Config | None = None
) -> Lease:
    """Move the end of a lease. Raises ConflictError when a window or reservation of somebody else lies in between."""
    config = config or Config()
    with db.write(durable=True) as conn:
        found = _one(name, find_lease(conn, name), [])
        lease = get_lease(conn, found)
        if lease is None or lease.state is not LeaseState.ACTIVE:
            raise ConflictError(f"{found} is over already")
        # The clock may have gone back since the lease began.
        if end_at is not None and end_at <= max(now, lease.start_at):
            raise UsageError("the new end lies in the past", hint=f"`fleetctl release {found}` ends it")
        longest = config.scheduling.max_duration_s
        if longest is not None and (end_at is None or end_at - now > longest):
            raise UsageError(f"longer than the longest lease of {longest} s from now")
        for held in list_reservations(conn):
            if held.tenant == lease.tenant or not set(held.hosts) & set(lease.hosts):
                continue
            if (end_at is None or end_at > held.start_at) and (held.end_at is None or held.end_at > now):
                raise ConflictError(
                    f"{held.id} ({held.kind}) begins on {sorted(set(held.hosts) & set(lease.hosts))[0]} before that",
                    hint="renew to a time before it",
                )
        end_s = None if end_at is None else int(end_at)
        if not renew_lease(conn, found, end_s, lease.version):
            raise ConflictError(f"{found} changed meanwhile")
        want_end(conn, lease.request, OPEN_END if end_s is None else end_s)
        append_audit(conn, int(now), who, "renew", found, {"from": lease.end_at, "to": end_s})
        renewed = get_lease(conn, found)
    assert renewed is not None
    return renewed


def reserve(
    db: Connections,
    inventory: Inventory,
    nodes: str,
    tenant: str,
    *,
    who: Actor,
    now: float,
    start_at: float,
    end_at: float,
    reason: str = "",
) -> Reservation:
    """Hold nodes for a tenant for a time to come. Raises ConflictError naming what is in the way."""
    hosts = tuple(h.name for h in inventory.select(nodes))
    if end_at <= start_at or end_at <= now:
        raise UsageError("the reservation ends before it begins, or lies in the past")
    if not hosts or not tenant:
        raise UsageError("a reservation needs nodes and a tenant")
    held = Reservation(
        new_id("w"), "hold", hosts, int(start_at), int(end_at), tenant, str(who), reason, created_at=int(now)
    )
    with db.write(durable=True) as conn:
        wanted = set(hosts)
        for other in list_reservations(conn):
            clash = wanted & set(other.hosts)
            if clash and other.start_at < end_at and (other.end_at is None or other.end_at > start_at):
                raise ConflictError(f"{sorted(clash)[0]} is spoken for by {other.id} ({other.tenant or other.kind})")
        for lease in list_leases(conn):
            clash = wanted & set(lease.hosts)
            if clash and lease.tenant != tenant and (lease.end_at is None or lease.end_at > start_at):
                raise ConflictError(
                    f"{sorted(clash)[0]} is leased to {lease.tenant} beyond that start ({lease.id})",
                    hint="reserve from a later time, or take other nodes",
                )
        insert_reservation(conn, held)
        body = {"hosts": list(hosts), "tenant": tenant, "start_at": held.start_at, "end_at": held.end_at}
        append_audit(conn, int(now), who, "reserve", held.id, body)
    return held


def unreserve(db: Connections, reservation: str, who: Actor, *, now: float) -> None:
    """Give a reservation back. Raises NotFoundError when it is not planned."""
    with db.write(durable=True) as conn:
        if not close_reservation(conn, reservation, "cancelled"):
            raise NotFoundError(f"no planned reservation {reservation}", hint="`fleetctl reserve` shows them")
        append_audit(conn, int(now), who, "unreserve", reservation, {})


def resolve(db: Connections, name: str, *, only_leases: bool = False) -> tuple[str, Lease | None]:
    """(id, its lease if it has one) of an id or its start. Raises NotFoundError, UsageError."""
    with db.read() as conn:
        found = _one(name, find_lease(conn, name), [] if only_leases else find_request(conn, name))
        if found.startswith("l"):
            return found, get_lease(conn, found)
        request = get_request(conn, found)
        return found, get_lease(conn, request.lease) if request and request.lease else None


def _one(name: str, leases: list[str], requests: list[str]) -> str:
    found = [*leases, *requests]
    if name in found:
        return name
    if not found:
        raise NotFoundError(f"no lease or request {name}", hint="`fleetctl leases` and `fleetctl queue` list them")
    if len(found) > 1:
        raise UsageError(f"several begin with {name}: {', '.join(found)}")
    return found[0]
