"""The decision record as rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from fleetctl.inventory.nodesets import fold
from fleetctl.store.audit import AuditEntry, list_audit
from fleetctl.views.column import Column, Table
from fleetctl.views.plans import local

BMC_VERBS = ("bmc", "bmc_refused", "bmc_done")


def evidence(body: Mapping[str, Any]) -> list[str]:
    """Processes a drain ends, and the result of a recheck, in words."""
    found = [f"{p['pid']} {p['command']} of {p['user'] or '?'}" for p in body.get("processes", ())]
    found += [
        f"{word} {','.join(map(str, body[word]))}" for word in ("told", "killed", "refused", "gone") if word in body
    ]
    if "verification" in body:
        failed = ", ".join(body.get("not_ok", ())) or "nothing"
        found.append(
            f"check {body['verification']} {'passes' if body.get('ok') else 'does not pass'}; not ok: {failed}"
        )
    return found


def bmc_action(body: Mapping[str, Any]) -> list[str]:
    """What BMCs were asked, of which nodes, and what they said."""
    value = body.get("value")
    found = [body["verb"] if value is None else f"{body['verb']} {value:g} W"]  # only a power cap has a value
    if body.get("hosts"):
        found[0] += f" {fold(body['hosts'])}"
    nodes_by_answer: dict[str, list[str]] = {}
    for node, said in body.get("answers", {}).items():
        nodes_by_answer.setdefault(said, []).append(node)
    return found + [f"{fold(nodes)}: {said}" for said, nodes in nodes_by_answer.items()]


def _what(entry: AuditEntry) -> str:
    """The part of an entry people look for first."""
    body = entry.body
    words = [str(body[k]) for k in ("reason", "why", "released", "note") if body.get(k)]
    if body.get("from") is not None and body.get("to") is not None:
        words.insert(0, f"{body['from']} -> {body['to']}")
    words += evidence(body)
    if entry.verb in BMC_VERBS:
        words[:0] = bmc_action(body)
    elif body.get("hosts"):
        words.append(f"{len(body['hosts'])} nodes")
    return "; ".join(words)


COLUMNS: tuple[Column[AuditEntry], ...] = (
    Column("seq", "#", lambda r: r.seq, width=5, right=True, doc="number in the chain"),
    Column("at", "when", lambda r: r.at, show=local, width=16, doc="when it was decided"),
    Column("who", "who", lambda r: str(r.who), width=14, doc="person, rule or outside scheduler"),
    Column("verb", "verb", lambda r: r.verb, width=10, doc="what was decided"),
    Column("subject", "subject", lambda r: r.subject, width=12, doc="node, plan, lease or request"),
    Column("what", "what", lambda r: _what(r) or None, width=30, doc="reason, change, release"),
    Column(
        "body",
        "body",
        lambda r: json.dumps(r.body, ensure_ascii=False, sort_keys=True),
        width=30,
        wide=True,
        doc="all of it, as JSON",
    ),
    Column("hash", "hash", lambda r: r.hash, width=12, wide=True, doc="of this entry and the one before"),
)


def load_audit(
    conn: sqlite3.Connection, *, subject: str = "", verb: str = "", since: float | None = None, limit: int | None = 50
) -> Table[AuditEntry]:
    """In order; with a limit, the newest so many."""
    at = None if since is None else int(since)
    rows = list_audit(conn, subject=subject, verb=verb, since=at, limit=limit)
    return Table("entry", COLUMNS, rows, lambda r: str(r.seq))
