"""Who is next, who may start out of turn, and what each of the others waits for. Pure.

Order: class (urgent, normal, spot), then what a tenant used against its share, then who came first. The first that
cannot start gets a promise: the earliest time at which it could, and the cards for it. Whoever comes later may start
only where that does not move the promise: it ends before, or leaves those cards alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleetctl.config.schema import Config
from fleetctl.model.lease import HOST_SLOT, WHOLE, Hold, Lease, LeaseState, Request
from fleetctl.scheduler.placement import NodeView, Placement, Refusals, Snapshot, choose
from fleetctl.scheduler.placement.feasible import why_never

CLASS_ORDER: Mapping[str, int] = {"urgent": 0, "normal": 1, "spot": 2}


@dataclass(frozen=True, slots=True)
class Promise:
    """When the first in line can start and where. at None: it waits for leases without an end."""

    request: Request
    at: int | None
    holds: tuple[Hold, ...]
    left: Mapping[tuple[str, str], int]  # (host, card) -> milli still free then, beside the promise


@dataclass
class Decisions:
    """What one look at the queue decided. notes: request -> what it waits for; nothing here was done yet."""

    starts: list[tuple[Request, Placement]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    impossible: dict[str, str] = field(default_factory=dict)
    lapsed: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    preempt: list[tuple[Request, tuple[str, ...]]] = field(default_factory=list)  # leases to end for it


def in_order(requests: Sequence[Request], used: Mapping[str, float], config: Config) -> list[Request]:
    """The line. used: tenant -> card-seconds, past use counting less and less."""
    shares = {t.name: t.share for t in config.tenants}

    def key(request: Request) -> tuple[int, float, int, str]:
        owed = used.get(request.tenant, 0.0) / shares.get(request.tenant, 1.0)
        return (CLASS_ORDER.get(request.cls, 1), owed, request.submitted_at, request.id)

    return sorted(requests, key=key)


def decide(
    line: Sequence[Request],
    snapshot: Snapshot,
    leases: Sequence[Lease],
    config: Config,
    over_quota: Mapping[str, str] | None = None,
) -> Decisions:
    """Look at the line once. leases: the live ones; over_quota: request -> why its quota holds it back."""
    decisions = Decisions()
    now, rules = snapshot.now, config.scheduling
    live = list(leases)
    for place, request in enumerate(line):
        if request.latest_start_at is not None and request.latest_start_at < now:
            decisions.lapsed.append(request.id)
            continue
        if request.start_at is not None and request.start_at > now:
            decisions.notes[request.id] = "waits for its start time"
            continue
        if over_quota and request.id in over_quota:
            decisions.notes[request.id] = over_quota[request.id]
            continue
        if place >= rules.look_ahead:
            decisions.notes[request.id] = "not looked at yet: too far down the line"
            continue
        if decisions.promises and rules.backfill == "none":
            decisions.notes[request.id] = f"waits behind {decisions.promises[0].request.id}"
            continue
        answer = choose(request, beside(snapshot, decisions.promises, request))
        if isinstance(answer, Placement):
            decisions.starts.append((request, answer))
            snapshot = booked(snapshot, answer.holds, request.id, request.shape.exclusive or request.shape.cards == 0)
            live.append(_as_lease(request, answer, now))
            continue
        if answer.for_ever:
            nearest = f"; nearest: {answer.nearest}" if answer.nearest else ""
            decisions.impossible[request.id] = f"can never fit: {answer.why}{nearest}"
            continue
        victims = _victims(request, snapshot, live, config, decisions)
        if victims:
            decisions.preempt.append((request, victims))
        if not decisions.promises or rules.backfill == "conservative":
            promise = earliest(request, beside(snapshot, decisions.promises, request), live)
            decisions.promises.append(promise)
            decisions.notes[request.id] = _waits_for(promise, answer)
        else:
            decisions.notes[request.id] = _behind(request, answer, snapshot, decisions.promises[0])
    return decisions


def _waits_for(promise: Promise, answer: Refusals) -> str:
    if promise.at is None:
        return f"{answer.why}; nobody can say when, leases without an end are in the way"
    return f"{answer.why}; can start at {promise.at}"


def _behind(request: Request, answer: Refusals, snapshot: Snapshot, promise: Promise) -> str:
    if isinstance(choose(request, snapshot), Placement):
        return f"would delay {promise.request.id}, the first in line"
    return answer.why


def earliest(request: Request, snapshot: Snapshot, leases: Sequence[Lease]) -> Promise:
    """When and where a request could start if nobody else came: at the end of one of the leases, if at all."""
    ends = sorted({lease.end_at for lease in leases if lease.end_at is not None and lease.end_at > snapshot.now})
    low, high = 0, len(ends)
    found: tuple[int, Placement, Snapshot] | None = None
    while low < high:  # more is free the later it is, so the first end that suffices is found by halving
        middle = (low + high) // 2
        later = at_time(snapshot, leases, ends[middle])
        answer = choose(request, later)
        if isinstance(answer, Placement):
            found = (ends[middle], answer, later)
            high = middle
        else:
            low = middle + 1
    if found is None:
        return Promise(request, None, (), {})
    at, placement, later = found
    left = {}
    for hold in placement.holds:
        free = next((c.open_milli for c in later.nodes[hold.host].cards if c.key == hold.card), WHOLE)
        left[hold.host, hold.card] = max(0, free - hold.milli)
    return Promise(request, at, placement.holds, left)


def at_time(snapshot: Snapshot, leases: Sequence[Lease], at: int) -> Snapshot:
    """The fleet at a later time: leases that end by then are over, nothing else is known to change."""
    return without(replace(snapshot, now=at), [x for x in leases if x.end_at is not None and x.end_at <= at])


def without(snapshot: Snapshot, leases: Sequence[Lease]) -> Snapshot:
    """The fleet as if these leases were over."""
    freed: dict[str, dict[str, int]] = {}
    gone: dict[str, set[str]] = {}
    for lease in leases:
        for hold in lease.holds:
            cards = freed.setdefault(hold.host, {})
            cards[hold.card] = cards.get(hold.card, 0) + hold.milli
            gone.setdefault(hold.host, set()).update((lease.id, lease.request))
    nodes = dict(snapshot.nodes)
    for host, cards in freed.items():
        node = nodes.get(host)
        if node is None:
            continue
        held_by = tuple(x for x in node.held_by if x not in gone[host])
        nodes[host] = replace(
            node,
            cards=tuple(replace(c, free_milli=min(WHOLE, c.free_milli + cards.get(c.key, 0))) for c in node.cards),
            held_by=held_by,
            exclusive=node.exclusive and bool(held_by),
        )
    return replace(snapshot, nodes=nodes)


def booked(snapshot: Snapshot, holds: Sequence[Hold], name: str, exclusive: bool) -> Snapshot:
    """The fleet with these cards taken."""
    taken: dict[str, dict[str, int]] = {}
    for hold in holds:
        taken.setdefault(hold.host, {})[hold.card] = hold.milli
    nodes = dict(snapshot.nodes)
    for host, cards in taken.items():
        node = nodes[host]
        nodes[host] = replace(
            node,
            cards=tuple(replace(c, free_milli=max(0, c.free_milli - cards.get(c.key, 0))) for c in node.cards),
            held_by=(*node.held_by, name),
            exclusive=node.exclusive or exclusive or HOST_SLOT in cards,
        )
    return replace(snapshot, nodes=nodes)


def beside(snapshot: Snapshot, promises: Sequence[Promise], request: Request) -> Snapshot:
    """The fleet a later request may use: without what was promised, unless it ends before the promise falls due."""
    end_at = None if request.duration_s is None else snapshot.now + request.duration_s
    nodes = dict(snapshot.nodes)
    for promise in promises:
        if end_at is not None and (promise.at is None or end_at <= promise.at):
            continue
        if promise.at is None:
            # It could start the moment somebody leaves, so nothing without an end may settle where it could run.
            for host, node in snapshot.nodes.items():
                if not why_never(promise.request.shape, node, snapshot):
                    nodes[host] = replace(nodes[host], why_not=nodes[host].why_not or _promised(promise))
            continue
        whole = promise.request.shape.exclusive or promise.request.shape.cards == 0
        for host in dict.fromkeys(h.host for h in promise.holds):
            nodes[host] = _minus(nodes[host], promise, whole)
    return replace(snapshot, nodes=nodes)


def _minus(node: NodeView, promise: Promise, whole: bool) -> NodeView:
    if whole:
        return replace(node, why_not=node.why_not or _promised(promise))
    cards = tuple(
        replace(c, free_milli=min(c.free_milli, promise.left.get((node.host, c.key), WHOLE))) for c in node.cards
    )
    return replace(node, cards=cards, held_by=(*node.held_by, promise.request.id))


def _promised(promise: Promise) -> str:
    return f"is promised to {promise.request.id}, the first in line"


def _victims(
    request: Request, snapshot: Snapshot, leases: Sequence[Lease], config: Config, decisions: Decisions
) -> tuple[str, ...]:
    """Spot leases whose end would let an urgent request start now; () when there are none or it may not."""
    if request.cls != "urgent" or not config.scheduling.preempt:
        return ()
    taken = {lease for _, victims in decisions.preempt for lease in victims}
    started = {r.id for r, _ in decisions.starts}
    spot = [x for x in leases if x.cls == "spot" and x.id not in taken and x.request not in started]
    answer = choose(request, without(snapshot, spot))
    if not isinstance(answer, Placement):
        return ()
    alone = request.shape.exclusive or request.shape.cards == 0
    wanted = {(h.host, h.card) for h in answer.holds}
    free = {(n.host, c.key): c.open_milli for n in snapshot.nodes.values() for c in n.cards}
    need = {(h.host, h.card): h.milli for h in answer.holds}
    hosts = set(answer.hosts)
    return tuple(
        sorted(
            lease.id
            for lease in spot
            if any(
                (h.host in hosts and (alone or lease.exclusive))
                or ((h.host, h.card) in wanted and free.get((h.host, h.card), 0) < need[h.host, h.card])
                for h in lease.holds
            )
        )
    )


def _as_lease(request: Request, placement: Placement, now: int) -> Lease:
    end_at = None if request.duration_s is None else now + request.duration_s
    return Lease(
        request.id,
        request.id,
        request.tenant,
        request.who,
        LeaseState.ACTIVE,
        now,
        end_at,
        placement.holds,
        cls=request.cls,
        exclusive=request.shape.exclusive,
    )
