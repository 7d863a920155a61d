"""The timeline of one node: what happened to it, what people and rules did, who held it; oldest first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fleetctl.model.states import Health
from fleetctl.store.audit import AuditEntry, list_audit
from fleetctl.store.events import Event, list_events
from fleetctl.store.summaries import LeaseSpan, lease_spans
from fleetctl.views.audit import evidence
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One moment. kind: fault, reach, probe, device, state, finding ... or action, lease; who: of an action; until_at:
    when repeats ended, None for a single moment. Moments are epoch seconds of the console's clock."""

    at: float
    kind: str
    severity: Health | None
    text: str
    who: str | None = None
    device: str | None = None
    count: int = 1
    until_at: float | None = None


COLUMNS: tuple[Column[TimelineRow], ...] = (
    Column("at", "age", lambda r: r.at, width=5, right=True, role="age", doc="when"),
    Column(
        "severity", "severity", lambda r: r.severity.value if r.severity else None, width=7, role="state", doc="how bad"
    ),
    Column("kind", "kind", lambda r: r.kind, width=8, doc="event kind, or action, or lease"),
    Column("device", "device", lambda r: r.device, width=10, wide=True, doc="card or sensor"),
    Column("count", "count", lambda r: r.count, width=5, right=True, doc="repeats folded into this one"),
    Column("until_at", "until", lambda r: r.until_at, width=5, right=True, wide=True, role="age", doc="last repeat"),
    Column("who", "who", lambda r: r.who, width=10, doc="who acted"),
    Column("text", "text", lambda r: r.text, width=20, doc="what happened"),
)


def load(conn: sqlite3.Connection, node: str, since: float, *, limit: int = 500) -> list[TimelineRow]:
    """The newest `limit` rows since then, oldest first."""
    rows = [
        *(_of_event(e) for e in list_events(conn, host=node, since=since, limit=limit)),
        *(_of_audit(a) for a in list_audit(conn, subject=node, since=int(since), limit=limit)),
        *(row for span in lease_spans(conn, node, since) for row in _of_lease(span, since)),
    ]
    # Where moments are equal the cause (an action) stands before what followed from it.
    rows.sort(key=lambda r: (r.at, r.kind != "action"))
    return rows[-limit:]


def _of_event(event: Event) -> TimelineRow:
    name = f"{event.name}: " if event.kind in ("fault", "finding") and event.name not in event.text else ""
    return TimelineRow(
        at=event.first_at,
        kind=event.kind,
        severity=event.severity,
        text=f"{name}{event.text}",
        device=event.device,
        count=event.count,
        until_at=event.last_at if event.last_at != event.first_at else None,
    )


def _of_audit(entry: AuditEntry) -> TimelineRow:
    return TimelineRow(entry.at, "action", None, _action_words(entry.verb, entry.body), str(entry.who))


def _action_words(verb: str, body: Mapping[str, Any]) -> str:
    """The verb and the plain words of its record, in a fixed order; nested values stay in `fleetctl audit`."""
    parts = [verb.replace("_", " ")]
    known = ("from", "to", "before", "after", "state", "reason", "ticket", "why", "plan")
    for key in (*known, *(k for k in sorted(body) if k not in known)):
        value = body.get(key)
        if isinstance(value, Mapping) and {"cls", "text"} <= value.keys():
            value = f"{value['cls']}: {value['text']}"
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            parts.append(f"{key} {value}")
    return ", ".join([*parts, *evidence(body)])


def _of_lease(span: LeaseSpan, since: float) -> Iterable[TimelineRow]:
    what = f"{span.cards} cards" if span.cards else "the whole node"
    if span.start_at >= since:
        yield TimelineRow(span.start_at, "lease", None, f"{span.id} begins: {what} for {span.tenant}", span.tenant)
    if span.ended_at is not None:
        why = f" ({span.ended_why})" if span.ended_why else ""
        yield TimelineRow(span.ended_at, "lease", None, f"{span.id} ends{why}", span.tenant)


def table(rows: list[TimelineRow]) -> Table[TimelineRow]:
    return Table("moment", COLUMNS, rows, lambda r: f"{r.at:.0f}")
