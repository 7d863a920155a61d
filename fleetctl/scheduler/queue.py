"""The live line: its order, and what one look at it decides. Nothing is booked here.

Order: class (urgent, normal, spot), then who has waited beyond patience or was promised a time, then what a tenant used against its share, then the
key of the order in force (`scheduling.order`), then who came first. The look itself is the core's (`packing.line`),
the same that `fleetctl simulate` plays traces into.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fleetctl.config.schema import Config
from fleetctl.model.lease import Lease, Request
from fleetctl.scheduler.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetctl.scheduler.fleet_core import FleetCore
    from fleetctl.scheduler.packing.line import Look
    from fleetctl.scheduler.packing.orders import Order
    from fleetctl.scheduler.packing.policies import Policy
    from fleetctl.scheduler.packing.promises import Promise as CorePromise
    from fleetctl.scheduler.packing.state import Floats, Mask, Share

CLASS_ORDER: Mapping[str, int] = {"urgent": 0, "normal": 1, "spot": 2}
OPEN_ENDED_S = 7 * 86_400.0  # how long a lease without an end counts in the order of the line


@dataclass(frozen=True, slots=True)
class Promise:
    """When a request can start, and on which nodes. at None: it waits for leases without an end."""

    request: Request
    at: int | None
    hosts: tuple[str, ...]
    core: CorePromise = field(repr=False, compare=False)


@dataclass
class Decisions:
    """What one look at the queue decided. notes: request -> what it waits for; nothing here was done yet."""

    starts: list[tuple[Request, Placement]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    impossible: dict[str, str] = field(default_factory=dict)
    lapsed: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    preempt: list[tuple[Request, tuple[str, ...]]] = field(default_factory=list)  # leases to end for it


def policy_of(config: Config) -> tuple[Policy, Order]:
    """Where requests go and who is next, as fleet.toml says it."""
    from fleetctl.scheduler.packing.orders import ORDERS
    from fleetctl.scheduler.packing.policies import POLICIES

    rules, order = config.scheduling, ORDERS[config.scheduling.order]
    return POLICIES[rules.policy], replace(
        order,
        backfill=order.backfill and rules.backfill != "none",
        promises_all=rules.backfill == "conservative",
        keeps_turn=rules.keep_promises,
    )


@dataclass(frozen=True, slots=True)
class Turns:
    """What the line remembers of those who wait. promised: ids of who was first and was told a time; due: request ->
    from when on it is passed by nobody of its class."""

    promised: Collection[str] = ()
    due: Mapping[str, float] = field(default_factory=dict)


def with_dues(
    turns: Turns, queue: Sequence[Request], leases: Sequence[Lease], config: Config, cards: int, now: int
) -> Turns:
    """For whoever came since: so many times as long as all that waits and runs would take the fleet (`Order.patience`).

    Nobody waits without end, whatever shorter requests keep coming. cards: of the whole fleet.
    """
    patience = policy_of(config)[1].patience
    kept = {r.id: turns.due[r.id] for r in queue if r.id in turns.due}
    new = [r for r in queue if r.id not in kept]
    if not patience or not new:
        return replace(turns, due=kept)
    work = sum(_expected_s(r) * _cards(r) for r in queue)
    for lease in leases:
        left = OPEN_ENDED_S if lease.end_at is None else max(0, lease.end_at - now)
        work += left * sum(h.milli for h in lease.holds) / 1000.0
    for request in new:
        kept[request.id] = now + patience * max(0.0, work - _expected_s(request) * _cards(request)) / max(1, cards)
    return replace(turns, due=kept)


def _expected_s(request: Request) -> float:
    return OPEN_ENDED_S if request.duration_s is None else float(request.duration_s)


def _cards(request: Request) -> float:
    shape = request.shape
    return shape.nodes * max(1, shape.cards) * shape.milli / 1000.0


def in_order(
    requests: Sequence[Request], used: Mapping[str, float], config: Config, turns: Turns | None = None, now: int = 0
) -> list[Request]:
    """The line. used: tenant -> card-seconds, past use counting less and less."""
    turns = turns or Turns()
    shares = {t.name: t.share for t in config.tenants}
    _where, order = policy_of(config)

    def key(request: Request) -> tuple[int, int, float, float, int, str]:
        owed = used.get(request.tenant, 0.0) / shares.get(request.tenant, 1.0)
        shape = request.shape
        cards = shape.nodes * max(1, shape.cards)
        place = order.key(request.submitted_at, _expected_s(request), cards, gang=shape.nodes > 1)
        turn = 0 if order.keeps_turn and request.id in turns.promised else 1
        if turns.due.get(request.id, math.inf) <= now:
            turn, owed, place = -1, 0.0, float(request.submitted_at)
        return (CLASS_ORDER.get(request.cls, 1), turn, owed, place, request.submitted_at, request.id)

    return sorted(requests, key=key)


def look_at(
    line: Sequence[Request],
    core: FleetCore,
    leases: Sequence[Lease],
    config: Config,
    over_quota: Mapping[str, str] | None = None,
) -> Decisions:
    """Look at the line once. What starts holds its shares in the core from then on, under the request's id."""
    from fleetctl.scheduler.packing.line import Line

    decisions, now = Decisions(), core.now
    order = policy_of(config)[1]
    waiting = Line(core.packer, core.ends, order, config.scheduling.look_ahead)
    asking = _Asking(core, line, decisions)
    can: dict[object, str] = {}
    unknown: dict[object, str] = {}
    queued: list[int] = []
    for place, request in enumerate(line):
        if request.latest_start_at is not None and request.latest_start_at < now:
            decisions.lapsed.append(request.id)
            continue
        kind = core.kind(request.shape)
        if kind not in can:
            never = core.never(request)
            nearest = f"; nearest: {never.nearest}" if never and never.nearest else ""
            can[kind] = f"can never fit: {never.why}{nearest}" if never else ""
            unknown[kind] = "" if never else core.not_known(request)
        if can[kind]:
            decisions.impossible[request.id] = can[kind]  # said at once, whatever else it would wait for
            continue
        if unknown[kind]:
            decisions.notes[request.id] = unknown[kind]  # nobody stands behind what may never be
            continue
        if request.start_at is not None and request.start_at > now:
            decisions.notes[request.id] = "waits for its start time"
            continue
        if over_quota and request.id in over_quota:
            decisions.notes[request.id] = over_quota[request.id]
            continue
        queued.append(place)
        waiting.add(place, kind, (0, 1, place))
    look = waiting.serve(now, asking)
    _promise(decisions, core, line, look)
    _explain(decisions, core, line, queued, look, order)
    _preempt(decisions, core, line, look, leases, config)
    return decisions


