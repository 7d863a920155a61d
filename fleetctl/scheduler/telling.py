"""Brings our wishes to an outside scheduler and its word back to us; nothing is told twice.

A step is marked `doing` before the engine is told and `done` after its answer was read back. A crash in between leaves
`doing`, and then the node is read before anything is told again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass, field, replace

from fleetctl.errors import FleetctlError, NotFoundError
from fleetctl.model.admin import Actor, ActorKind, NodeAdmin, OutsideState, Wish
from fleetctl.model.plan import StepState
from fleetctl.model.states import Admin
from fleetctl.scheduler.backend import Backend, BackendNode, BackendView, Capability, marked
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.nodes import get_admin, list_outside, save_admin, save_outside, touch_outside
from fleetctl.store.plans import (
    BackendStep,
    get_plan,
    list_backend_steps,
    set_backend_step,
    set_plan_node,
)

ATTEMPTS = 3
FEW = 4  # nodes that are read one by one

Read = Callable[[str], Awaitable[BackendNode]]


@dataclass
class Told:
    """What one pass did. hosts by outcome."""

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    def note(self, step: BackendStep, state: StepState) -> None:
        if state is not StepState.SUPERSEDED:
            {StepState.DONE: self.done, StepState.FAILED: self.failed}.get(state, self.again).append(step.host)


async def look(
    db: Connections,
    backend: Backend,
    now: int,
    known: Container[str] | None = None,
    kept: Mapping[str, BackendNode] | None = None,
) -> BackendView:
    """Read the engine once and keep its word on every node. Raises FleetctlError; then the last word stays, with its age.

    known: hosts of the inventory; nodes of others are read past. None: all. kept: words that are in the store already.
    """
    view = await backend.read()
    ours = [node for host, node in view.nodes.items() if known is None or host in known]
    kept = kept or {}
    new = [node for node in ours if (last := kept.get(node.host)) is not node and last != node]
    states = [outside_of(backend.name, node, int(view.at)) for node in new]
    with db.read() as conn:
        before = list_outside(conn) if new else {}
        asked = {step.host for step in list_backend_steps(conn)} if new else set()
    # Almost nothing changes from round to round: the rest only gets its new age, in one statement.
    moved = [s for s in states if not _is_same(before.get(s.host), s)]
    with db.write() as conn:
        touch_outside(conn, backend.name, [node.host for node in ours], int(view.at))
        save_outside(conn, moved)
        for state in moved:
            if state.host not in asked:
                _let_go(conn, backend.name, before.get(state.host), state, now)
            old = before.get(state.host)
            if old is not None and (old.state, old.reason) == (state.state, state.reason):
                continue
            if old is None and state.state is Admin.IN_SERVICE:
                continue
            who = Actor(ActorKind.OUTSIDE, f"{backend.name}:{state.owner}" if state.owner else backend.name)
            body = {"from": old.state.value if old else None, "to": state.state.value, "reason": state.reason}
            append_audit(conn, now, who, "outside", state.host, body)
    return view


def _is_same(old: OutsideState | None, new: OutsideState) -> bool:
    """Nothing but the age differs. A node in no state of its own begins `since` anew each round."""
    return old is not None and replace(new, since_at=old.since_at, seen_at=old.seen_at) == old


def _let_go(conn: sqlite3.Connection, backend: str, old: OutsideState | None, new: OutsideState, now: int) -> None:
    """Somebody resumed there what we had drained: the owner of the node has the last word, so our wish ends."""
    resumed = (
        old is not None
        and old.backend == backend
        and old.ours
        and old.state is not Admin.IN_SERVICE
        and new.state is Admin.IN_SERVICE
    )
    if not resumed:
        return
    record = get_admin(conn, new.host)
    if record.wish not in (Wish.CORDON, Wish.DRAIN, Wish.MAINT):
        return  # never asked for there, or held for a reason a scheduler cannot judge (quarantine, repair)
    who = Actor(ActorKind.OUTSIDE, backend)
    save_admin(
        conn,
        NodeAdmin(
            record.host,
            Wish.SERVE,
            record.version + 1,
            owner=who,
            since_at=now,
            observed=record.observed,
            observed_at=record.observed_at,
            released=f"resumed in {backend} by somebody else",
        ),
    )
    body = {"from": record.wish.value, "to": Wish.SERVE.value, "why": "resumed there by somebody else"}
    append_audit(conn, now, who, "resume", new.host, body)


def outside_of(backend: str, node: BackendNode, at: int) -> OutsideState:
    """A node's word as it is kept."""
    return OutsideState(
        *(node.host, backend, node.state, node.owner, node.reason, node.ours, node.busy, node.since_at or at, at),
        *(node.word, node.responding, node.cards, node.cards_used, node.partitions, node.parts),
    )


