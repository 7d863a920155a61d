"""Schedulers beside ours: endpoints with their age, jobs, reservations, and orders to them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.outside import OutsideEndpoint, OutsideJob, OutsideOrder, OutsideWindow
from fleetctl.model.plan import StepState
from fleetctl.model.states import Health
from fleetctl.store.findings import list_findings, open_finding, resolve_finding
from fleetctl.store.scheduler_facts import get_fact, set_fact

SILENT = "scheduler.silent"
NODE = "scheduler.node"
_PARTITIONS = "partitions"
_ENDPOINT = "name, kind, site, version, nodes, strangers, tried_at, ok_at, trouble, hint, trouble_since"
_JOB = (
    "backend, id, name, user, account, state, partition, hosts, cards, nodes, submitted_at, start_at, end_at, reason,"
    " places, qos"
)
# ended_at is when it last moved: begun, or ended.
_ORDER = "id, backend, verb, who_kind, who, created_at, body, state, attempts, answer, ended_at"


def save_endpoint_answer(
    conn: sqlite3.Connection, name: str, kind: str, site: str, at: int, *, version: str, nodes: int, strangers: int
) -> None:
    """A whole answer came: its trouble is over."""
    conn.execute(
        f"INSERT INTO outside_endpoint ({_ENDPOINT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, '', '', NULL)"
        " ON CONFLICT (name) DO UPDATE SET kind = ?2, site = ?3, version = ?4, nodes = ?5, strangers = ?6,"
        " tried_at = ?7, ok_at = ?7, trouble = '', hint = '', trouble_since = NULL",
        (name, kind, site, version, nodes, strangers, at),
    )
    for finding in list_findings(conn):
        if finding.rule == SILENT and finding.device == name:
            resolve_finding(conn, at, finding.id)


def save_endpoint_trouble(
    conn: sqlite3.Connection, name: str, kind: str, site: str, at: int, *, trouble: str, hint: str
) -> None:
    """No answer, or none that can be used: what it said last stays, and a finding says how old that is."""
    conn.execute(
        f"INSERT INTO outside_endpoint ({_ENDPOINT}) VALUES (?1, ?2, ?3, '', NULL, NULL, ?4, NULL, ?5, ?6, ?4)"
        " ON CONFLICT (name) DO UPDATE SET kind = ?2, site = ?3, tried_at = ?4, trouble = ?5, hint = ?6,"
        " trouble_since = ifnull(trouble_since, ?4)",
        (name, kind, site, at, trouble, hint),
    )
    ok_at = conn.execute("SELECT ok_at FROM outside_endpoint WHERE name = ?", (name,)).fetchone()[0]
    age = "it never answered" if ok_at is None else f"its last answer is {_minutes(at - ok_at)} old"
    open_finding(conn, at, SILENT, f"{trouble}; {age}", severity=Health.WARN, device=name)


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds >= 60 else f"{max(0, seconds)} s"


def list_silent(conn: sqlite3.Connection) -> dict[str, int | None]:
    """Endpoints that do not answer now, with the moment of their last answer; None: they never did."""
    return dict(conn.execute("SELECT name, ok_at FROM outside_endpoint WHERE trouble_since IS NOT NULL").fetchall())


def list_outside_endpoints(conn: sqlite3.Connection) -> list[OutsideEndpoint]:
    """All that were ever asked, by name."""
    return [OutsideEndpoint(*row) for row in conn.execute(f"SELECT {_ENDPOINT} FROM outside_endpoint ORDER BY name")]


def list_partitions(conn: sqlite3.Connection) -> dict[str, dict[str, tuple[str, ...]]]:
    """Scheduler -> partition -> its hosts in this fleet, as it said last."""
    found: dict[str, dict[str, list[str]]] = {}
    for backend, host, names in conn.execute(
        "SELECT backend, host, partitions FROM node_outside WHERE partitions <> '' ORDER BY backend, host"
    ):
        of = found.setdefault(backend, {})
        for name in names.split(","):
            of.setdefault(name, []).append(host)
    return {backend: {name: tuple(hosts) for name, hosts in of.items()} for backend, of in found.items()}


def note_partitions(conn: sqlite3.Connection, backend: str, hosts: Iterable[str]) -> None:
    """Its answer has other partitions than the one before. hosts: those it named; any other is in none."""
    conn.execute(
        "UPDATE node_outside SET partitions = '' WHERE backend = ? AND partitions <> ''"
        " AND host NOT IN (SELECT value FROM json_each(?))",
        (backend, json.dumps([*hosts])),
    )
    set_fact(conn, _PARTITIONS, partitions_mark(conn) + 1)


def partitions_mark(conn: sqlite3.Connection) -> int:
    """Another number whenever `list_partitions` answers otherwise."""
    return int(get_fact(conn, _PARTITIONS) or 0)


def save_node_words(
    conn: sqlite3.Connection, backend: str, at: int, bad: Mapping[str, str], spoke: Iterable[str]
) -> None:
    """Open a finding on each host its scheduler calls broken (host -> text), resolve those of hosts that are well again.

    spoke: hosts it said anything about. Hosts that were never polled have no row yet and are passed over.
    """
    known = {row[0] for row in conn.execute("SELECT name FROM hosts")}
    for host, text in bad.items():
        if host in known:
            open_finding(conn, at, NODE, text, severity=Health.WARN, host=host, device=backend)
    heard = set(spoke)
    for finding in list_findings(conn):
        if finding.rule == NODE and finding.device == backend and finding.host in heard and finding.host not in bad:
            resolve_finding(conn, at, finding.id)


def replace_jobs(conn: sqlite3.Connection, backend: str, jobs: Sequence[OutsideJob]) -> None:
    """The jobs of one endpoint, in place of those of the round before."""
    conn.execute("DELETE FROM outside_job WHERE backend = ?", (backend,))
    conn.executemany(
        f"INSERT OR REPLACE INTO outside_job ({_JOB}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        [
            (
                *(
                    j.backend,
                    j.id,
                    j.name,
                    j.user,
                    j.account,
                    j.state,
                    j.partition,
                    json.dumps(j.hosts),
                    j.cards,
                    j.nodes,
                ),
                *(
                    j.submitted_at,
                    j.start_at,
                    j.end_at,
                    j.reason,
                    json.dumps(dict(j.places)) if j.places else "{}",
                    j.qos,
                ),
            )
            for j in jobs
        ],
    )


def list_jobs(conn: sqlite3.Connection, *, host: str | None = None, running: bool | None = None) -> list[OutsideJob]:
    """Jobs that run, then jobs that wait, each by endpoint and time; with `host`, those that run there.

    running: only those that have nodes (True), only those that wait for them (False).
    """
    rows = conn.execute(
        f"SELECT {_JOB} FROM outside_job"
        " WHERE (?1 IS NULL OR EXISTS (SELECT 1 FROM json_each(hosts) WHERE value = ?1))"
        " AND (?2 IS NULL OR (hosts <> '[]') = ?2)"
        " ORDER BY hosts = '[]', backend, submitted_at, id",
        (host, running),
    )
    return [_job(row) for row in rows]


def _job(row: tuple[Any, ...]) -> OutsideJob:
    places = {} if row[14] == "{}" else {host: tuple(cards) for host, cards in json.loads(row[14]).items()}
    fields: list[Any] = [*row[:7], tuple(json.loads(row[7])), *row[8:14], places, row[15]]
    return OutsideJob(*fields)


def replace_windows(conn: sqlite3.Connection, backend: str, windows: Iterable[OutsideWindow]) -> None:
    """The reservations of one endpoint, in place of those of the round before."""
    conn.execute("DELETE FROM outside_reservation WHERE backend = ?", (backend,))
    conn.executemany(
        "INSERT OR REPLACE INTO outside_reservation (backend, name, hosts, start_at, end_at, users, flags, ours)"
        " VALUES (?,?,?,?,?,?,?,?)",
        [
            (
                *(backend, w.name, json.dumps(w.hosts), w.start_at, w.end_at),
                *(json.dumps(w.users), json.dumps(w.flags), int(w.ours)),
            )
            for w in windows
        ],
    )


def list_windows(conn: sqlite3.Connection) -> list[OutsideWindow]:
    """Reservations of all endpoints by start."""
    rows = conn.execute(
        "SELECT backend, name, hosts, start_at, end_at, users, flags, ours FROM outside_reservation"
        " ORDER BY start_at, backend, name"
    )
    return [
        OutsideWindow(
            r[0],
            r[1],
            tuple(json.loads(r[2])),
            r[3],
            r[4],
            tuple(json.loads(r[5])),
            tuple(json.loads(r[6])),
            bool(r[7]),
        )
        for r in rows
    ]


def append_order(conn: sqlite3.Connection, order: OutsideOrder) -> bool:
    """Save an order; False when one of that id is there already."""
    done = conn.execute(
        "INSERT INTO outside_order (id, backend, verb, body, who_kind, who, state, created_at)"
        " VALUES (?,?,?,?,?,?,'pending',?) ON CONFLICT DO NOTHING",
        (
            *(order.id, order.backend, order.verb, json.dumps(dict(order.body)), order.who.kind.value, order.who.name),
            order.created_at,
        ),
    )
    return done.rowcount == 1


def list_orders(conn: sqlite3.Connection, *, backend: str = "", only_open: bool = True) -> list[OutsideOrder]:
    """Orders, oldest first."""
    where = "state IN ('pending', 'doing')" if only_open else "1"
    rows = conn.execute(
        f"SELECT {_ORDER} FROM outside_order WHERE {where} AND (?1 = '' OR backend = ?1) ORDER BY created_at, id",
        (backend,),
    )
    return [
        OutsideOrder(r[0], r[1], r[2], Actor(ActorKind(r[3]), r[4]), r[5], json.loads(r[6]), StepState(r[7]), *r[8:])
        for r in rows
    ]


def set_order(conn: sqlite3.Connection, order: OutsideOrder, state: StepState, at: int, answer: str = "") -> bool:
    """Compare-and-set on the order as it was seen; False when it was moved on meanwhile."""
    begun = state is StepState.DOING
    done = conn.execute(
        "UPDATE outside_order SET state = ?, attempts = attempts + ?, answer = ?, ended_at = ?"
        " WHERE id = ? AND state = ? AND attempts = ?",
        (state.value, int(begun), answer, at, order.id, order.state.value, order.attempts),
    )
    return done.rowcount == 1