class _Asking:
    """What the core asks of requests, by their place in the line."""

    def __init__(self, core: FleetCore, line: Sequence[Request], decisions: Decisions) -> None:
        self._core, self._line, self._decisions = core, line, decisions

    def expected(self, job: int) -> float:
        duration = self._line[job].duration_s
        return math.inf if duration is None else float(duration)

    def allowed(self, job: int) -> Mask | None:
        return self._core.allowed(self._line[job])

    def ready(self, job: int) -> Callable[[Floats], None] | None:
        return self._core.ready(self._line[job])

    def start(self, job: int, shares: tuple[Share, ...], expected: float) -> None:
        request = self._line[job]
        self._core.begin(request.id, shares, self._core.now + expected)
        self._decisions.starts.append((request, self._core.placement(shares)))


def _promise(decisions: Decisions, core: FleetCore, line: Sequence[Request], look: Look) -> None:
    for job, promise in look.promises:
        decisions.promises.append(Promise(line[job], moment_of(promise), core.hosts(promise.nodes), promise))


def moment_of(promise: CorePromise) -> int | None:
    """In whole seconds, up; None when nobody can say."""
    return None if math.isinf(promise.at) else math.ceil(promise.at)


def _explain(
    decisions: Decisions, core: FleetCore, line: Sequence[Request], queued: Sequence[int], look: Look, order: Order
) -> None:
    """A note for everybody who waits. One that was not looked at waits behind the first of its kind."""
    promised = {p.request.id: p for p in decisions.promises}
    started = {request.id for request, _ in decisions.starts}
    first: dict[object, str] = {}  # kind -> the one of it that was refused
    head = next(iter(decisions.promises), None)
    for job, barred in look.refused:
        request = line[job]
        first.setdefault(core.kind(request.shape), request.id)
        promise = promised.get(request.id)
        if promise is not None:
            when = "nobody can say when"
            if promise.at is None and core.has_open_ends(promise.core.nodes):
                when += ", leases without an end are in the way"
            when = when if promise.at is None else f"can start at {promise.at}"
            decisions.notes[request.id] = f"{core.why_waits(request)}; {when}"
        elif barred and head is not None and core.choose(request):
            decisions.notes[request.id] = f"would delay {head.request.id}, the first in line"
        else:
            decisions.notes[request.id] = core.why_waits(request)
    for place in queued:
        request = line[place]
        if request.id in decisions.notes or request.id in started:
            continue
        before = first.get(core.kind(request.shape))
        if not order.backfill and look.refused:
            before = line[look.refused[0][0]].id
        decisions.notes[request.id] = f"waits behind {before}" if before else "not looked at yet: too far down the line"


def _preempt(
    decisions: Decisions,
    core: FleetCore,
    line: Sequence[Request],
    look: Look,
    leases: Sequence[Lease],
    config: Config,
) -> None:
    """Spot leases whose end would let an urgent request start now, where that is allowed."""
    urgent = [line[job] for job, _ in look.refused if line[job].cls == "urgent"]
    if not config.scheduling.preempt or not urgent:
        return
    spot = {x.id: x for x in leases if x.cls == "spot"}
    for request in urgent:
        kind = core.kind(request.shape)
        with core.without(spot):
            shares = core.choose(request)
        if not shares:
            continue
        need = {(s.node, place): milli for s in shares for place, milli in s.devices}
        alone = {s.node for s in shares} if kind.alone else set()
        victims = []
        for name, held in core.held_on([s.node for s in shares]).items():
            if name in spot and any(
                h.node in alone
                or (h.alone and any(h.node == s.node for s in shares))
                or any(core.packer.card_milli(h.node)[c] < need.get((h.node, c), 0) for c, _ in h.devices)
                for h in held
            ):
                victims.append(name)
                del spot[name]
        if victims:
            decisions.preempt.append((request, tuple(sorted(victims))))
