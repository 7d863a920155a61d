"""What the scheduler itself finds wrong: failed hooks, and leases whose cards are not there any more.

No rule of the health stage speaks of these, so they are opened and resolved here. A lease is never ended for them: that
is for its tenant or a person to say.
"""

from __future__ import annotations

import sqlite3

from fleetctl.model.states import Health
from fleetctl.store.connections import Connections
from fleetctl.store.findings import FindingState, list_findings, open_finding, resolve_finding
from fleetctl.store.leases import list_lost_cards

HOOK_RULE = "lease_hook"
LOST_RULE = "lease_lost_card"
_OPEN = (FindingState.PENDING, FindingState.FIRING)


def open_hook_trouble(conn: sqlite3.Connection, now: int, host: str, text: str) -> None:
    """A hook failed on a host; open until the host comes back into service."""
    open_finding(conn, now, HOOK_RULE, text, severity=Health.WARN, host=host)


def resolve_hook_troubles(conn: sqlite3.Connection, now: int, host: str, who: str) -> None:
    """A person or a passed check brought the host back."""
    for finding in list_findings(conn, host=host, states=_OPEN):
        if finding.rule == HOOK_RULE:
            resolve_finding(conn, now, finding.id, who=who)


def watch_leases(db: Connections, now: int) -> list[str]:
    """Open a finding for each leased card its host no longer names, resolve those that are over; texts of new ones."""
    with db.read() as conn:
        lost = {(host, card): lease for lease, host, card in list_lost_cards(conn)}
        standing = {(f.host, f.device): f.id for f in list_findings(conn, states=_OPEN) if f.rule == LOST_RULE}
    new = [key for key in lost if key not in standing]
    over = [number for key, number in standing.items() if key not in lost]
    if not new and not over:
        return []
    texts = []
    with db.write() as conn:
        for host, card in new:
            text = f"{lost[host, card]} holds card {card}, which {host} does not name any more"
            open_finding(conn, now, LOST_RULE, text, severity=Health.WARN, host=host, device=card)
            texts.append(text)
        for number in over:
            resolve_finding(conn, now, number)
    return texts
