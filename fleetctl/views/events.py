"""Events: what happened, newest first; the same event on many nodes folds into one row."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from fleetctl.model.states import Health
from fleetctl.store.events import list_events
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class EventRow:
    """One thing that happened `count` times between first_at and last_at (epoch seconds, console clock).

    kind: fault, reach, probe, device, state, finding, operator, engine, store; name: what repeats; source_at: when the
    host says it was, by its own clock.
    """

    id: int
    first_at: float
    last_at: float
    count: int
    node: str | None
    device: str | None
    kind: str
    severity: Health
    name: str
    text: str
    source_at: float | None = None


@dataclass(frozen=True, slots=True)
class EventGroup:
    """The same event on several nodes. sample: text of the newest; nodes: names, each once."""

    kind: str
    name: str
    severity: Health
    nodes: tuple[str, ...]
    count: int
    first_at: float
    last_at: float
    sample: str


COLUMNS: tuple[Column[EventRow], ...] = (
    Column("last_at", "age", lambda r: r.last_at, width=5, right=True, role="age", doc="when it happened last"),
    Column("first_at", "first", lambda r: r.first_at, width=5, right=True, wide=True, role="age", doc="when first"),
    Column("severity", "severity", lambda r: r.severity.value, width=7, role="state", doc="ok, warn, crit, unknown"),
    Column("node", "node", lambda r: r.node, width=8, doc="node; unknown for the fleet as a whole"),
    Column("device", "device", lambda r: r.device, width=8, wide=True, doc="card or sensor"),
    Column("kind", "kind", lambda r: r.kind, width=8, doc="fault, reach, probe, device, state, finding, operator ..."),
    Column("name", "name", lambda r: r.name, width=10, doc="what repeats: fault code, probe, rule"),
    Column("count", "count", lambda r: r.count, width=5, right=True, doc="repeats folded into this one"),
    Column("text", "text", lambda r: r.text, width=20, doc="what happened"),
)


def table(rows: list[EventRow]) -> Table[EventRow]:
    return Table("event", COLUMNS, rows, lambda r: str(r.id))


FOLDED_COLUMNS: tuple[Column[EventGroup], ...] = (
    Column("last_at", "age", lambda g: g.last_at, width=5, right=True, role="age", doc="when it happened last"),
    Column("first_at", "first", lambda g: g.first_at, width=5, right=True, wide=True, role="age", doc="when first"),
    Column("severity", "severity", lambda g: g.severity.value, width=7, role="state", doc="ok, warn, crit, unknown"),
    Column("kind", "kind", lambda g: g.kind, width=8, doc="fault, reach, probe, device, state, finding ..."),
    Column("name", "name", lambda g: g.name, width=10, doc="what repeats: fault code, probe, rule"),
    Column("count", "count", lambda g: g.count, width=5, right=True, doc="how often"),
    Column("node_count", "on", lambda g: len(g.nodes), width=5, right=True, doc="nodes"),
    Column("nodes", "nodes", lambda g: _folded(g.nodes), width=12, doc="node set"),
    Column("text", "text", lambda g: g.sample, width=20, doc="what the newest says"),
)


def _folded(names: Iterable[str]) -> str | None:
    from fleetctl.inventory.nodesets import fold

    return fold(names) or None


def folded_table(rows: list[EventGroup]) -> Table[EventGroup]:
    return Table("event", FOLDED_COLUMNS, rows, lambda g: g.name)


def load(
    conn: sqlite3.Connection,
    *,
    node: str | None = None,
    since: float | None = None,
    until: float | None = None,
    kinds: tuple[str, ...] = (),
    limit: int = 1000,
) -> list[EventRow]:
    """Events newest first, at most `limit`."""
    return [
        EventRow(
            e.id, e.first_at, e.last_at, e.count, e.host, e.device, e.kind, e.severity, e.name, e.text, e.source_at
        )
        for e in list_events(conn, host=node, since=since, until=until, kinds=kinds, limit=limit)
    ]


_NUMBER = re.compile(r"0x[0-9a-f]+|\d+", re.IGNORECASE)


def fold_events(rows: Iterable[EventRow]) -> list[EventGroup]:
    """One group per kind, name, severity and text without its numbers; newest group first."""
    groups: dict[tuple[str, ...], list[EventRow]] = {}
    for row in rows:
        key = (row.kind, row.name, row.severity.value, _NUMBER.sub("#", row.text))
        groups.setdefault(key, []).append(row)
    folded = []
    for members in groups.values():
        newest = max(members, key=lambda r: r.last_at)
        folded.append(
            EventGroup(
                kind=newest.kind,
                name=newest.name,
                severity=newest.severity,
                nodes=tuple(dict.fromkeys(r.node for r in members if r.node)),
                count=sum(r.count for r in members),
                first_at=min(r.first_at for r in members),
                last_at=newest.last_at,
                sample=newest.text,
            )
        )
    return sorted(folded, key=lambda g: -g.last_at)
