"""How a lease begins and ends: booking, hooks and audit entry in one transaction of the caller."""

from __future__ import annotations

import sqlite3

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError
from fleetctl.model.admin import Actor, Wish
from fleetctl.model.lease import HOST_SLOT, Lease, LeaseState, Request, RequestState
from fleetctl.model.states import Admin
from fleetctl.scheduler.placement import Placement
from fleetctl.store.audit import append_audit
from fleetctl.store.leases import end_lease, held_cards, held_hosts, insert_lease, list_leases
from fleetctl.store.nodes import get_admin, get_card_admin, list_outside
from fleetctl.store.outside_requests import is_outside
from fleetctl.store.requests import decide_request
from fleetctl.store.scheduler_facts import insert_hooks, skip_hooks


def lease_id(request: str) -> str:
    """The lease of a request; one name for both, so that a request can never be granted twice under two names."""
    return "l" + request[1:] if request[:1] == "r" else f"l-{request}"


def grant(
    conn: sqlite3.Connection, config: Config, request: Request, placement: Placement, now: int, who: Actor
) -> Lease:
    """Book what placement chose. Everything that may have changed since the snapshot is asked again here.

    Raises ConflictError when a node left service, a card was taken, a quota is reached, or the request was answered.
    """
    refused = why_no_grant(conn, config, request, placement)
    if refused:
        raise ConflictError(refused)
    lease = Lease(
        id=lease_id(request.id),
        request=request.id,
        tenant=request.tenant,
        who=request.who,
        state=LeaseState.ACTIVE,
        start_at=now,
        end_at=None if request.duration_s is None else now + request.duration_s,
        holds=placement.holds,
        cls=request.cls,
        exclusive=request.shape.exclusive or request.shape.cards == 0,
        shape=request.shape,
    )
    if not decide_request(conn, request.id, RequestState.GRANTED, now, lease=lease.id):
        raise ConflictError(f"{request.id} was answered already")
    insert_lease(conn, lease)
    if config.hooks.prolog:
        insert_hooks(conn, lease.id, lease.hosts, "prolog")
    body = {
        "request": request.id,
        "tenant": lease.tenant,
        "end_at": lease.end_at,
        "holds": [[h.host, h.card, h.milli] for h in lease.holds],
        "price_per_hour": placement.price_per_hour,
    }
    append_audit(conn, now, who, "grant", lease.id, body)
    return lease


def why_no_grant(conn: sqlite3.Connection, config: Config, request: Request, placement: Placement) -> str:
    """What forbids this booking now, "" when nothing does. Cards already taken are found by the schema itself."""
    outside = list_outside(conn)
    for host in placement.hosts:
        if get_admin(conn, host).wish is not Wish.SERVE:
            return f"{host} left service meanwhile"
        word = outside.get(host)
        if word is not None and word.state is not Admin.IN_SERVICE:
            return f"{host} was taken out by {word.backend} meanwhile"
    for hold in placement.holds:
        if hold.card != HOST_SLOT and get_card_admin(conn, hold.host, hold.card).wish is not Wish.SERVE:
            return f"card {hold.index or hold.card} of {hold.host} left service meanwhile"
    cards = sum(h.milli for h in placement.holds if h.card != HOST_SLOT) / 1000.0
    return why_over_quota(conn, config, request.tenant, cards)


def why_over_quota(conn: sqlite3.Connection, config: Config, tenant: str, cards: float) -> str:
    """Why a tenant may not hold so many cards more; "" when it may. A quota lowered below use ends nothing."""
    quota = next((t for t in config.tenants if t.name == tenant), None)
    if quota is None:
        return f"no tenant {tenant!r} in fleet.toml" if config.scheduling.known_tenants_only else ""
    held = held_cards(conn).get(tenant, 0.0)
    if quota.max_cards is not None and held + cards > quota.max_cards + 1e-9:
        return f"quota of {tenant}: holds {held:g} cards, {cards:g} more would pass {quota.max_cards:g}"
    if quota.max_leases is not None:
        count = len(list_leases(conn, tenant=tenant))
        if count + 1 > quota.max_leases:
            return f"quota of {tenant}: holds {count} leases of {quota.max_leases}"
    return ""


def end(conn: sqlite3.Connection, config: Config, lease: str, now: int, who: Actor, why: str) -> bool:
    """End an active lease once; False when it is over already. Epilogs, where configured, run before cards are free."""
    # Where another scheduler gave the nodes, its own prolog and epilog ran and run.
    hooks = bool(config.hooks.epilog) and not is_outside(conn, lease)
    if not end_lease(conn, lease, now, why, hooks=hooks):
        return False
    if hooks:
        insert_hooks(conn, lease, held_hosts(conn, lease), "epilog")
    skip_hooks(conn, lease, "prolog", now)
    append_audit(conn, now, who, "end_lease", lease, {"why": why})
    return True
