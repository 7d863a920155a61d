"""One step of everything the scheduler does by itself: ends, drains, windows, queue. Called once a round."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.lease import Request, RequestState
from fleetctl.scheduler.drainer import Steps, drain_step
from fleetctl.scheduler.fairshare import fair_use
from fleetctl.scheduler.hooks import finish_ending
from fleetctl.scheduler.leasing import Quotas, end, grant_many
from fleetctl.scheduler.placement import ChipFacts
from fleetctl.scheduler.queue import Decisions, Turns
from fleetctl.scheduler.troubles import watch
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.leases import due_leases
from fleetctl.store.requests import decide_request, list_queue, note_request
from fleetctl.store.reservations import end_past_reservations, list_reservations
from fleetctl.store.scheduler_facts import get_fact, queue_fingerprint, set_fact

QUEUE = Actor(ActorKind.RULE, "queue")
CLOCK = Actor(ActorKind.RULE, "clock")
QUEUE_S = 5  # windows and promises come with time alone; a look with nothing new costs 10 ms at 12,500 nodes
BATCH = 250  # grants in one transaction: others wait for it a tenth of a second
TURNS = "turns"  # fact: what the line remembers of those who wait
CLOCK_NOTE_S = 30  # how often the time is noted; a tick that has nothing to do writes nothing

# What the queue was last looked at with, per open store; forgotten with it.
_looked: WeakKeyDictionary[Connections, tuple[tuple[int, ...], int]] = WeakKeyDictionary()


@dataclass
class TickResult:
    """What one tick did. clock: words when the time was not believed, "" when it was."""

    drain: Steps = field(default_factory=Steps)
    ended: list[str] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    impossible: list[str] = field(default_factory=list)
    lapsed: list[str] = field(default_factory=list)
    preempted: list[str] = field(default_factory=list)
    clock: str = ""

    @property
    def did_anything(self) -> bool:
        """True when the fleet's state was changed."""
        steps = self.drain
        return any(
            (
                steps.began,
                steps.observed,
                steps.ended,
                steps.closed,
                self.ended,
                self.granted,
                self.impossible,
                self.lapsed,
                self.preempted,
            )
        )


def tick(
    db: Connections,
    inventory: Inventory,
    now: float,
    *,
    config: Config | None = None,
    chips: Mapping[str, ChipFacts] | None = None,
) -> TickResult:
    """Take the next step of everything. Safe to call again at any time, and to be killed at any point."""
    config = config or Config()
    at = int(now)
    result = TickResult(clock=watch_clock(db, config, at))
    trusted = not result.clock
    if trusted:
        result.ended = _end_due(db, config, at)
        _close_reservations(db, at)
    finish_ending(db, at)
    result.drain = drain_step(db, inventory, config, at, trust_clock=trusted)
    watch(db, at)
    if trusted and _queue_may_move(db, at):
        serve_queue(db, inventory, config, at, chips, result)
    return result


def _queue_may_move(db: Connections, now: int) -> bool:
    """Is there a queue, and did anything change since it was last looked at? Time alone counts every QUEUE_S."""
    with db.read() as conn:
        mark = queue_fingerprint(conn)
    if not mark[0]:
        return False
    seen = _looked.get(db)
    if seen is not None and seen[0] == mark and 0 <= now - seen[1] < QUEUE_S:
        return False
    _looked[db] = (mark, now)
    return True


def watch_clock(db: Connections, config: Config, now: int) -> str:
    """Why this moment is not believed, "" when it is.

    A jump ahead is believed when a second tick confirms it; until then nothing is ended or begun on its strength. A
    step back needs no guard: everything that waits for a time just waits longer.
    """
    with db.read() as conn:
        fact = get_fact(conn, "clock") or {}
    suspect = fact.get("suspect")
    last: int = fact.get("last", now)
    doubt = now - last > config.scheduling.clock_jump_s and (suspect is None or now < suspect)
    if not doubt and suspect is None and fact and abs(now - last) < CLOCK_NOTE_S:
        return ""
    with db.write() as conn:
        if doubt:
            set_fact(conn, "clock", {"last": last, "suspect": now})
            append_audit(conn, now, CLOCK, "clock_jump", "clock", {"last": last, "now": now})
            return f"the clock went ahead by {now - last} s since the last tick; nothing ends until the next one agrees"
        set_fact(conn, "clock", {"last": now, "suspect": None})
    return ""


