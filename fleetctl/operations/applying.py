"""Saves a confirmed plan: wishes and decision record together, once, however often it is sent."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError, NotFoundError, UsageError
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, DrainMode, Wish
from fleetctl.model.lease import Reservation
from fleetctl.model.plan import Action, Plan, PlanNode, PlanState, StepState
from fleetctl.model.states import Admin
from fleetctl.operations.planning import count, new_id
from fleetctl.scheduler.carry_out import begin_plan, refuse_held
from fleetctl.scheduler.picture import load_picture
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.plans import get_action, get_plan, insert_plan, list_plan_nodes, set_plan_state
from fleetctl.store.reservations import close_plan_reservations, insert_reservation


def apply(
    db: Connections,
    plan: Plan,
    who: Actor,
    *,
    inventory: Inventory,
    config: Config | None = None,
    now: float | None = None,
) -> Action:
    """Confirm a plan. Sending the same plan again changes nothing and returns how far it is.

    A plan whose window lies ahead is saved as scheduled and reserves its nodes. Raises ConflictError when a guard or
    the breaker says no, with nothing saved, and UsageError when the plan has no nodes.
    """
    config = config or Config()
    at = int(time.time() if now is None else now)
    with db.read() as conn:
        known = get_action(conn, plan.id)
    if known is not None:
        return known
    if not plan.nodes:
        why = "; ".join(f"{n.host} {n.skip}" for n in plan.skipped[:3])
        raise ConflictError(f"{plan.verb}: nothing to do" + (f": {why}" if why else ""))
    if plan.wish is not Wish.SERVE and plan.reason is None and plan.undo_of is None:
        raise UsageError("a reason is required", hint='--reason "class: text", for example --reason "hw: xid 79"')
    later = plan.start_at is not None and plan.start_at > at
    refused = ""
    with db.write(durable=True) as conn:
        if get_action(conn, plan.id) is None:
            insert_plan(conn, plan, who, PlanState.SCHEDULED if later else PlanState.RUNNING)
            _audit_plan(conn, plan, who, at)
            if plan.start_at is not None and plan.wish is Wish.MAINT:
                insert_reservation(conn, _window(plan, who, at))
            if not later:
                state = begin_plan(conn, inventory, config, plan, who, at)
                if state is PlanState.HELD:
                    action = get_action(conn, plan.id)
                    refused = action.note if action else "held"
                    # The plan is kept as refused, so that the record tells who tried; nothing else was saved.
                    set_plan_state(conn, plan.id, PlanState.CANCELLED, note=refused)
                    append_audit(conn, at, who, "plan_refused", plan.id, {"why": refused})
        action = get_action(conn, plan.id)
    if refused:
        refuse_held(PlanState.HELD, refused)
    assert action is not None
    return action


def _audit_plan(conn: sqlite3.Connection, plan: Plan, who: Actor, at: int) -> None:
    body = {
        "verb": plan.verb,
        "hosts": list(plan.hosts),
        "skipped": {n.host: n.skip for n in plan.skipped},
        "reason": str(plan.reason or ""),
        "mode": plan.mode.value,
        "start_at": plan.start_at,
        "end_at": plan.end_at,
        "deadline_at": plan.deadline_at,
        "ticket": plan.ticket,
        "undo_of": plan.undo_of,
    }
    append_audit(conn, at, who, "plan", plan.id, body)


def _window(plan: Plan, who: Actor, at: int) -> Reservation:
    assert plan.start_at is not None
    return Reservation(
        id=new_id("w"),
        kind="maint",
        hosts=plan.hosts,
        start_at=plan.start_at,
        end_at=plan.end_at,
        who=str(who),
        reason=str(plan.reason or ""),
        plan=plan.id,
        created_at=at,
    )


def plan_undo(db: Connections, plan_id: str, *, who: Actor, now: float, config: Config | None = None) -> Plan:
    """The plan that takes another one back, node by node, where nobody changed the node since.

    Raises NotFoundError, ConflictError (it was never begun: `cancel` it; or it is undone already).
    """
    config = config or Config()
    at = int(now)
    with db.read() as conn:
        plan, action = get_plan(conn, plan_id), get_action(conn, plan_id)
        if plan is None or action is None:
            raise NotFoundError(f"no plan {plan_id}", hint="`fleetctl plans` lists them")
        if action.state in (PlanState.UNDONE, PlanState.CANCELLED):
            raise ConflictError(f"plan {plan_id} is {action.state.value} already")
        rows = list_plan_nodes(conn, plan_id)
        picture = load_picture(conn, config, at, only=plan.hosts)
    nodes: list[PlanNode] = []
    skipped: list[PlanNode] = []
    for planned in plan.nodes:
        mine = [r for r in rows if r.host == planned.host]
        record = picture.record(planned.host)
        after = Admin.IN_SERVICE
        skip = ""
        for row in mine:
            version = picture.card_record(row.host, row.card).version if row.card else record.version
            if row.before is None:
                skip = "nothing was done to it"
            elif row.state is StepState.UNDONE:
                skip = "is undone already"
            elif version != row.after_version:
                skip = "was changed since by somebody else"
            elif not row.card:
                after = planned.before
        node = replace(
            planned,
            before=picture.state(planned.host),
            after=after if not planned.cards else picture.state(planned.host),
            version=record.version,
            leases=picture.leases(planned.host),
            skip=skip,
            warnings=(),
            to_end=(),
        )
        (skipped if skip else nodes).append(node)
    return Plan(
        id=new_id("p"),
        verb="undo",
        wish=Wish.SERVE,
        created_at=at,
        nodes=tuple(nodes),
        skipped=tuple(skipped),
        reason=None,
        steps=(
            f"{count(len(nodes), 'node')} back to what {'it was' if len(nodes) == 1 else 'they were'} before {plan_id}",
        ),
        undo_of=plan_id,
        warnings=("leases that were ended do not come back",)
        if plan.leases_hit and plan.mode is not DrainMode.WAIT
        else (),
    )


def cancel(db: Connections, plan_id: str, who: Actor, *, now: float) -> Action:
    """Take back a plan that has not begun. Raises NotFoundError, ConflictError (it has begun: undo it)."""
    with db.write(durable=True) as conn:
        action = get_action(conn, plan_id)
        if action is None:
            raise NotFoundError(f"no plan {plan_id}", hint="`fleetctl plans` lists them")
        if action.state not in (PlanState.SCHEDULED, PlanState.HELD):
            raise ConflictError(
                f"plan {plan_id} is {action.state.value}", hint=f"`fleetctl plans undo {plan_id}` takes it back"
            )
        set_plan_state(conn, plan_id, PlanState.CANCELLED, note=f"cancelled by {who}")
        close_plan_reservations(conn, plan_id, "cancelled")
        append_audit(conn, int(now), who, "plan_cancelled", plan_id, {})
        done = get_action(conn, plan_id)
    assert done is not None
    return done
