"""From a confirmed plan to saved wishes: all nodes in one transaction, so that work cannot hop from one to the next."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, replace
from typing import Any

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, ActorKind, CardAdmin, DrainMode, NodeAdmin, Reason, Wish
from fleetctl.model.plan import Plan, PlanState, StepState
from fleetctl.model.states import Admin, ReasonClass
from fleetctl.scheduler.breaker import pass_breaker
from fleetctl.scheduler.guards import check_guards
from fleetctl.scheduler.picture import Picture, load_picture
from fleetctl.scheduler.states import derive, why_not
from fleetctl.scheduler.troubles import resolve_hook_troubles
from fleetctl.store.audit import append_audit
from fleetctl.store.capacity import list_work
from fleetctl.store.nodes import save_admin, save_card_admin
from fleetctl.store.plans import (
    BackendStep,
    PlanNodeRow,
    ends_processes,
    insert_backend_steps,
    list_plan_nodes,
    set_plan_node,
    set_plan_state,
)

# Wishes that end running work: the node is not where it should be until nothing runs there.
EMPTYING = frozenset({Wish.DRAIN, Wish.MAINT, Wish.RMA, Wish.RETIRE})


def begin_plan(
    conn: sqlite3.Connection, inventory: Inventory, config: Config, plan: Plan, who: Actor, now: int
) -> PlanState:
    """Save the wish of every node of a saved plan, with its audit entries, in the caller's transaction.

    Guards and breaker are asked again with the fleet as it is now: HELD when one says no, with the reason in its note.
    A node that somebody else changed since the plan was made is left alone and marked superseded.
    """
    picture = load_picture(conn, config, now, only=plan.hosts)
    held = _why_held(conn, inventory, config, plan, who, now, picture)
    if held:
        set_plan_state(conn, plan.id, PlanState.HELD, note=held)
        return PlanState.HELD
    rows = list_plan_nodes(conn, plan.id)
    versions = {n.host: n.version for n in plan.nodes}
    steps: list[BackendStep] = []
    for row in rows:
        if row.state is not StepState.PENDING:
            continue
        if plan.undo_of is not None:
            _undo_node(conn, plan, row, picture, who, now)
            continue
        if row.card:
            _move_card(conn, plan, row, picture, who, now, config)
            continue
        record = picture.record(row.host)
        outside = picture.outside.get(row.host)
        harder = is_harder(record, plan.mode, plan.deadline_at) or ends_more(conn, record, plan.end_processes)
        state = picture.state(row.host)
        refused = why_not(plan.verb, record, outside, state, who, take_over=plan.take_over, harder=harder)
        # A window is planned days ahead: what happened to the node in between is no reason to leave it out.
        if record.version != versions[row.host] and plan.start_at is None:
            refused = refused or f"changed by {record.owner or 'somebody'} since the plan was made"
        if refused:
            set_plan_node(conn, plan.id, row.host, "", StepState.SUPERSEDED, now, note=refused)
            continue
        moved = wished(record, plan, who, now)
        save_admin(conn, moved)
        append_audit(conn, now, who, plan.verb, row.host, _audit_body(record, moved, plan))
        if plan.wish is Wish.SERVE:
            resolve_hook_troubles(conn, now, row.host, str(who))
        busy = picture.busy(row.host)
        waiting = plan.wish in EMPTYING and busy is not False
        if outside is not None:
            steps.extend(_backend_steps(plan, row, outside.backend))
        step = StepState.WAITING if waiting or outside is not None else StepState.DONE
        set_plan_node(conn, plan.id, row.host, "", step, now, before=record_json(record), after_version=moved.version)
    insert_backend_steps(conn, steps)
    set_plan_state(conn, plan.id, PlanState.RUNNING, note="", applied_at=now)
    return close_plan(conn, plan.id, now)


def close_plan(conn: sqlite3.Connection, plan: str, now: int) -> PlanState:
    """DONE when nothing of a running plan is left to do, else RUNNING."""
    states = [r.state for r in list_plan_nodes(conn, plan)]
    if any(s in (StepState.PENDING, StepState.DOING, StepState.WAITING) for s in states):
        return PlanState.RUNNING
    set_plan_state(conn, plan, PlanState.DONE)
    return PlanState.DONE


def wished(record: NodeAdmin, plan: Plan, who: Actor, now: int) -> NodeAdmin:
    """The record after the plan: one version on. Coming back clears why it left and keeps what released it."""
    if plan.wish is Wish.SERVE:
        released = f"{plan.verb} by {who}" + (f": {plan.reason}" if plan.reason else "")
        if plan.evidence:
            released += f" ({plan.evidence})"
        return NodeAdmin(
            record.host,
            Wish.SERVE,
            record.version + 1,
            owner=who,
            plan=plan.id,
            since_at=now,
            observed=record.observed,
            observed_at=record.observed_at,
            released=released,
        )
    deadline = now if plan.mode is DrainMode.NOW else plan.deadline_at
    return replace(
        record,
        wish=plan.wish,
        version=record.version + 1,
        owner=who,
        reason=plan.reason,
        ticket=plan.ticket,
        mode=plan.mode,
        deadline_at=deadline if plan.mode is not DrainMode.WAIT else None,
        expected_return_at=plan.expected_return_at or plan.end_at,
        evidence=plan.evidence,
        plan=plan.id,
        since_at=now,
        released="",
    )


def is_harder(record: NodeAdmin | CardAdmin, mode: DrainMode, deadline_at: float | None) -> bool:
    """Would this drain treat running work otherwise than the one in force?"""
    return mode is not record.mode or (mode is DrainMode.DEADLINE and deadline_at != record.deadline_at)


def ends_more(conn: sqlite3.Connection, record: NodeAdmin | CardAdmin, end_processes: bool) -> bool:
    """Would this drain end processes that the one in force leaves alone?"""
    return end_processes and record.plan is not None and not ends_processes(conn, record.plan)


def _why_held(
    conn: sqlite3.Connection, inventory: Inventory, config: Config, plan: Plan, who: Actor, now: int, picture: Picture
) -> str:
    if plan.wish is Wish.SERVE and plan.undo_of is None:
        return ""
    whole = [n.host for n in plan.nodes if not n.cards and n.after is not Admin.IN_SERVICE]
    refusals = [g for g in check_guards(inventory, config, picture.out_of_service(), whole) if not g.ok]
    if refusals:
        return str(refusals[0])
    return pass_breaker(conn, config, now, who, plan.verb, plan.hosts)


def _move_card(
    conn: sqlite3.Connection, plan: Plan, row: PlanNodeRow, picture: Picture, who: Actor, now: int, config: Config
) -> None:
    record = picture.card_record(row.host, row.card)
    harder = is_harder(record, plan.mode, plan.deadline_at) or ends_more(conn, record, plan.end_processes)
    if record.wish is plan.wish and not (harder and plan.wish in EMPTYING and picture.card_busy(row.host, row.card)):
        note = f"is {plan.wish.value} already"
        set_plan_node(conn, plan.id, row.host, row.card, StepState.SUPERSEDED, now, note=note)
        return
    deadline = now if plan.mode is DrainMode.NOW else plan.deadline_at
    serving = plan.wish is Wish.SERVE
    moved = CardAdmin(
        row.host,
        row.card,
        plan.wish,
        record.version + 1,
        who,
        None if serving else plan.reason,
        plan.mode,
        deadline if plan.mode is not DrainMode.WAIT and not serving else None,
        plan.id,
        now,
    )
    save_card_admin(conn, moved)
    body = {"card": row.card, "wish": plan.wish.value, "reason": str(plan.reason or ""), "plan": plan.id}
    append_audit(conn, now, who, plan.verb, row.host, body)
    waiting = plan.wish in EMPTYING and (bool(picture.leases(row.host, row.card)) or _has_work(conn, config, row))
    state = StepState.WAITING if waiting else StepState.DONE
    before = {"wish": record.wish.value, "reason": str(record.reason or ""), "version": record.version}
    set_plan_node(conn, plan.id, row.host, row.card, state, now, before=before, after_version=moved.version)


def _has_work(conn: sqlite3.Connection, config: Config, row: PlanNodeRow) -> bool:
    """Does a process hold this card?"""
    settings = config.scheduling
    work = list_work(conn, row.host, settings.drain_ignores) if settings.drain_waits_for_processes else []
    return any(p.device == row.card for p in work)


def _undo_node(conn: sqlite3.Connection, plan: Plan, row: PlanNodeRow, picture: Picture, who: Actor, now: int) -> None:
    """Put one node (or card) back to what it was before the plan that is undone, if nobody changed it since."""
    assert plan.undo_of is not None
    done = {(r.host, r.card): r for r in list_plan_nodes(conn, plan.undo_of)}.get((row.host, row.card))
    if done is None or done.before is None:
        set_plan_node(conn, plan.id, row.host, row.card, StepState.SUPERSEDED, now, note="there is nothing to undo")
        return
    version = picture.card_record(row.host, row.card).version if row.card else picture.record(row.host).version
    if version != done.after_version:
        set_plan_node(
            conn, plan.id, row.host, row.card, StepState.SUPERSEDED, now, note="changed since by somebody else"
        )
        return
    if row.card:
        old = CardAdmin(
            row.host, row.card, Wish(done.before["wish"]), version + 1, who, None, plan=plan.id, since_at=now
        )
        save_card_admin(conn, old)
        wish = old.wish
    else:
        record = picture.record(row.host)
        back = replace(
            record_of(done.before),
            version=version + 1,
            plan=plan.id,
            since_at=now,
            observed=record.observed,
            observed_at=record.observed_at,
            released=f"undo of {plan.undo_of} by {who}",
        )
        save_admin(conn, back)
        wish = back.wish
        outside = picture.outside.get(row.host)
        if outside is not None:
            insert_backend_steps(conn, _backend_steps(plan, row, outside.backend, wish))
    body = {"plan": plan.id, "undo_of": plan.undo_of, "wish": wish.value, "version": version + 1}
    append_audit(conn, now, who, "undo", row.host, {**body, "card": row.card} if row.card else body)
    set_plan_node(conn, plan.id, row.host, row.card, StepState.DONE, now, after_version=version + 1)
    set_plan_node(conn, plan.undo_of, row.host, row.card, StepState.UNDONE, now)


def _backend_steps(plan: Plan, row: PlanNodeRow, backend: str, wish: Wish | None = None) -> list[BackendStep]:
    """What the owner of a node must be told. Cordons sort before drains, so that they are all told first."""
    wish = plan.wish if wish is None else wish
    verb = "resume" if wish is Wish.SERVE else "drain"
    order = "1" if verb == "drain" else "2"
    return [BackendStep(f"{plan.id}/{order}-{verb}/{row.host}", plan.id, row.host, backend, verb, StepState.PENDING)]


def _audit_body(before: NodeAdmin, after: NodeAdmin, plan: Plan) -> dict[str, Any]:
    return {
        "plan": plan.id,
        "from": before.wish.value,
        "to": after.wish.value,
        "version": after.version,
        "reason": str(plan.reason or ""),
        "mode": plan.mode.value,
        "deadline_at": after.deadline_at,
        "ticket": plan.ticket,
        "expected_return_at": after.expected_return_at,
        "evidence": plan.evidence,
        "released": after.released,
    }


def record_json(record: NodeAdmin) -> dict[str, Any]:
    """A record as plain JSON values, for undo."""
    return asdict(record)


def record_of(raw: dict[str, Any]) -> NodeAdmin:
    """The record that `record_json` wrote."""
    owner, reason = raw["owner"], raw["reason"]
    return NodeAdmin(
        **{
            **raw,
            "wish": Wish(raw["wish"]),
            "mode": DrainMode(raw["mode"]),
            "observed": Admin(raw["observed"]),
            "owner": Actor(ActorKind(owner["kind"]), owner["name"]) if owner else None,
            "reason": Reason(ReasonClass(reason["cls"]), reason["text"]) if reason else None,
        }
    )


def refuse_held(state: PlanState, note: str) -> None:
    """Raise ConflictError for a plan that a guard holds back, for callers who want it now or not at all."""
    if state is PlanState.HELD:
        raise ConflictError(note, hint="choose fewer nodes, or raise the limit in fleet.toml")


def settled(record: NodeAdmin, busy: bool | None) -> bool:
    """Is the node where its wish wants it?"""
    return derive(record.wish, busy) is not Admin.DRAINING
