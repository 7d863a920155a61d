"""Compares wish and observation and takes the next step; a restart simply compares again.

Each step is one short transaction that names what it saw (compare-and-set) and writes its audit entry with it. Between
two transactions the engine may die at any point: nothing is lost, and nothing happens twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, ActorKind, DrainMode, NodeAdmin
from fleetctl.model.plan import PlanState, StepState
from fleetctl.model.states import Admin, Reach
from fleetctl.scheduler.carry_out import EMPTYING, begin_plan, close_plan
from fleetctl.scheduler.leasing import end
from fleetctl.scheduler.picture import Picture, load_picture
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.nodes import get_admin, save_observed
from fleetctl.store.plans import (
    PlanNodeRow,
    get_plan,
    list_actions,
    list_backend_steps,
    list_plan_nodes,
    set_plan_node,
)

DRAINER = Actor(ActorKind.RULE, "drainer")


@dataclass
class Steps:
    """What one pass did, for the engine's log and the tests."""

    began: list[str] = field(default_factory=list)  # plans
    held: list[str] = field(default_factory=list)
    observed: list[tuple[str, Admin]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # leases
    closed: list[str] = field(default_factory=list)  # plans


def drain_step(db: Connections, inventory: Inventory, config: Config, now: int, *, trust_clock: bool = True) -> Steps:
    """One pass over plans and nodes. trust_clock False: nothing is begun or ended on the strength of the time."""
    steps = Steps()
    if trust_clock:
        _begin_due_plans(db, inventory, config, now, steps)
    with db.read() as conn:
        picture = load_picture(conn, config, now, only=())
    if trust_clock:
        _act_on_deadlines(db, config, picture, now, steps)
        if steps.ended:
            with db.read() as conn:
                picture = load_picture(conn, config, now, only=())
    _record_observations(db, picture, now, steps)
    _close_plans(db, config, now, steps)
    return steps


def _begin_due_plans(db: Connections, inventory: Inventory, config: Config, now: int, steps: Steps) -> None:
    with db.read() as conn:
        due = [
            a
            for a in list_actions(conn, only_open=True, limit=10_000)
            if a.state in (PlanState.SCHEDULED, PlanState.HELD) and (a.start_at is None or a.start_at <= now)
        ]
    for action in sorted(due, key=lambda a: (a.start_at or 0, a.created_at, a.plan)):
        with db.write(durable=True) as conn:
            plan = get_plan(conn, action.plan)
            current = next((a for a in list_actions(conn, only_open=True, limit=10_000) if a.plan == action.plan), None)
            if plan is None or current is None or current.state is PlanState.RUNNING:
                continue
            state = begin_plan(conn, inventory, config, plan, action.who, now)
            (steps.held if state is PlanState.HELD else steps.began).append(action.plan)


def _act_on_deadlines(db: Connections, config: Config, picture: Picture, now: int, steps: Steps) -> None:
    """End what still runs on nodes and cards whose deadline has come. The person who set it has confirmed this."""
    due: list[tuple[str, str | None, NodeAdmin | None]] = [
        (r.host, None, r)
        for r in picture.records.values()
        if r.wish in EMPTYING and r.mode is not DrainMode.WAIT and r.deadline_at is not None and r.deadline_at <= now
    ]
    due += [
        (c.host, c.card, None)
        for c in picture.card_records.values()
        if c.wish in EMPTYING and c.mode is not DrainMode.WAIT and c.deadline_at is not None and c.deadline_at <= now
    ]
    for host, card, record in due:
        leases = picture.leases(host, card)
        if not leases:
            continue
        with db.write(durable=True) as conn:
            if record is not None and get_admin(conn, host).version != record.version:
                continue  # the wish changed since we looked: the next pass sees it
            why = f"{host} is drained, its deadline has passed"
            steps.ended += [lease for lease in leases if end(conn, config, lease, now, DRAINER, why)]


def _record_observations(db: Connections, picture: Picture, now: int, steps: Steps) -> None:
    hosts = set(picture.records) | set(picture.outside)
    changed = [h for h in sorted(hosts) if picture.state(h) is not picture.record(h).observed]
    # Bounded transactions: a note from a console waits behind a hundred rows at most.
    for start in range(0, len(changed), 100):
        with db.write() as conn:
            for host in changed[start : start + 100]:
                record, state = picture.record(host), picture.state(host)
                if not save_observed(conn, record, state, now):
                    continue
                body = {"from": record.observed.value, "to": state.value, "owner": str(picture.owner(host) or "")}
                append_audit(conn, now, DRAINER, "observed", host, body)
                steps.observed.append((host, state))


def _close_plans(db: Connections, config: Config, now: int, steps: Steps) -> None:
    """Move the nodes of running plans on, and close plans that have nothing left to do."""
    with db.read() as conn:  # plans and wishes from one snapshot, or a plan begun in between would look overtaken
        running = [a.plan for a in list_actions(conn, only_open=True, limit=10_000) if a.state is PlanState.RUNNING]
        if not running:
            return
        picture = load_picture(conn, config, now, only=())
        moves = {
            plan: _moves(
                picture,
                [r for r in list_plan_nodes(conn, plan) if r.state in (StepState.WAITING, StepState.DOING)],
                {s.host for s in list_backend_steps(conn, plan=plan)},
            )
            for plan in running
        }
        over = {a.plan for a in list_actions(conn, only_open=True, limit=10_000) if a.waiting == 0}
    for plan in running:
        if not moves[plan] and plan not in over:
            continue
        with db.write() as conn:
            for row, state, note in moves[plan]:
                set_plan_node(conn, plan, row.host, row.card, state, now, note=note)
            if close_plan(conn, plan, now) is PlanState.DONE:
                append_audit(conn, now, DRAINER, "plan_done", plan, {})
                steps.closed.append(plan)


def _moves(
    picture: Picture, rows: list[PlanNodeRow], asked: set[str]
) -> list[tuple[PlanNodeRow, StepState, str | None]]:
    """Which waiting nodes of a plan are done, or were taken over by a newer wish. asked: hosts with open backend steps."""
    moves: list[tuple[PlanNodeRow, StepState, str | None]] = []
    for row in rows:
        if row.card:
            version = picture.card_record(row.host, row.card).version
            over = not picture.card_busy(row.host, row.card)
        else:
            record = picture.record(row.host)
            version = record.version
            over = row.host not in asked and picture.state(row.host) is not Admin.DRAINING
        if version != row.after_version:
            moves.append((row, StepState.SUPERSEDED, "a newer wish took over"))
        elif over:
            moves.append((row, StepState.DONE, _unseen(picture, row.host)))
    return moves


def _unseen(picture: Picture, host: str) -> str | None:
    """A dead host is empty by its leases; what ran there beside them nobody ended, and the plan says so."""
    fact, count = picture.facts.get(host), picture.processes.get(host, 0)
    if count and (fact is None or fact.reach == Reach.UNREACHABLE):
        return f"does not answer: {count} processes without a lease ran there when it last did, and were not ended"
    return None