async def tell(db: Connections, backend: Backend, now: int) -> Told:
    """Carry out what is open for this engine, cordons of a plan before anything else of it.

    A few nodes are read one by one; many are read by one bulk query before and one after, never one each.
    """
    told = Told()
    with db.read() as conn:
        steps = [s for s in list_backend_steps(conn) if s.backend == backend.name]
    if not steps:
        return told
    able = await backend.capabilities()
    bulk = len(steps) > FEW
    read = await _read_all(backend) if bulk else backend.read_node
    begun: list[BackendStep] = []
    for step in steps:
        outcome = await _begin(db, backend, read, able, step, now)
        if isinstance(outcome, BackendStep):
            begun.append(outcome)
            if bulk:
                continue
            outcome = await _verify(db, backend, read, outcome, now)
        told.note(step, outcome)
    if bulk and begun:
        read = await _read_all(backend)
        for step in begun:
            told.note(step, await _verify(db, backend, read, step, now))
    return told


async def _read_all(backend: Backend) -> Read:
    """A look-up in one bulk answer; when that failed, each look-up fails the same way."""
    try:
        nodes = (await backend.read()).nodes
    except FleetctlError as error:
        failed = error

        async def fail(host: str) -> BackendNode:
            raise failed

        return fail

    async def find(host: str) -> BackendNode:
        if host not in nodes:
            raise NotFoundError(f"{backend.name} knows no node {host}")
        return nodes[host]

    return find


async def _begin(
    db: Connections, backend: Backend, read: Read, able: frozenset[Capability], step: BackendStep, now: int
) -> StepState | BackendStep:
    """Tell it, once: the step as it is then, to be read back. Or the state it has without being told."""
    with db.read() as conn:
        plan, record = get_plan(conn, step.plan), get_admin(conn, step.host)
    if record.plan != step.plan:
        with db.write() as conn:
            set_backend_step(conn, step, StepState.SUPERSEDED, now, "a newer wish took over")
        return StepState.SUPERSEDED
    try:
        node = await read(step.host)
    except NotFoundError as error:
        return _close(db, step, StepState.FAILED, now, str(error), None, backend.name)
    except FleetctlError:
        return StepState.PENDING  # nobody knows: nothing is told until it answers
    if reached(node, step.verb):
        return _close(db, step, StepState.DONE, now, "" if step.attempts else "was so already", node, backend.name)
    refused = why_not_told(node, step, able, take_over=bool(plan and plan.take_over))
    if refused:
        return _close(db, step, StepState.FAILED, now, refused, node, backend.name)
    if step.attempts >= ATTEMPTS:
        return _close(db, step, StepState.FAILED, now, step.note or "did not take effect", node, backend.name)
    with db.write(durable=True) as conn:
        if get_admin(conn, step.host).plan != step.plan or not set_backend_step(conn, step, StepState.DOING, now):
            return StepState.PENDING  # somebody else took it
    step = replace(step, state=StepState.DOING, attempts=step.attempts + 1)
    try:
        if step.verb == "resume":
            await backend.resume(step.host)
        else:
            await backend.drain(step.host, marked(step.plan, str(plan.reason if plan and plan.reason else "")))
    except FleetctlError as error:
        with db.write() as conn:
            set_backend_step(conn, step, StepState.PENDING, now, str(error))
        return StepState.PENDING
    return step


async def _verify(db: Connections, backend: Backend, read: Read, step: BackendStep, now: int) -> StepState:
    """Read back what was told."""
    try:
        node = await read(step.host)
    except FleetctlError as error:
        with db.write() as conn:
            set_backend_step(conn, step, StepState.PENDING, now, str(error))
        return StepState.PENDING
    if reached(node, step.verb):
        return _close(db, step, StepState.DONE, now, "", node, backend.name)
    with db.write() as conn:
        set_backend_step(conn, step, StepState.PENDING, now, f"is {node.word} after it was told")
    return StepState.PENDING


def reached(node: BackendNode, verb: str) -> bool:
    """Is the node where the step wants it?"""
    out = node.state is not Admin.IN_SERVICE if node.held is None else node.held
    return out != (verb == "resume")


def why_not_told(node: BackendNode, step: BackendStep, able: frozenset[Capability], *, take_over: bool) -> str:
    """Why an engine is not asked for this; "" when it may be."""
    need = Capability.RESUME if step.verb == "resume" else Capability.DRAIN
    if need not in able:
        return (
            f"{step.backend} does not let us {need.value} with these rights; `fleetctl doctor` says which are missing"
        )
    if step.verb == "resume" and not node.ours and not take_over:
        return f"taken out by {node.owner or step.backend} ({node.reason or 'no reason given'}), not by us"
    return ""


def _close(
    db: Connections,
    step: BackendStep,
    state: StepState,
    now: int,
    note: str,
    node: BackendNode | None,
    backend: str,
) -> StepState:
    """End a step. node: as it was read, None when the engine does not know it."""
    who = Actor(ActorKind.RULE, backend)
    with db.write() as conn:
        if not set_backend_step(conn, step, state, now, note):
            return StepState.PENDING  # somebody else closed it
        if node is not None:
            save_outside(conn, [outside_of(backend, node, now)])
        if state is StepState.FAILED:
            set_plan_node(conn, step.plan, step.host, "", StepState.FAILED, now, note=note)
            append_audit(conn, now, who, "backend_failed", step.host, {"why": note})
        else:
            append_audit(conn, now, who, f"told_{step.verb}", step.host, {"plan": step.plan, "note": note})
    return state
