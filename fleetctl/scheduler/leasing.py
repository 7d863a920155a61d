"""How a lease begins and ends: booking, hooks and audit entry in one transaction of the caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError
from fleetctl.model.admin import Actor, Wish
from fleetctl.model.lease import HOST_SLOT, Lease, LeaseState, Request, RequestState
from fleetctl.model.states import Admin
from fleetctl.scheduler.placement import Placement
from fleetctl.store.audit import append_audit
from fleetctl.store.capacity import gone_cards
from fleetctl.store.connections import whole_or_not
from fleetctl.store.leases import count_live, end_lease, held_cards, held_hosts, insert_lease
from fleetctl.store.nodes import list_admin, list_card_admin, list_outside
from fleetctl.store.outside_requests import is_outside
from fleetctl.store.requests import decide_request
from fleetctl.store.scheduler_facts import insert_hooks, skip_hooks


def lease_id(request: str) -> str:
    """The lease of a request; one name for both, so that a request can never be granted twice under two names."""
    return "l" + request[1:] if request[:1] == "r" else f"l-{request}"


class Desk:
    """Grants within one transaction of the caller. Everything that may have changed since placement looked is asked again.

    What holds for all grants of the transaction (who left service, what tenants hold) is read once.
    """

    def __init__(self, conn: sqlite3.Connection, config: Config) -> None:
        self._conn, self._config = conn, config
        self._records, self._cards, self._outside = list_admin(conn), list_card_admin(conn), list_outside(conn)
        self._quota = Quotas(conn, config)

    def grant(self, request: Request, placement: Placement, now: int, who: Actor) -> Lease:
        """Book what placement chose.

        Raises ConflictError when a node left service, a card was taken, a quota is reached, or the request was answered.
        """
        conn = self._conn
        refused = self._why_not(request, placement)
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
        if self._config.hooks.prolog:
            insert_hooks(conn, lease.id, lease.hosts, "prolog")
        body = {
            "request": request.id,
            "tenant": lease.tenant,
            "end_at": lease.end_at,
            "holds": [[h.host, h.card, h.milli] for h in lease.holds],
            "price_per_hour": placement.price_per_hour,
        }
        append_audit(conn, now, who, "grant", lease.id, body)
        self._quota.add(lease.tenant, _cards_of(placement))
        return lease

    def _why_not(self, request: Request, placement: Placement) -> str:
        """What forbids this booking now, "" when nothing does. Cards already taken are found by the schema itself."""
        for host in placement.hosts:
            record, word = self._records.get(host), self._outside.get(host)
            if record is not None and record.wish is not Wish.SERVE:
                return f"{host} left service meanwhile"
            if word is not None and word.state is not Admin.IN_SERVICE:
                return f"{host} was taken out by {word.backend} meanwhile"
        for hold in placement.holds:
            card = self._cards.get((hold.host, hold.card))
            if card is not None and card.wish is not Wish.SERVE:
                return f"card {hold.index or hold.card} of {hold.host} left service meanwhile"
        for host in placement.hosts:
            gone = gone_cards(self._conn, host)
            lost = next((h for h in placement.holds if h.host == host and h.card in gone), None) if gone else None
            if lost is not None:
                return f"{host} no longer names card {lost.index or lost.card}"
        return self._quota.why_over(request.tenant, _cards_of(placement))


def grant(
    conn: sqlite3.Connection, config: Config, request: Request, placement: Placement, now: int, who: Actor
) -> Lease:
    """Book one request. Raises ConflictError as `Desk.grant`."""
    return Desk(conn, config).grant(request, placement, now, who)


def grant_many(
    conn: sqlite3.Connection,
    config: Config,
    starts: Sequence[tuple[Request, Placement]],
    now: int,
    who: Actor,
) -> tuple[list[Lease], dict[str, str]]:
    """Book what can be booked, each whole or not at all: (leases, request -> why it was not booked)."""
    desk = Desk(conn, config)
    leases, failed = [], {}
    for request, placement in starts:
        try:
            with whole_or_not(conn):
                leases.append(desk.grant(request, placement, now, who))
        except ConflictError as error:
            failed[request.id] = str(error)
    return leases, failed


def _cards_of(placement: Placement) -> float:
    return sum(h.milli for h in placement.holds if h.card != HOST_SLOT) / 1000.0


class Quotas:
    """What tenants hold, read once, and what they may hold. A quota lowered below use ends nothing."""

    def __init__(self, conn: sqlite3.Connection, config: Config) -> None:
        self._tenants = {t.name: t for t in config.tenants}
        self._known_only = config.scheduling.known_tenants_only
        limited = any(t.max_cards is not None or t.max_leases is not None for t in config.tenants)
        self._cards = held_cards(conn) if limited else {}
        self._leases = count_live(conn) if limited else {}

    def add(self, tenant: str, cards: float) -> None:
        """A lease of so many cards was granted."""
        self._cards[tenant] = self._cards.get(tenant, 0.0) + cards
        self._leases[tenant] = self._leases.get(tenant, 0) + 1

    def why_over(self, tenant: str, cards: float) -> str:
        """Why a tenant may not hold so many cards more; "" when it may."""
        quota = self._tenants.get(tenant)
        if quota is None:
            return f"no tenant {tenant!r} in fleet.toml" if self._known_only else ""
        held, count = self._cards.get(tenant, 0.0), self._leases.get(tenant, 0)
        if quota.max_cards is not None and held + cards > quota.max_cards + 1e-9:
            return f"quota of {tenant}: holds {held:g} cards, {cards:g} more would pass {quota.max_cards:g}"
        if quota.max_leases is not None and count + 1 > quota.max_leases:
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
