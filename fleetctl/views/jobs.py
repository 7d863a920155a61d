"""Jobs of schedulers beside ours, joined to what their nodes measure; and how those schedulers answer."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from fleetctl.inventory.inventory import Inventory
from fleetctl.inventory.nodesets import fold
from fleetctl.model.outside import OutsideEndpoint, OutsideJob, OutsideOrder
from fleetctl.store.nodes import list_outside
from fleetctl.store.outside import list_jobs, list_orders, list_outside_endpoints
from fleetctl.store.summaries import host_values, sum_cards
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_duration, show_moment, show_pct, show_watts


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job. power_w: what its nodes draw, by its share of the cards given away there; util_pct: mean of their cards.

    Both are None unless every node of the job tells. seen_at: age of the scheduler's word.
    """

    job: OutsideJob
    now: float
    seen_at: int | None
    util_pct: float | None = None
    power_w: float | None = None

    @property
    def runs_s(self) -> float | None:
        """Time it has run, or has waited."""
        since = self.job.start_at if self.job.hosts else self.job.submitted_at
        return None if since is None else max(0.0, self.now - since)

    @property
    def left_s(self) -> float | None:
        return None if self.job.end_at is None or not self.job.hosts else self.job.end_at - self.now


COLUMNS: tuple[Column[JobRow], ...] = (
    Column("id", "job", lambda r: r.job.id, width=8, doc="id, as its scheduler calls it"),
    Column("scheduler", "scheduler", lambda r: r.job.backend, width=10, doc="endpoint it belongs to"),
    Column("user", "user", lambda r: r.job.user or None, width=8, doc="whose it is"),
    Column("account", "account", lambda r: r.job.account or None, width=8, wide=True, doc="who pays"),
    Column("state", "state", lambda r: r.job.state, width=8, role="state", doc="as its scheduler calls it"),
    Column("cards", "cards", lambda r: r.job.cards, width=5, right=True, doc="cards it has or asks for"),
    Column("node_count", "on", lambda r: r.job.nodes, width=4, right=True, doc="nodes it has or asks for"),
    Column("nodes", "nodes", lambda r: fold(r.job.hosts) or None, width=12, doc="where it runs"),
    Column("runs_s", "for", lambda r: r.runs_s, show_duration, 7, True, doc="time it has run or waited, s"),
    Column("left_s", "left", lambda r: r.left_s, show_duration, 7, True, wide=True, doc="time to its limit, s"),
    Column("util_pct", "util", lambda r: r.util_pct, show_pct, 4, True, doc="mean utilisation of its nodes' cards, %"),
    Column("power_w", "power", lambda r: r.power_w, show_watts, 6, True, doc="by its share of the cards there, W"),
    Column("partition", "partition", lambda r: r.job.partition or None, width=9, wide=True, doc="where it was sent"),
    Column("name", "name", lambda r: r.job.name or None, width=10, doc="name its user gave it"),
    Column("reason", "why it waits", lambda r: r.job.reason or None, width=12, doc="what is in its way"),
    Column("seen_at", "age", lambda r: r.seen_at, width=4, right=True, role="age", doc="of the scheduler's word"),
)


def load(
    conn: sqlite3.Connection, inventory: Inventory, now: float, *, node: str | None = None, running: bool | None = None
) -> list[JobRow]:
    """Jobs that run, then jobs that wait; with `node`, those that run there."""
    jobs = list_jobs(conn, host=node, running=running)
    if not jobs:
        return []
    seen = {e.name: e.ok_at for e in list_outside_endpoints(conn)}
    used = {name: state.cards_used for name, state in list_outside(conn).items()}
    cards, values = sum_cards(conn), host_values(conn)
    rows = []
    for job in jobs:
        utils: list[float] = []
        watts: list[float] = []
        each = job.cards / len(job.hosts) if job.cards and job.hosts else None
        for host in job.hosts:
            summary = cards.get(host)
            util = summary.values.get("util_pct") if summary else None
            power = values.get(host, {}).get("power_w")
            if power is None and summary:
                power = summary.values.get("power_w")
            given = used.get(host)
            if util is not None:
                utils.append(util)
            if power is not None and each is not None and given:
                watts.append(power * min(1.0, each / given))
        whole = len(job.hosts) > 0
        rows.append(
            JobRow(
                job,
                now,
                seen.get(job.backend),
                sum(utils) / len(utils) if whole and len(utils) == len(job.hosts) else None,
                sum(watts) if whole and len(watts) == len(job.hosts) else None,
            )
        )
    return rows


def table(rows: list[JobRow]) -> Table[JobRow]:
    return Table("job", COLUMNS, rows, lambda r: f"{r.job.backend}/{r.job.id}")


ENDPOINT_COLUMNS: tuple[Column[OutsideEndpoint], ...] = (
    Column("name", "scheduler", lambda r: r.name, width=10, doc="kind@site, or its name in fleet.toml"),
    Column("version", "version", lambda r: r.version or None, width=8, doc="as it says"),
    Column("nodes", "nodes", lambda r: r.nodes, width=6, right=True, doc="nodes it owns"),
    Column("strangers", "unknown", lambda r: r.strangers, width=7, right=True, doc="of these, not in fleet.toml"),
    Column("ok_at", "age", lambda r: r.ok_at, width=4, right=True, role="age", doc="of its last whole answer"),
    Column("trouble", "trouble", lambda r: r.trouble or None, width=16, doc="why it does not answer"),
    Column("trouble_since", "since", lambda r: r.trouble_since, show_moment, 19, role="moment", doc="when that began"),
    Column("hint", "next step", lambda r: r.hint or None, width=12, wide=True, doc="what to do about it"),
)


def endpoint_table(conn: sqlite3.Connection) -> Table[OutsideEndpoint]:
    return Table("scheduler", ENDPOINT_COLUMNS, list_outside_endpoints(conn), lambda r: r.name)


ORDER_COLUMNS: tuple[Column[OutsideOrder], ...] = (
    Column("id", "id", lambda r: r.id, width=10, doc="id of the order"),
    Column("scheduler", "scheduler", lambda r: r.backend, width=10, doc="whom it was asked of"),
    Column("verb", "verb", lambda r: r.verb, width=7, doc="cancel or submit"),
    Column("state", "state", lambda r: r.state.value, width=8, role="state", doc="pending, doing, done, failed"),
    Column("job", "job", lambda r: r.body.get("job") or r.body.get("name"), width=8, doc="job it is about"),
    Column("answer", "answer", lambda r: r.answer or None, width=16, doc="the new job's id, or why not"),
    Column("who", "who", lambda r: str(r.who), width=12, doc="who asked"),
    Column("created_at", "when", lambda r: r.created_at, show_moment, 19, role="moment", doc="when"),
)


def order_table(conn: sqlite3.Connection) -> Table[OutsideOrder]:
    return Table("order", ORDER_COLUMNS, list_orders(conn, only_open=False), lambda r: r.id)
