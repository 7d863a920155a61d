"""What is wanted of nodes and cards, by whom, and what outside schedulers say of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from fleetctl.errors import ConflictError
from fleetctl.model.admin import Actor, ActorKind, CardAdmin, DrainMode, NodeAdmin, OutsideState, Reason, Wish
from fleetctl.model.states import Admin, ReasonClass

_NODE = (
    "host, wish, version, owner_kind, owner, reason_class, reason, ticket, mode, deadline_at, expected_return_at, "
    "evidence, plan, since_at, observed, observed_at, released"
)
_CARD = "host, card, wish, version, owner_kind, owner, reason_class, reason, mode, deadline_at, plan, since_at"


def list_admin(conn: sqlite3.Connection) -> dict[str, NodeAdmin]:
    """All records by host. A host that is not here is in service, version 0."""
    return {row[0]: _node(row) for row in conn.execute(f"SELECT {_NODE} FROM node_admin")}


def get_admin(conn: sqlite3.Connection, host: str) -> NodeAdmin:
    """The record of one host, or the one every host starts with."""
    row = conn.execute(f"SELECT {_NODE} FROM node_admin WHERE host = ?", (host,)).fetchone()
    return _node(row) if row else NodeAdmin(host)


def save_admin(conn: sqlite3.Connection, record: NodeAdmin) -> None:
    """Write a record whose version is one more than the stored one. Raises ConflictError when somebody was first."""
    values = (
        record.wish.value,
        record.version,
        record.owner.kind.value if record.owner else None,
        record.owner.name if record.owner else None,
        record.reason.cls.value if record.reason else None,
        record.reason.text if record.reason else None,
        record.ticket,
        record.mode.value,
        record.deadline_at,
        record.expected_return_at,
        record.evidence,
        record.plan,
        record.since_at,
        record.observed.value,
        record.observed_at,
        record.released,
        record.host,
    )
    if record.version == 1:
        done = conn.execute(
            "INSERT INTO node_admin (wish, version, owner_kind, owner, reason_class, reason, ticket, mode, deadline_at,"
            " expected_return_at, evidence, plan, since_at, observed, observed_at, released, host)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (host) DO UPDATE SET wish=excluded.wish,"
            " version=1, owner_kind=excluded.owner_kind, owner=excluded.owner, reason_class=excluded.reason_class,"
            " reason=excluded.reason, ticket=excluded.ticket, mode=excluded.mode, deadline_at=excluded.deadline_at,"
            " expected_return_at=excluded.expected_return_at, evidence=excluded.evidence, plan=excluded.plan,"
            " since_at=excluded.since_at, released=excluded.released WHERE node_admin.version = 0",
            values,
        )
    else:
        done = conn.execute(
            "UPDATE node_admin SET wish=?, version=?, owner_kind=?, owner=?, reason_class=?, reason=?, ticket=?, mode=?,"
            " deadline_at=?, expected_return_at=?, evidence=?, plan=?, since_at=?, observed=?, observed_at=?, released=?"
            " WHERE host=? AND version=?",
            (*values, record.version - 1),
        )
    if done.rowcount != 1:
        raise ConflictError(
            f"{record.host} was changed by somebody else meanwhile",
            hint=f"`fleetctl audit show {record.host}` tells who; make the plan again",
        )


def save_observed(conn: sqlite3.Connection, record: NodeAdmin, observed: Admin, at: int) -> bool:
    """Record what the engine saw; False when the wish or the observation changed meanwhile. Wishes keep their version.

    A node that never had a wish gets a record of version 0.
    """
    if record.version == 0:
        conn.execute(
            "INSERT INTO node_admin (host, wish, version) VALUES (?, 'serve', 0) ON CONFLICT DO NOTHING", (record.host,)
        )
    done = conn.execute(
        "UPDATE node_admin SET observed = ?, observed_at = ? WHERE host = ? AND version = ? AND observed = ?",
        (observed.value, at, record.host, record.version, record.observed.value),
    )
    return done.rowcount == 1


def list_card_admin(conn: sqlite3.Connection) -> dict[tuple[str, str], CardAdmin]:
    """All card records by (host, card)."""
    return {(row[0], row[1]): _card(row) for row in conn.execute(f"SELECT {_CARD} FROM card_admin")}


def save_card_admin(conn: sqlite3.Connection, record: CardAdmin) -> None:
    """As save_admin, for a card."""
    values = (
        record.wish.value,
        record.version,
        record.owner.kind.value if record.owner else None,
        record.owner.name if record.owner else None,
        record.reason.cls.value if record.reason else None,
        record.reason.text if record.reason else None,
        record.mode.value,
        record.deadline_at,
        record.plan,
        record.since_at,
        record.host,
        record.card,
    )
    if record.version == 1:
        done = conn.execute(
            "INSERT INTO card_admin (wish, version, owner_kind, owner, reason_class, reason, mode, deadline_at, plan,"
            " since_at, host, card) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            values,
        )
    else:
        done = conn.execute(
            "UPDATE card_admin SET wish=?, version=?, owner_kind=?, owner=?, reason_class=?, reason=?, mode=?,"
            " deadline_at=?, plan=?, since_at=? WHERE host=? AND card=? AND version=?",
            (*values, record.version - 1),
        )
    if done.rowcount != 1:
        raise ConflictError(f"card {record.card} of {record.host} was changed by somebody else meanwhile")


def list_outside(conn: sqlite3.Connection, host: str | None = None) -> dict[str, OutsideState]:
    """The strictest word an outside scheduler has on each node it owns; with `host`, on that one."""
    found: dict[str, OutsideState] = {}
    for row in conn.execute(
        "SELECT host, backend, state, owner, reason, ours, busy, since_at, seen_at, word, responding, cards, cards_used,"
        " partitions, parts FROM node_outside WHERE (?1 IS NULL OR host = ?1) ORDER BY backend",
        (host,),
    ):
        state = OutsideState(
            *(row[0], row[1], Admin(row[2]), row[3], row[4], bool(row[5]), _maybe_bool(row[6]), row[7], row[8]),
            *(row[9], _maybe_bool(row[10]), row[11], row[12], tuple(row[13].split(",")) if row[13] else (), row[14]),
        )
        if state.host not in found or found[state.host].state is Admin.IN_SERVICE:
            found[state.host] = state
    return found


def touch_outside(conn: sqlite3.Connection, backend: str, hosts: Iterable[str], at: int) -> None:
    """An outside scheduler said the same of these nodes as before, just now."""
    conn.execute(
        "UPDATE node_outside SET seen_at = ? WHERE backend = ? AND host IN (SELECT value FROM json_each(?))",
        (at, backend, json.dumps([*hosts])),
    )


def save_outside(conn: sqlite3.Connection, states: Iterable[OutsideState]) -> None:
    """Keep what an outside scheduler said this round; nodes it did not mention keep their last word and its age."""
    conn.executemany(
        "INSERT INTO node_outside (host, backend, state, owner, reason, ours, busy, since_at, seen_at, word,"
        " responding, cards, cards_used, partitions, parts)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (host, backend) DO UPDATE SET state=excluded.state,"
        " owner=excluded.owner, reason=excluded.reason, ours=excluded.ours, busy=excluded.busy, word=excluded.word,"
        " responding=excluded.responding, cards=excluded.cards, cards_used=excluded.cards_used,"
        " partitions=excluded.partitions, parts=excluded.parts,"
        " since_at=CASE WHEN node_outside.state = excluded.state THEN node_outside.since_at"
        " ELSE excluded.since_at END, seen_at=excluded.seen_at",
        [
            (
                s.host,
                s.backend,
                s.state.value,
                s.owner,
                s.reason,
                int(s.ours),
                None if s.busy is None else int(s.busy),
                s.since_at,
                s.seen_at,
                s.word,
                None if s.responding is None else int(s.responding),
                s.cards,
                s.cards_used,
                ",".join(s.partitions),
                s.parts,
            )
            for s in states
        ],
    )


def _node(row: Any) -> NodeAdmin:
    return NodeAdmin(
        host=row[0],
        wish=Wish(row[1]),
        version=row[2],
        owner=_actor(row[3], row[4]),
        reason=_reason(row[5], row[6]),
        ticket=row[7],
        mode=DrainMode(row[8]),
        deadline_at=row[9],
        expected_return_at=row[10],
        evidence=row[11],
        plan=row[12],
        since_at=row[13],
        observed=Admin(row[14]),
        observed_at=row[15],
        released=row[16],
    )


def _card(row: Any) -> CardAdmin:
    return CardAdmin(
        host=row[0],
        card=row[1],
        wish=Wish(row[2]),
        version=row[3],
        owner=_actor(row[4], row[5]),
        reason=_reason(row[6], row[7]),
        mode=DrainMode(row[8]),
        deadline_at=row[9],
        plan=row[10],
        since_at=row[11],
    )


def _actor(kind: str | None, name: str | None) -> Actor | None:
    return Actor(ActorKind(kind), name or "") if kind else None


def _reason(cls: str | None, text: str | None) -> Reason | None:
    return Reason(ReasonClass(cls), text or "") if cls else None


def _maybe_bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)
