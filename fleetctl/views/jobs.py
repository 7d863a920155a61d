"""Jobs of schedulers beside ours, joined to what their nodes measure; and how those schedulers answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fleetctl.i18n import _
from fleetctl.inventory.inventory import Inventory
from fleetctl.inventory.nodesets import fold
from fleetctl.model.outside import OutsideEndpoint, OutsideJob, OutsideOrder
from fleetctl.store.card_figures import card_figures
from fleetctl.store.nodes import list_outside
from fleetctl.store.outside import list_jobs, list_orders, list_outside_endpoints
from fleetctl.store.summaries import CardSummary, Values, host_values, sum_cards
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_duration, show_moment, show_pct, show_watts


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job. by: what util_pct and power_w are of: "cards" where the scheduler says which cards the job holds, "nodes"
    where it does not: then watts are its share of what its nodes draw, by the cards given away there, and utilisation
    is that of all their cards. Both are None unless every one of these tells. cards_on: `0-3` by node, where known.
    seen_at: age of the scheduler's word.
    """

    job: OutsideJob
    now: float
    seen_at: int | None
    util_pct: float | None = None
    power_w: float | None = None
    by: str | None = None

    @property
    def cards_on(self) -> str | None:
        """`0-3` where they are the same on all its nodes, else `gpu1:0-3 gpu2:4-7`; None where not all are told."""
        places = self.job.places
        if not places or len(places) < len(self.job.hosts):
            return None
        if len(set(places.values())) == 1:
            return show_indices(next(iter(places.values())))
        return " ".join(f"{host}:{show_indices(cards)}" for host, cards in sorted(places.items()))

    @property
    def runs_s(self) -> float | None:
        """Time it has run, or has waited."""
        since = self.job.start_at if self.job.hosts else self.job.submitted_at
        return None if since is None else max(0.0, self.now - since)

    @property
    def left_s(self) -> float | None:
        return None if self.job.end_at is None or not self.job.hosts else self.job.end_at - self.now


def show_indices(numbers: Sequence[int]) -> str:
    """(0, 1, 2, 5) -> `0-2,5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


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
    Column("card_set", "which", lambda r: r.cards_on, width=5, doc="indices of its cards; unknown: not told"),
    Column("util_pct", "util", lambda r: r.util_pct, show_pct, 4, True, doc="mean utilisation of its cards, %"),
    Column("power_w", "power", lambda r: r.power_w, show_watts, 6, True, doc="what its cards draw, W"),
    Column("by", "by", lambda r: r.by, width=5, doc="cards: of its own; nodes: its share of its nodes, cards not told"),
    Column("partition", "partition", lambda r: r.job.partition or None, width=9, wide=True, doc="where it was sent"),
    Column("qos", "qos", lambda r: r.job.qos or None, width=8, wide=True, doc="its class there (quality of service)"),
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
    told = {host for job in jobs for host in job.places}
    figures = card_figures(conn, told)
    rest = any(len(job.places) < len(job.hosts) for job in jobs)
    used = {name: state.cards_used for name, state in list_outside(conn).items()} if rest else {}
    cards, values = (sum_cards(conn), host_values(conn)) if rest else ({}, {})
    rows = []
    for job in jobs:
        row = JobRow(job, now, seen.get(job.backend))
        if job.hosts and len(job.places) >= len(job.hosts):
            each = [figures.get(host, {}).get(card) for host, held in job.places.items() for card in held]
            utils, watts = [f.util_pct if f else None for f in each], [f.power_w if f else None for f in each]
            row = replace(row, util_pct=_mean(utils), power_w=_sum(watts), by="cards")
        elif job.hosts:
            utils = [cards[h].values.get("util_pct") if h in cards else None for h in job.hosts]
            watts = [_share(job, used.get(h), values.get(h, {}), cards.get(h)) for h in job.hosts]
            row = replace(row, util_pct=_mean(utils), power_w=_sum(watts), by="nodes")
        rows.append(row)
    return rows


def _share(job: OutsideJob, given: int | None, host: Values, cards: CardSummary | None) -> float | None:
    """Of a node whose cards it shares with others, what falls to this job. given: cards given away there."""
    power = host.get("power_w")
    if power is None and cards is not None:
        power = cards.values.get("power_w")
    if power is None or not given or not job.cards:
        return None
    return power * min(1.0, job.cards / len(job.hosts) / given)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if known and len(known) == len(values) else None


def _mean(values: Sequence[float | None]) -> float | None:
    total = _sum(values)
    return None if total is None else total / len(values)


def by_card(rows: Iterable[JobRow], node: str) -> dict[str, str]:
    """Index of a card of one node -> `id user` of the job that holds it, where that is told."""
    return {str(card): f"{r.job.id} {r.job.user}".strip() for r in rows for card in r.job.places.get(node, ())}


def on_node(row: JobRow, node: str) -> tuple[str, str]:
    """(`12 anna`, `cards 0-3, 2.1 kW, 87 %, 1h left`) of a job on one of its nodes."""
    job, held = row.job, row.job.places.get(node)
    words = [f"{_('cards')} {show_indices(held)}" if held else _("cards not told")]
    words += [show_watts(row.power_w)] if row.power_w is not None else []
    words += [show_pct(row.util_pct)] if row.util_pct is not None else []
    words += [_("on {count} nodes").format(count=len(job.hosts))] if len(job.hosts) > 1 else []
    words += [f"{show_duration(row.left_s)} {_('left')}"] if row.left_s is not None else []
    return f"{job.id} {job.user}".strip(), ", ".join([*words, *([job.name] if job.name else [])])


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
