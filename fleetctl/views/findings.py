"""Findings: what is wrong, one row each or folded to one row per rule, so that a storm stays readable."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from fleetctl.inventory.inventory import Inventory
from fleetctl.model.states import Health
from fleetctl.store.findings import FindingState, list_findings
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding. node None: about the fleet as a whole; device: key of the card or sensor, None for the whole host;
    state: pending, firing, resolved. Moments are epoch seconds."""

    id: int
    node: str | None
    site: str | None
    device: str | None
    rule: str
    severity: Health
    state: str
    text: str
    value: float | None = None
    since_at: float | None = None
    firing_at: float | None = None
    seen_at: float | None = None
    resolved_at: float | None = None
    acked_at: float | None = None
    acked_by: str | None = None


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """Findings of one rule and severity. nodes: names, each once; sample: the text of the oldest; findings: how many."""

    rule: str
    severity: Health
    nodes: tuple[str, ...]
    findings: int
    devices: int
    sample: str
    since_at: float | None
    newest_at: float | None
    acked: int


COLUMNS: tuple[Column[FindingRow], ...] = (
    Column("severity", "severity", lambda r: r.severity.value, width=7, role="state", doc="warn, crit or unknown"),
    Column("node", "node", lambda r: r.node, width=8, doc="node; unknown for the fleet as a whole"),
    Column("site", "site", lambda r: r.site, width=6, wide=True, doc="site of the node"),
    Column("device", "device", lambda r: r.device, width=8, wide=True, doc="card or sensor"),
    Column("rule", "rule", lambda r: r.rule, width=12, doc="rule that speaks"),
    Column("state", "state", lambda r: r.state, width=8, role="state", doc="pending, firing or resolved"),
    Column("text", "text", lambda r: r.text, width=20, doc="what is wrong"),
    Column("value", "value", lambda r: r.value, width=8, right=True, wide=True, doc="in the unit of the rule"),
    Column("since_at", "since", lambda r: r.since_at, width=5, right=True, role="age", doc="since when it holds"),
    Column("seen_at", "seen", lambda r: r.seen_at, width=5, right=True, wide=True, role="age", doc="last seen"),
    Column("acked_by", "acked by", lambda r: r.acked_by, width=8, wide=True, doc="who knows about it"),
)


def table(rows: list[FindingRow]) -> Table[FindingRow]:
    return Table("finding", COLUMNS, rows, lambda r: str(r.id))


FOLDED_COLUMNS: tuple[Column[FindingGroup], ...] = (
    Column("severity", "severity", lambda g: g.severity.value, width=7, role="state", doc="warn, crit or unknown"),
    Column("rule", "rule", lambda g: g.rule, width=12, doc="rule that speaks"),
    Column("findings", "count", lambda g: g.findings, width=5, right=True, doc="how many"),
    Column("node_count", "on", lambda g: len(g.nodes), width=5, right=True, doc="nodes"),
    Column("nodes", "nodes", lambda g: _folded(g.nodes), width=12, doc="node set"),
    Column("acked", "acked", lambda g: g.acked, width=5, right=True, wide=True, doc="of which somebody knows"),
    Column("since_at", "since", lambda g: g.since_at, width=5, right=True, role="age", doc="the oldest"),
    Column("newest_at", "newest", lambda g: g.newest_at, width=6, right=True, wide=True, role="age", doc="the newest"),
    Column("text", "text", lambda g: g.sample, width=20, doc="what the oldest says"),
)


def _folded(names: Iterable[str]) -> str | None:
    from fleetctl.inventory.nodesets import fold

    return fold(names) or None


def folded_table(rows: list[FindingGroup]) -> Table[FindingGroup]:
    return Table("rule", FOLDED_COLUMNS, rows, lambda g: g.rule)


def load(
    conn: sqlite3.Connection,
    inventory: Inventory,
    *,
    node: str | None = None,
    states: Collection[FindingState] = (FindingState.FIRING,),
    since: float | None = None,
) -> list[FindingRow]:
    """Findings worst first, then oldest; since: leaves out what was over before. Hosts that left the fleet have no site."""
    hosts = inventory.hosts
    return [
        FindingRow(
            id=f.id,
            node=f.host,
            site=hosts[f.host].site if f.host and f.host in hosts else None,
            device=f.device or None,
            rule=f.rule,
            severity=f.severity,
            state=f.state.value,
            text=f.text,
            value=f.value,
            since_at=f.since_at,
            firing_at=f.firing_at,
            seen_at=f.seen_at,
            resolved_at=f.resolved_at,
            acked_at=f.acked_at,
            acked_by=f.acked_by,
        )
        for f in list_findings(conn, host=node, states=states, since=since)
    ]


def fold_findings(rows: Iterable[FindingRow]) -> list[FindingGroup]:
    """One group per rule and severity, worst and largest first. Nodes keep the order of the rows."""
    groups = []
    for (rule, severity), members in _by(rows, lambda r: (r.rule, r.severity)).items():
        oldest = min(members, key=lambda r: (r.since_at is None, r.since_at or 0.0))
        groups.append(
            FindingGroup(
                rule=rule,
                severity=severity,
                nodes=tuple(dict.fromkeys(r.node for r in members if r.node)),
                findings=len(members),
                devices=len({(r.node, r.device) for r in members if r.device}),
                sample=oldest.text,
                since_at=oldest.since_at,
                newest_at=max((r.since_at for r in members if r.since_at is not None), default=None),
                acked=sum(r.acked_at is not None for r in members),
            )
        )
    return sorted(groups, key=lambda g: (g.severity.rank, -g.findings, g.rule))


Key = TypeVar("Key")
Row = TypeVar("Row")


def _by(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups
