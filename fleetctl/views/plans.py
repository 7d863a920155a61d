"""Plans and what became of them, as rows and as the text a person confirms."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from fleetctl.config.schema import Config
from fleetctl.i18n import _, word
from fleetctl.inventory.nodesets import fold
from fleetctl.model.plan import Action, Plan, PlanNode
from fleetctl.store.plans import PlanNodeRow, get_plan, list_actions, list_plan_nodes
from fleetctl.views.column import Column, Table
from fleetctl.views.waiting import waits_for


def moment(at: float | None) -> str | None:
    """Epoch seconds as UTC text for machines."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local(at: float) -> str:
    """Epoch seconds as people here read them, with the offset from UTC."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M %z")


COLUMNS: tuple[Column[Action], ...] = (
    Column("id", "plan", lambda r: r.plan, width=10, doc="what `plans show` takes"),
    Column("verb", "verb", lambda r: r.verb, width=8, doc="what is done"),
    Column("state", "state", lambda r: r.state.value, width=9, role="state", doc="how far it is"),
    Column("total", "nodes", lambda r: r.total, width=5, right=True, doc="nodes, or cards, of the plan"),
    Column("done", "done", lambda r: r.done, width=5, right=True, doc="of these, where they should be"),
    Column("waiting", "waiting", lambda r: r.waiting, width=7, right=True, doc="of these, work still runs"),
    Column("failed", "failed", lambda r: r.failed, width=6, right=True, doc="of these, refused by their scheduler"),
    Column(
        "superseded", "left", lambda r: r.superseded, width=5, right=True, wide=True, doc="somebody wished otherwise"
    ),
    Column("who", "who", lambda r: str(r.who), width=12, doc="who confirmed it"),
    Column("reason", "reason", lambda r: r.reason or None, width=16, doc="class: text"),
    Column("created_at", "age", lambda r: r.created_at, width=6, role="age", doc="when it was made"),
    Column("start_at", "start", lambda r: r.start_at, show=local, width=16, wide=True, doc="when its window begins"),
    Column("end_at", "end", lambda r: r.end_at, show=local, width=16, wide=True, doc="when its window ends"),
    Column(
        "deadline_at", "deadline", lambda r: r.deadline_at, show=local, width=16, wide=True, doc="when work is ended"
    ),
    Column("note", "note", lambda r: r.note or None, width=16, doc="what holds it back"),
    Column("undo_of", "undo of", lambda r: r.undo_of, width=10, wide=True, doc="the plan it takes back"),
)

NODE_COLUMNS: tuple[Column[PlanNodeRow], ...] = (
    Column("host", "node", lambda r: r.host, width=10),
    Column("card", "card", lambda r: r.card or None, width=10),
    Column("state", "state", lambda r: r.state.value, width=9, role="state"),
    Column("changed_at", "since", lambda r: r.changed_at, width=6, role="age"),
    Column("note", "note", lambda r: r.note or None, width=20, doc="what it waits for, or why it is left out"),
)


def load(conn: sqlite3.Connection, *, only_open: bool = False, limit: int = 200) -> Table[Action]:
    """Plans, newest first."""
    return Table("plan", COLUMNS, list_actions(conn, only_open=only_open, limit=limit), lambda r: r.plan)


def load_nodes(conn: sqlite3.Connection, plan: str, config: Config, now: float) -> Table[PlanNodeRow]:
    """The nodes of one plan, in its order; the note of one that waits says for what."""
    rows = list_plan_nodes(conn, plan)
    waits = waits_for(conn, config, rows, now)
    rows = [replace(r, note=waits[r.host, r.card] or r.note) if (r.host, r.card) in waits else r for r in rows]
    return Table("node", NODE_COLUMNS, rows, lambda r: r.host)


def load_plan(conn: sqlite3.Connection, plan: str) -> Plan | None:
    """A saved plan as it was confirmed."""
    return get_plan(conn, plan)


_ENDING_SHOWN = 12  # nodes whose processes are named one by one


def plan_lines(plan: Plan) -> list[str]:
    """What a person reads before they say yes: nodes, steps, what is hit, what is left, what is skipped and why."""
    lines = [f"{plan.verb} {fold(plan.hosts) or '-'} ({len(plan.nodes)})" + (f"  {plan.reason}" if plan.reason else "")]
    facts = [
        (_("plan"), plan.id),
        (_("ticket"), plan.ticket),
        (_("from"), local(plan.start_at) if plan.start_at else ""),
        (_("until"), local(plan.end_at) if plan.end_at else ""),
        (_("deadline"), local(plan.deadline_at) if plan.deadline_at else ""),
        (_("expected back"), local(plan.expected_return_at) if plan.expected_return_at else ""),
    ]
    lines += [f"  {name}: {value}" for name, value in facts if value]
    lines += [f"  {number}. {step}" for number, step in enumerate(plan.steps, 1)]
    leases = plan.leases_hit
    processes = sum(n.processes or 0 for n in plan.nodes)
    lines.append(f"  {_('hit')}: {len(leases)} {_('leases')} {' '.join(leases[:6])}".rstrip() + _more(leases, 6))
    if processes:
        lines.append(f"  {_('processes on their cards')}: {processes}")
    ending = [n for n in plan.nodes if n.to_end]
    for node in ending[:_ENDING_SHOWN]:
        lines.append(f"  {_('ends on')} {node.host}: {', '.join(node.to_end[:6])}{_more(node.to_end, 6)}")
    if len(ending) > _ENDING_SHOWN:
        rest = ending[_ENDING_SHOWN:]
        lines.append(f"  {_('ends on')} {fold([n.host for n in rest])}: {sum(len(n.to_end) for n in rest)}")
    for row in plan.capacity:
        lines.append(
            f"  {_('left')} {row.by} {row.name}: {row.cards_before} -> {row.cards_after} {_('cards')}, "
            f"{row.nodes_before} -> {row.nodes_after} {_('nodes')}, {row.cards_free_after} {_('cards free')}"
        )
    if plan.power_freed_w is not None:
        feeds = ", ".join(f"{name} {watts / 1000:.1f} kW" for name, watts in plan.power_freed_by_feed_w)
        lines.append(f"  {_('power freed')}: {plan.power_freed_w / 1000:.1f} kW" + (f" ({feeds})" if feeds else ""))
    lines += [f"  {'!' if not g.ok else '-'} {_('guard')} {g}" for g in plan.guards]
    lines += [f"  ! {warning}" for warning in plan.warnings]
    lines += _grouped(plan.nodes, lambda n: "; ".join(n.warnings), _("note"))
    lines += _grouped(plan.skipped, lambda n: n.skip, _("skipped"))
    return lines


def _grouped(nodes: Sequence[PlanNode], words: Callable[[PlanNode], str], title: str) -> list[str]:
    """One line per sentence with its nodes folded, so that a thousand nodes stay readable."""
    groups: dict[str, list[str]] = {}
    for node in nodes:
        text = words(node)
        if text:
            groups.setdefault(text, []).append(node.host)
    return [f"  {title} {fold(hosts)} ({len(hosts)}): {text}" for text, hosts in groups.items()]


def _more(items: Sequence[str], shown: int) -> str:
    return f" +{len(items) - shown}" if len(items) > shown else ""


def plan_record(plan: Plan) -> dict[str, Any]:
    """A plan for machines: plain values, moments as UTC text, the node set folded."""
    raw = asdict(plan)
    for name in ("created_at", "start_at", "end_at", "deadline_at", "expected_return_at"):
        raw[name] = moment(raw[name])
    raw["reason"] = str(plan.reason) if plan.reason else None
    return {"nodeset": fold(plan.hosts), "leases_hit": list(plan.leases_hit), "refused": bool(plan.refusals), **raw}


def action_record(action: Action) -> dict[str, Any]:
    """An action for machines."""
    raw = asdict(action)
    for name in ("created_at", "applied_at", "start_at", "end_at", "deadline_at"):
        raw[name] = moment(raw[name])
    raw["who"], raw["nodeset"] = str(action.who), fold(action.hosts)
    return raw


def action_line(action: Action) -> str:
    """How far a plan is, in one line."""
    parts = [f"{action.done} {_('of')} {action.total} {_('done')}"]
    for name, count in (("waiting", action.waiting), ("failed", action.failed), ("superseded", action.superseded)):
        if count:
            parts.append(f"{count} {_(name)}")
    note = f" ({action.note})" if action.note else ""
    return f"{action.plan} {action.verb} {word(action.state.value)}: {', '.join(parts)}{note}"
