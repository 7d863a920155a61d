"""Who holds which cards now, and who held them before. Booking twice is refused by the schema itself."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from fleetctl.errors import ConflictError
from fleetctl.model.lease import Hold, Latency, Lease, LeaseState, Shape

_COLUMNS = "id, request, tenant, who, state, cls, exclusive, start_at, end_at, ended_at, ended_why, shape, version"


@lru_cache(maxsize=4096)
def shape_json(shape: Shape) -> str:
    """A shape as JSON; `shape_of` reads it back."""
    return json.dumps(asdict(shape), ensure_ascii=False, sort_keys=True)


@lru_cache(maxsize=4096)
def shape_of(text: str) -> Shape:
    """The shape a JSON text spells; unknown keys of a newer version are left out."""
    raw = {k: v for k, v in json.loads(text).items() if k in Shape.__dataclass_fields__}
    raw["latency"] = Latency(raw.get("latency", "batch"))
    raw["hosts"] = tuple(raw.get("hosts", ()))
    raw["not_hosts"] = tuple(raw.get("not_hosts", ()))
    return Shape(**raw)


def insert_lease(conn: sqlite3.Connection, lease: Lease) -> None:
    """Book. Raises ConflictError when a card or node is taken, or the request already has a lease."""
    try:
        conn.execute(
            f"INSERT INTO lease ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                lease.id,
                lease.request,
                lease.tenant,
                lease.who,
                lease.state.value,
                lease.cls,
                int(lease.exclusive),
                lease.start_at,
                lease.end_at,
                lease.ended_at,
                lease.ended_why,
                shape_json(lease.shape),
                lease.version,
            ),
        )
        conn.executemany(
            "INSERT INTO hold (host, card, lease, milli, exclusive, idx) VALUES (?,?,?,?,?,?)",
            [(h.host, h.card, lease.id, h.milli, int(lease.exclusive), h.index) for h in lease.holds],
        )
        conn.executemany(
            "INSERT INTO lease_card (lease, host, card, idx, milli) VALUES (?,?,?,?,?)",
            [(lease.id, h.host, h.card, h.index, h.milli) for h in lease.holds],
        )
    except sqlite3.IntegrityError as error:
        raise ConflictError(
            f"cannot book {lease.id}: {error}", hint="somebody was first; `fleetctl leases` shows who, then ask again"
        ) from error


def end_lease(conn: sqlite3.Connection, lease: str, at: int, why: str, *, hooks: bool) -> bool:
    """End an active lease; with hooks its cards stay held until the epilogs are done. False when it was not active."""
    state = LeaseState.ENDING if hooks else LeaseState.ENDED
    done = conn.execute(
        "UPDATE lease SET state = ?, ended_at = MAX(?, start_at), ended_why = ?, version = version + 1"
        " WHERE id = ? AND state = 'active'",
        (state.value, at, why, lease),
    )
    if done.rowcount == 1 and not hooks:
        conn.execute("DELETE FROM hold WHERE lease = ?", (lease,))
    return done.rowcount == 1


def free_lease(conn: sqlite3.Connection, lease: str) -> bool:
    """The epilogs are through: give the cards back. False when the lease was not ending."""
    done = conn.execute(
        "UPDATE lease SET state = 'ended', version = version + 1 WHERE id=? AND state='ending'", (lease,)
    )
    if done.rowcount == 1:
        conn.execute("DELETE FROM hold WHERE lease = ?", (lease,))
    return done.rowcount == 1


def renew_lease(conn: sqlite3.Connection, lease: str, end_at: int | None, version: int) -> bool:
    """Move the end of an active lease; False when it changed meanwhile."""
    done = conn.execute(
        "UPDATE lease SET end_at = ?, version = version + 1 WHERE id = ? AND state = 'active' AND version = ?",
        (end_at, lease, version),
    )
    return done.rowcount == 1


def get_lease(conn: sqlite3.Connection, lease: str) -> Lease | None:
    """One lease with its cards; None when there is none of that id."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM lease WHERE id = ?", (lease,)).fetchone()
    return _leases(conn, [row])[0] if row else None


def find_lease(conn: sqlite3.Connection, start: str) -> list[str]:
    """Ids that begin with `start`, at most three."""
    pattern = start.replace("%", "").replace("_", "") + "%"
    return [r[0] for r in conn.execute("SELECT id FROM lease WHERE id LIKE ? ORDER BY id LIMIT 3", (pattern,))]


def list_leases(conn: sqlite3.Connection, *, live: bool = True, tenant: str = "", limit: int = 100_000) -> list[Lease]:
    """Live leases (active and ending), or all of them, newest start first."""
    where = "state IN ('active', 'ending')" if live else "1"
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM lease WHERE {where} AND (? = '' OR tenant = ?) ORDER BY start_at DESC, id LIMIT ?",
        (tenant, tenant, limit),
    ).fetchall()
    return _leases(conn, rows)


def live_versions(conn: sqlite3.Connection) -> dict[str, int]:
    """Id -> version of every live lease; a lease that changes gets a new version."""
    return dict(conn.execute("SELECT id, version FROM lease WHERE state IN ('active', 'ending')").fetchall())