def _end_due(db: Connections, config: Config, now: int) -> list[str]:
    with db.read() as conn:
        due = due_leases(conn, now)
    ended = []
    for lease in due:
        with db.write() as conn:
            # It may have been renewed since we looked.
            if lease in due_leases(conn, now) and end(conn, config, lease, now, QUEUE, "its time is over"):
                ended.append(lease)
    return ended


def _close_reservations(db: Connections, now: int) -> None:
    with db.read() as conn:
        due = any(r.end_at is not None and r.end_at <= now for r in list_reservations(conn))
    if due:
        with db.write() as conn:
            end_past_reservations(conn, now)


def serve_queue(
    db: Connections,
    inventory: Inventory,
    config: Config,
    now: int,
    chips: Mapping[str, ChipFacts] | None,
    result: TickResult,
) -> None:
    """Look at the queue once and book what may start. Safe from several processes: each booking is asked again."""
    from fleetctl.scheduler.kept import kept_fleet
    from fleetctl.scheduler.queue import in_order, look_at, with_dues

    with ExitStack() as stack:
        with db.read() as conn:
            queue = list_queue(conn)
            if not queue:
                return
            fleet = stack.enter_context(kept_fleet(db, conn, inventory, config, now, chips))
            used = fair_use(conn, config, now)
            quotas = Quotas(conn, config)
            turns = load_turns(conn)
        over = {r.id: why for r in queue if (why := quotas.why_over(r.tenant, _cards_asked(r)))}
        leases = list(fleet.leases.values())
        turns = with_dues(turns, queue, leases, config, fleet.core.packer.total_milli // 1000, now)
        decisions = look_at(in_order(queue, used, config, turns, now), fleet.core, leases, config, over)
        for start in range(0, len(decisions.starts), BATCH):
            batch = decisions.starts[start : start + BATCH]
            with db.write(durable=True) as conn:
                granted, failed = grant_many(conn, config, batch, now, QUEUE)
            fleet.granted(granted)
            result.granted += [lease.id for lease in granted]
            for lost, why in failed.items():
                fleet.core.end(lost)
                decisions.notes[lost] = f"{why}; tried again at the next tick"
        for request, victims in decisions.preempt:
            with db.write(durable=True) as conn:
                why = f"preempted by {request.id} ({request.tenant})"
                result.preempted += [v for v in victims if end(conn, config, v, now, QUEUE, why)]
        _answer(db, decisions, {r.id: r.note for r in queue}, turns, now, result)


def _cards_asked(request: Request) -> float:
    shape = request.shape
    return shape.nodes * shape.cards * shape.milli / 1000.0


def load_turns(conn: sqlite3.Connection) -> Turns:
    """What the line remembers of those who wait, as the last look left it."""
    fact = get_fact(conn, TURNS) or {}
    return Turns(tuple(fact.get("promised", ())), fact.get("due", {}))


def _turns_after(turns: Turns, decisions: Decisions) -> dict[str, Any]:
    """Of those who still wait: who was told a time as first of the line, and until when each may be passed."""
    waiting = decisions.notes
    first = [p.request.id for p in decisions.promises if p.at is not None][:1]
    promised = sorted({x for x in turns.promised if x in waiting} | set(first))
    return {"promised": promised, "due": {x: at for x, at in turns.due.items() if x in waiting}}


def _answer(
    db: Connections,
    decisions: Decisions,
    before: Mapping[str, str],
    turns: Turns,
    now: int,
    result: TickResult,
) -> None:
    """Tell those who wait why, and those who cannot have it that they cannot. before: request -> its note until now."""
    notes = {request: note for request, note in decisions.notes.items() if before.get(request) != note}
    after = _turns_after(turns, decisions)
    with db.read() as conn:
        same = (get_fact(conn, TURNS) or {"promised": [], "due": {}}) == after
    if same and not notes and not decisions.impossible and not decisions.lapsed:
        return
    with db.write() as conn:
        if not same:
            set_fact(conn, TURNS, after)
        for request, why in decisions.impossible.items():
            if decide_request(conn, request, RequestState.IMPOSSIBLE, now, note=why):
                append_audit(conn, now, QUEUE, "impossible", request, {"why": why})
                result.impossible.append(request)
        for request in decisions.lapsed:
            why = "its latest start has passed"
            if decide_request(conn, request, RequestState.LAPSED, now, note=why):
                append_audit(conn, now, QUEUE, "lapsed", request, {"why": why})
                result.lapsed.append(request)
        for request, note in notes.items():
            note_request(conn, request, note)
