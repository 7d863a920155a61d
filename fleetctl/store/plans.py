"""Confirmed plans, their nodes and how far each is; steps that outside schedulers must be told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fleetctl.model.admin import Actor, ActorKind, DrainMode, Reason, Wish
from fleetctl.model.plan import Action, CapacityLeft, GuardTouch, Plan, PlanNode, PlanState, StepState
from fleetctl.model.states import Admin, ReasonClass


@dataclass(frozen=True, slots=True)
class PlanNodeRow:
    """One node (or card) of a saved plan. before: its record as it was; after_version: what the plan made of it."""

    plan: str
    host: str
    card: str
    seq: int
    state: StepState
    before: dict[str, Any] | None
    after_version: int | None
    note: str
    changed_at: int | None


@dataclass(frozen=True, slots=True)
class BackendStep:
    """One thing an outside scheduler must be told."""

    id: str
    plan: str
    host: str
    backend: str
    verb: str
    state: StepState
    attempts: int = 0
    begun_at: int | None = None
    ended_at: int | None = None
    note: str = ""


def plan_json(plan: Plan) -> str:
    """A plan as JSON; `plan_of` reads it back."""
    return json.dumps(asdict(plan), ensure_ascii=False, sort_keys=True)


def plan_of(text: str) -> Plan:
    """The plan a JSON text spells."""
    raw = json.loads(text)
    reason = raw.pop("reason")
    for name in ("nodes", "skipped"):
        raw[name] = tuple(_plan_node(n) for n in raw[name])
    raw["guards"] = tuple(GuardTouch(**g) for g in raw["guards"])
    raw["capacity"] = tuple(CapacityLeft(**c) for c in raw["capacity"])
    raw["steps"], raw["warnings"] = tuple(raw["steps"]), tuple(raw["warnings"])
    feeds = raw.pop("power_freed_by_feed_w", ())
    return Plan(
        **{
            **raw,
            "power_freed_by_feed_w": tuple((name, watts) for name, watts in feeds),
            "wish": Wish(raw["wish"]),
            "mode": DrainMode(raw["mode"]),
            "reason": Reason(ReasonClass(reason["cls"]), reason["text"]) if reason else None,
        }
    )


def _plan_node(raw: dict[str, Any]) -> PlanNode:
    lists = {name: tuple(raw.get(name, ())) for name in ("leases", "cards", "warnings", "to_end")}
    return PlanNode(**{**raw, **lists, "before": Admin(raw["before"]), "after": Admin(raw["after"])})


def insert_plan(conn: sqlite3.Connection, plan: Plan, who: Actor, state: PlanState) -> None:
    """Save a confirmed plan with its nodes, all pending."""
    conn.execute(
        "INSERT INTO plan (id, verb, state, who_kind, who, created_at, start_at, end_at, deadline_at, reason, undo_of,"
        " body) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            plan.id,
            plan.verb,
            state.value,
            who.kind.value,
            who.name,
            plan.created_at,
            plan.start_at,
            plan.end_at,
            plan.deadline_at,
            str(plan.reason) if plan.reason else "",
            plan.undo_of,
            plan_json(plan),
        ),
    )
    insert_plan_nodes(conn, plan.id, [(n.host, card) for n in plan.nodes for card in (n.cards or ("",))])


def get_plan(conn: sqlite3.Connection, plan: str) -> Plan | None:
    """A saved plan as it was confirmed, None when there is no such plan."""
    row = conn.execute("SELECT body FROM plan WHERE id = ?", (plan,)).fetchone()
    return plan_of(row[0]) if row else None


def ends_processes(conn: sqlite3.Connection, plan: str) -> bool:
    """Was it confirmed that this plan ends processes without a lease? An undo that restores such a drain was not."""
    row = conn.execute(
        "SELECT json_extract(body, '$.end_processes') FROM plan WHERE id = ? AND undo_of IS NULL", (plan,)
    ).fetchone()
    return bool(row and row[0])


def insert_plan_nodes(conn: sqlite3.Connection, plan: str, places: Sequence[tuple[str, str]]) -> None:
    """places: (host, card), card "" for the whole node."""
    conn.executemany(
        "INSERT INTO plan_node (plan, host, card, seq, state) VALUES (?,?,?,?,'pending')",
        [(plan, host, card, seq) for seq, (host, card) in enumerate(places)],
    )


def set_plan_state(
    conn: sqlite3.Connection, plan: str, state: PlanState, *, note: str | None = None, applied_at: int | None = None
) -> None:
    """Move a plan on; note and applied_at (epoch seconds) stay as they are where None."""
    conn.execute(
        "UPDATE plan SET state = ?, note = COALESCE(?, note), applied_at = COALESCE(?, applied_at) WHERE id = ?",
        (state.value, note, applied_at, plan),
    )


def set_plan_node(
    conn: sqlite3.Connection,
    plan: str,
    host: str,
    card: str,
    state: StepState,
    at: int,
    *,
    before: Any = None,
    after_version: int | None = None,
    note: str | None = None,
) -> None:
    """Move one node of a plan on; before and after_version are kept once they are set."""
    conn.execute(
        "UPDATE plan_node SET state = ?, changed_at = ?, before = COALESCE(?, before),"
        " after_version = COALESCE(?, after_version), note = COALESCE(?, note)"
        " WHERE plan = ? AND host = ? AND card = ?",
        (state.value, at, None if before is None else json.dumps(before), after_version, note, plan, host, card),
    )


def list_plan_nodes(conn: sqlite3.Connection, plan: str) -> list[PlanNodeRow]:
    """In the order of the plan."""
    rows = conn.execute(
        "SELECT plan, host, card, seq, state, before, after_version, note, changed_at FROM plan_node"
        " WHERE plan = ? ORDER BY seq",
        (plan,),
    )
    return [
        PlanNodeRow(r[0], r[1], r[2], r[3], StepState(r[4]), json.loads(r[5]) if r[5] else None, r[6], r[7], r[8])
        for r in rows
    ]


def get_action(conn: sqlite3.Connection, plan: str) -> Action | None:
    """How far a plan is, with its hosts; None when there is no such plan."""
    found = _actions(conn, "id = ?", (plan,))
    if not found:
        return None
    hosts = conn.execute(
        "SELECT DISTINCT host, MIN(seq) FROM plan_node WHERE plan = ? GROUP BY host ORDER BY 2", (plan,)
    )
    return replace(found[0], hosts=tuple(r[0] for r in hosts))


def list_actions(conn: sqlite3.Connection, *, only_open: bool = False, limit: int = 200) -> list[Action]:
    """Newest first. Hosts are left empty; get_action has them."""
    where = "state IN ('scheduled', 'held', 'running')" if only_open else "1"
    return _actions(conn, where, (), limit)


def find_plan(conn: sqlite3.Connection, start: str) -> list[str]:
    """Ids that begin with `start`, at most three, so that people need not type a whole id."""
    pattern = start.replace("%", "").replace("_", "") + "%"
    return [r[0] for r in conn.execute("SELECT id FROM plan WHERE id LIKE ? ORDER BY id LIMIT 3", (pattern,))]


def _actions(conn: sqlite3.Connection, where: str, args: tuple[Any, ...], limit: int = 200) -> list[Action]:
    rows = conn.execute(
        "SELECT id, verb, state, who_kind, who, created_at, applied_at, start_at, end_at, deadline_at, reason, note,"
        " undo_of,"
        " (SELECT COUNT(*) FROM plan_node n WHERE n.plan = plan.id),"
        " (SELECT COUNT(*) FROM plan_node n WHERE n.plan = plan.id AND n.state IN ('done', 'undone')),"
        " (SELECT COUNT(*) FROM plan_node n WHERE n.plan = plan.id AND n.state IN ('pending', 'doing', 'waiting')),"
        " (SELECT COUNT(*) FROM plan_node n WHERE n.plan = plan.id AND n.state = 'failed'),"
        " (SELECT COUNT(*) FROM plan_node n WHERE n.plan = plan.id AND n.state = 'superseded')"
        f" FROM plan WHERE {where} ORDER BY created_at DESC, id DESC LIMIT ?",
        (*args, limit),
    )
    return [
        Action(
            plan=r[0],
            verb=r[1],
            state=PlanState(r[2]),
            who=Actor(ActorKind(r[3]), r[4]),
            created_at=r[5],
            applied_at=r[6],
            start_at=r[7],
            end_at=r[8],
            deadline_at=r[9],
            reason=r[10],
            note=r[11],
            undo_of=r[12],
            total=r[13],
            done=r[14],
            waiting=0 if r[2] == PlanState.CANCELLED.value else r[15],
            failed=r[16],
            superseded=r[17],
        )
        for r in rows
    ]


def insert_backend_steps(conn: sqlite3.Connection, steps: Iterable[BackendStep]) -> None:
    """Save steps; one that is there already stays as it is."""
    conn.executemany(
        "INSERT INTO backend_step (id, plan, host, backend, verb, state) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        [(s.id, s.plan, s.host, s.backend, s.verb, s.state.value) for s in steps],
    )


def list_backend_steps(conn: sqlite3.Connection, *, plan: str = "", only_open: bool = True) -> list[BackendStep]:
    """Steps in order of id (a plan's cordons sort before its drains)."""
    where = "state IN ('pending', 'doing')" if only_open else "1"
    rows = conn.execute(
        "SELECT id, plan, host, backend, verb, state, attempts, begun_at, ended_at, note FROM backend_step"
        f" WHERE {where} AND (? = '' OR plan = ?) ORDER BY id",
        (plan, plan),
    )
    return [BackendStep(r[0], r[1], r[2], r[3], r[4], StepState(r[5]), r[6], r[7], r[8], r[9]) for r in rows]


def set_backend_step(conn: sqlite3.Connection, step: BackendStep, state: StepState, at: int, note: str = "") -> bool:
    """Compare-and-set on the step as it was seen, tries included; False when it was moved on meanwhile."""
    begun = state is StepState.DOING
    done = conn.execute(
        "UPDATE backend_step SET state = ?, attempts = attempts + ?, begun_at = CASE WHEN ? THEN ? ELSE begun_at END,"
        " ended_at = CASE WHEN ? THEN NULL ELSE ? END, note = ?"
        " WHERE id = ? AND state = ? AND attempts = ?",
        (state.value, int(begun), begun, at, begun, at, note, step.id, step.state.value, step.attempts),
    )
    return done.rowcount == 1