def count_live(conn: sqlite3.Connection) -> dict[str, int]:
    """Tenant -> live leases."""
    return dict(
        conn.execute(
            "SELECT tenant, COUNT(*) FROM lease WHERE state IN ('active', 'ending') GROUP BY tenant"
        ).fetchall()
    )


def some_leases(conn: sqlite3.Connection, ids: Sequence[str]) -> list[Lease]:
    """The live ones among these."""
    rows: list[Any] = []
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        marks = ",".join("?" * len(part))
        rows += conn.execute(
            f"SELECT {_COLUMNS} FROM lease WHERE id IN ({marks}) AND state IN ('active', 'ending')", part
        )
    return _leases(conn, rows)


def due_leases(conn: sqlite3.Connection, now: int) -> list[str]:
    """Ids of active leases whose end has come."""
    # The partial index lease_live is used only when its very condition is part of the question.
    rows = conn.execute(
        "SELECT id FROM lease WHERE state IN ('active', 'ending') AND end_at <= ? AND +state = 'active' ORDER BY id",
        (now,),
    )
    return [r[0] for r in rows]


def held_hosts(conn: sqlite3.Connection, lease: str) -> list[str]:
    """Hosts on which a lease still holds something, sorted."""
    return [r[0] for r in conn.execute("SELECT DISTINCT host FROM hold WHERE lease = ? ORDER BY host", (lease,))]


def list_ending(conn: sqlite3.Connection) -> list[str]:
    """Ids of leases that are over but for their epilogs."""
    rows = conn.execute("SELECT id FROM lease WHERE state IN ('active', 'ending') AND +state = 'ending' ORDER BY id")
    return [r[0] for r in rows]


def list_lost_cards(conn: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """(lease, host, card) of everything held on a card that its host named before and names no more."""
    rows = conn.execute(
        "SELECT k.lease, k.host, k.card FROM hold k JOIN hosts h ON h.name = k.host"
        " JOIN devices d ON d.host = h.id AND d.kind = 'card' AND d.key = k.card"
        " WHERE d.gone_at IS NOT NULL AND k.card <> '' ORDER BY 2, 3, 1"
    )
    return [(r[0], r[1], r[2]) for r in rows]


def list_holds(conn: sqlite3.Connection) -> list[tuple[str, str, str, int, bool]]:
    """(host, card, lease, milli, exclusive) of everything held now."""
    rows = conn.execute("SELECT host, card, lease, milli, exclusive FROM hold")
    return [(r[0], r[1], r[2], r[3], bool(r[4])) for r in rows]


def is_busy(conn: sqlite3.Connection, host: str, card: str | None = None) -> bool:
    """Is anything held on the host (or on one card of it)? A node without cards counts under its own slot."""
    row = conn.execute("SELECT 1 FROM hold WHERE host = ? AND (? IS NULL OR card = ?) LIMIT 1", (host, card, card))
    return row.fetchone() is not None


def card_seconds(conn: sqlite3.Connection, since: int, until: int) -> dict[str, float]:
    """Tenant -> card-seconds held between two moments; fractions count in thousandths."""
    rows = conn.execute(
        "SELECT l.tenant, SUM(c.milli * MAX(0, MIN(COALESCE(l.ended_at, ?2), ?2) - MAX(l.start_at, ?1))) / 1000.0"
        " FROM lease l JOIN lease_card c ON c.lease = l.id"
        " WHERE l.start_at < ?2 AND COALESCE(l.ended_at, ?2) > ?1 AND c.card <> '' GROUP BY l.tenant",
        (since, until),
    )
    return {r[0]: float(r[1]) for r in rows}


def held_cards(conn: sqlite3.Connection) -> dict[str, float]:
    """Tenant -> cards held now, fractions included."""
    rows = conn.execute(
        "SELECT l.tenant, SUM(h.milli) / 1000.0 FROM hold h JOIN lease l ON l.id = h.lease WHERE h.card <> ''"
        " GROUP BY l.tenant"
    )
    return {r[0]: float(r[1]) for r in rows}


def _leases(conn: sqlite3.Connection, rows: Sequence[Any]) -> list[Lease]:
    cards: dict[str, list[Hold]] = defaultdict(list)
    for start in range(0, len(rows), 500):
        ids = [r[0] for r in rows[start : start + 500]]
        marks = ",".join("?" * len(ids))
        for r in conn.execute(
            f"SELECT lease, host, card, milli, idx FROM lease_card WHERE lease IN ({marks}) ORDER BY 1, 2, 3", ids
        ):
            cards[r[0]].append(Hold(r[1], r[2], r[3], r[4]))
    return [
        Lease(
            id=r[0],
            request=r[1],
            tenant=r[2],
            who=r[3],
            state=LeaseState(r[4]),
            cls=r[5],
            exclusive=bool(r[6]),
            start_at=r[7],
            end_at=r[8],
            ended_at=r[9],
            ended_why=r[10],
            shape=shape_of(r[11]),
            version=r[12],
            holds=tuple(cards[r[0]]),
        )
        for r in rows
    ]
