"""What the scheduler itself finds wrong: failed hooks, leases whose cards are gone, nodes that are overdue.

No rule of the health stage speaks of these, so they are opened and resolved here. A lease is never ended for them: that
is for its tenant or a person to say.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from fleetctl.model.admin import Wish
from fleetctl.model.states import Health
from fleetctl.store.connections import Connections
from fleetctl.store.findings import FindingState, list_findings, open_finding, resolve_finding
from fleetctl.store.leases import list_lost_cards
from fleetctl.store.nodes import list_admin

HOOK_RULE = "lease_hook"
LOST_RULE = "lease_lost_card"
OVERDUE_RULE = "return_overdue"
Key = tuple[str, str | None, str]  # rule, host, device
_OPEN = (FindingState.PENDING, FindingState.FIRING)


def open_hook_trouble(conn: sqlite3.Connection, now: int, host: str, text: str) -> None:
    """A hook failed on a host; open until the host comes back into service."""
    open_finding(conn, now, HOOK_RULE, text, severity=Health.WARN, host=host)


def resolve_hook_troubles(conn: sqlite3.Connection, now: int, host: str, who: str) -> None:
    """A person or a passed check brought the host back."""
    for finding in list_findings(conn, host=host, states=_OPEN):
        if finding.rule == HOOK_RULE:
            resolve_finding(conn, now, finding.id, who=who)


def watch(db: Connections, now: int) -> list[str]:
    """Open what is newly wrong with leases and nodes, resolve what is over; texts of the new ones."""
    with db.read() as conn:
        found = {**_lost_cards(conn), **_overdue(conn, now)}
        mine = (LOST_RULE, OVERDUE_RULE)
        standing = {(f.rule, f.host, f.device): f.id for f in list_findings(conn, states=_OPEN) if f.rule in mine}
    new = [key for key in found if key not in standing]
    over = [number for key, number in standing.items() if key not in found]
    if new or over:
        with db.write() as conn:
            for rule, host, device in new:
                text = found[rule, host, device]
                open_finding(conn, now, rule, text, severity=Health.WARN, host=host, device=device)
            for number in over:
                resolve_finding(conn, now, number)
    return [found[key] for key in new]


def _lost_cards(conn: sqlite3.Connection) -> dict[Key, str]:
    return {
        (LOST_RULE, host, card): f"{lease} holds card {card}, which {host} does not name any more"
        for lease, host, card in list_lost_cards(conn)
    }


def _overdue(conn: sqlite3.Connection, now: int) -> dict[Key, str]:
    """Nodes that were expected back by now. Nothing brings them back by itself: somebody may still be at work."""
    return {
        (
            OVERDUE_RULE,
            host,
            "",
        ): f"expected back since {_utc(record.expected_return_at)}: {record.reason or 'no reason'}"
        for host, record in list_admin(conn).items()
        if record.wish is not Wish.SERVE and record.expected_return_at is not None and record.expected_return_at <= now
    }


def _utc(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
