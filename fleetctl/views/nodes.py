"""Nodes: one row per host of the inventory, with the four axes, the cards in sum, and what is wrong in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import NodeAdmin, OutsideState
from fleetctl.model.host import Host
from fleetctl.model.lease import HOST_SLOT, WHOLE
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.store.capacity import count_processes, count_stray_cards
from fleetctl.store.findings import list_findings
from fleetctl.store.leases import list_holds
from fleetctl.store.nodes import list_admin, list_outside
from fleetctl.store.summaries import (
    CardSummary,
    HostAnswer,
    Values,
    count_cards,
    host_answers,
    host_values,
    sum_cards,
    wall_power,
)
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_count, show_duration, show_pct, show_temp, show_watts

STALE_AFTER_S = 150.0  # 2.5 rounds of a minute, the default of poll.stale_after x poll.interval_s


@dataclass(slots=True)
class NodeRow:
    """One node. None is unknown everywhere. Never changed; not frozen, because 12,500 frozen rows take four times as long.

    cards: accelerators expected (found, where nothing is declared); cards_found: accelerators the last answer named;
    cards_leased: cards held by leases; cards_stray: cards on which a process works without a lease; util_pct: mean over
    cards; temp_c: hottest card; power_w: of the server where it is metered, else the sum of its cards;
    mem_pct: card memory in use; host_mem_pct: main memory in use;
    findings: worst open finding in one line; findings_open: how many are open; age_at: when it last answered, epoch
    seconds; since_at: when its admin state began; deadline_at: of a drain; outside: the word of another scheduler that
    owns the node, with its age where that is old; jobs: of that scheduler, running there, `id user`.
    """

    name: str
    site: str
    hall: str | None = None
    row: str | None = None
    rack: str | None = None
    pools: tuple[str, ...] = ()
    model: str | None = None
    chip: str | None = None
    cards: int | None = None
    cards_found: int | None = None
    cards_leased: int = 0
    cards_stray: int = 0
    reach: Reach = Reach.UNKNOWN
    health: Health = Health.UNKNOWN
    admin: Admin = Admin.IN_SERVICE
    load: Load = Load.UNKNOWN
    reason: str | None = None
    owner: str | None = None
    since_at: float | None = None
    deadline_at: float | None = None
    util_pct: float | None = None
    temp_c: float | None = None
    power_w: float | None = None
    mem_pct: float | None = None
    cpu_pct: float | None = None
    load1: float | None = None
    host_mem_pct: float | None = None
    disk_used_pct: float | None = None
    leases: tuple[str, ...] = ()
    findings: str | None = None
    findings_open: int = 0
    error: str | None = None
    age_at: float | None = None
    outside: str | None = None
    jobs: tuple[str, ...] = ()


class Worst(NamedTuple):
    """The worst open finding of one host and how many are open."""

    severity: Health
    text: str
    open: int = 1


class Keeping(NamedTuple):
    """The node record: who took it out of service, why, since and until when."""

    admin: Admin
    reason: str | None = None
    owner: str | None = None
    since_at: float | None = None
    deadline_at: float | None = None


class Held(NamedTuple):
    """What leases hold on one host. cards: held at least in part; full: held as a whole; whole: the node is held."""

    leases: tuple[str, ...]
    cards: int
    full: int = 0
    whole: bool = False


def derive_reach(answer: HostAnswer | None, now: float, stale_after_s: float) -> Reach:
    """What the last round saw, unless that is too old to be believed."""
    if answer is None:
        return Reach.UNKNOWN
    if now - answer.report_at > stale_after_s:
        return Reach.STALE if answer.answer_at is not None else Reach.UNKNOWN
    reach = _REACH[answer.reach]
    if reach is Reach.FRESH and (answer.answer_at is None or now - answer.answer_at > stale_after_s):
        return Reach.STALE
    return reach


_REACH = {reach.value: reach for reach in Reach}


def derive_health(worst: Worst | None, reach: Reach) -> Health:
    """The worst open finding; blind is never green: without a fresh answer nothing is ok."""
    if worst is not None and worst.severity in (Health.CRIT, Health.WARN):
        return worst.severity
    if reach is Reach.FRESH:
        return worst.severity if worst is not None else Health.OK
    return Health.UNKNOWN


def derive_load(held: Held | None, cards: int | None, stray: int = 0) -> Load:
    """By who holds cards, never by utilisation: a leased card is taken whether or not it is busy, and so is one that a
    process holds without a lease. cards: None where never seen."""
    if not stray and (held is None or not (held.whole or held.cards)):
        return Load.UNKNOWN if cards is None else Load.IDLE
    full, whole = (held.full, held.whole) if held is not None else (0, False)
    return Load.ALLOCATED if whole or (cards and full + stray >= cards) else Load.MIXED


class Owned(NamedTuple):
    """What another scheduler says of a node of its own."""

    state: OutsideState
    jobs: tuple[str, ...] = ()


def derive_outside_load(state: OutsideState) -> Load:
    """By what that scheduler has given away."""
    if state.busy is None:
        return Load.UNKNOWN
    if not state.busy:
        return Load.IDLE
    return Load.ALLOCATED if state.cards and state.cards_used == state.cards else Load.MIXED


def outside_words(state: OutsideState, now: float, stale_after_s: float) -> str:
    """`slurm@lingang: idle+drain`, with its age once that is no longer of the last rounds."""
    age = now - (state.seen_at or 0)
    old = f" ({show_duration(age)} ago)" if age > stale_after_s else ""
    return f"{state.backend}: {state.word or state.state.value}{old}"


@dataclass(frozen=True, slots=True)
class Known:
    """All the store says of nodes, by host name; any host may be missing from any of it."""

    answers: Mapping[str, HostAnswer] = field(default_factory=dict)
    cards: Mapping[str, CardSummary] = field(default_factory=dict)
    values: Mapping[str, Values] = field(default_factory=dict)
    keeping: Mapping[str, Keeping] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)
    worst: Mapping[str, Worst] = field(default_factory=dict)
    owned: Mapping[str, Owned] = field(default_factory=dict)
    stray: Mapping[str, int] = field(default_factory=dict)  # cards a process holds without a lease
    wall: Mapping[str, float] = field(default_factory=dict)  # what BMCs say of the whole server, W


def build_nodes(
    hosts: Iterable[Host], known: Known, *, now: float, stale_after_s: float = STALE_AFTER_S
) -> list[NodeRow]:
    """Rows in the order of `hosts`. Pure."""
    return [_row(host, known, now, stale_after_s) for host in hosts]


WALL_FRESH_S = 900.0  # a BMC's power older than that is no power now
_IN_SERVICE = Keeping(Admin.IN_SERVICE)
_NOTHING: Values = {}
_ANSWERS = frozenset({Reach.FRESH, Reach.HUNG})


def _row(host: Host, known: Known, now: float, stale_after_s: float) -> NodeRow:
    name = host.name
    answer, cards, worst = known.answers.get(name), known.cards.get(name), known.worst.get(name)
    values, sums = known.values.get(name, _NOTHING), cards.values if cards else _NOTHING
    kept, held = known.keeping.get(name, _IN_SERVICE), known.held.get(name)
    reach = derive_reach(answer, now, stale_after_s)
    found = cards.cards if cards else (0 if answer is not None and answer.answer_at is not None else None)
    power = known.wall.get(name, values.get("power_w"))
    owned = known.owned.get(name) if known.owned else None
    stray = known.stray.get(name, 0) if reach in _ANSWERS else 0
    load = derive_load(held, found, stray)
    if owned is not None and not (held and (held.whole or held.cards)):
        load = derive_outside_load(owned.state)
    mem = sums.get("mem_used_bytes"), sums.get("mem_total_bytes")
    host_mem = values.get("mem_used_bytes"), values.get("mem_total_bytes")
    # By position, in the order of the class: 12,500 rows by keyword take two and a half times as long.
    return NodeRow(
        name, host.site, host.hall, host.row, host.rack, host.pools, host.model,
        (cards.chip if cards else None) or host.chip,
        host.cards if host.cards is not None else found, found, held.cards if held else 0, stray,
        reach, derive_health(worst, reach), kept.admin, load,
        kept.reason, kept.owner, kept.since_at, kept.deadline_at,
        sums.get("util_pct"), sums.get("temp_c"), power if power is not None else sums.get("power_w"), _share(*mem),
        values.get("cpu_pct"), values.get("load1"), _share(*host_mem), values.get("disk_used_pct"),
        held.leases if held else (),
        worst.text if worst else None, worst.open if worst else 0,
        answer.error or None if answer else None, answer.answer_at if answer else None,
        outside_words(owned.state, now, stale_after_s) if owned else None, owned.jobs if owned else (),
    )  # fmt: skip


def load(
    conn: sqlite3.Connection,
    inventory: Inventory,
    now: float,
    *,
    config: Config | None = None,
    host: str | None = None,
    figures: bool = True,
) -> list[NodeRow]:
    """Every node of the inventory in its order, from one snapshot of the store; with `host` only that one.

    config: for the age at which values count as old; None takes the defaults. figures=False leaves utilisation, heat,
    power and memory unknown: counts and states alone cost a third.
    """
    config = config or Config()
    held = _held(conn)
    outside = list_outside(conn, host)
    answers = host_answers(conn, host)
    known = Known(
        answers=answers,
        cards=sum_cards(conn, host) if figures else count_cards(conn),
        values=host_values(conn, host) if figures else {},
        keeping=_keeping(conn, config, held, outside, answers),
        held=held,
        worst=_worst(conn, host),
        owned=_owned(conn, outside, host),
        stray=_stray(conn, config),
        wall=wall_power(conn, now - WALL_FRESH_S, host) if figures else {},
    )
    hosts = inventory.hosts.values() if host is None else [inventory.hosts[host]]
    return build_nodes(hosts, known, now=now, stale_after_s=config.poll.interval_s * config.poll.stale_after)


def _owned(conn: sqlite3.Connection, outside: Mapping[str, OutsideState], host: str | None) -> dict[str, Owned]:
    """Nodes of other schedulers, and who runs on them there."""
    if not outside:
        return {}
    # As the scheduler below: only a fleet with a second scheduler waits for what belongs to it.
    from fleetctl.store.outside import list_jobs

    jobs: dict[str, list[str]] = {}
    for job in list_jobs(conn, host=host, running=True):
        for name in job.hosts:
            jobs.setdefault(name, []).append(f"{job.id} {job.user}".strip())
    return {name: Owned(state, tuple(jobs.get(name, ()))) for name, state in outside.items()}


def _stray(conn: sqlite3.Connection, config: Config) -> dict[str, int]:
    scheduling = config.scheduling
    return count_stray_cards(conn, scheduling.drain_ignores) if scheduling.drain_waits_for_processes else {}


def _held(conn: sqlite3.Connection) -> dict[str, Held]:
    leases: dict[str, dict[str, None]] = {}
    cards: dict[str, dict[str, int]] = {}
    whole: set[str] = set()
    for host, card, lease, milli, exclusive in list_holds(conn):
        leases.setdefault(host, {})[lease] = None
        if exclusive or card == HOST_SLOT:
            whole.add(host)
        if card != HOST_SLOT:
            per_card = cards.setdefault(host, {})
            per_card[card] = per_card.get(card, 0) + milli
    return {
        host: Held(
            tuple(ids),
            len(cards.get(host, ())),
            sum(milli >= WHOLE for milli in cards.get(host, {}).values()),
            host in whole,
        )
        for host, ids in leases.items()
    }


def _keeping(
    conn: sqlite3.Connection,
    config: Config,
    held: Mapping[str, Held],
    outside: Mapping[str, OutsideState],
    answers: Mapping[str, HostAnswer],
) -> dict[str, Keeping]:
    """Admin states of nodes with a record of ours or of an outside scheduler; all others are in service."""
    records = list_admin(conn)
    if not records and not outside:
        return {}
    # Brings the whole scheduler with it; a fleet where every node is in service need not wait for that.
    from fleetctl.scheduler.states import effective, owner_of

    scheduling = config.scheduling
    waits = scheduling.drain_waits_for_processes
    processes = count_processes(conn, scheduling.drain_ignores) if waits else {}
    found = {}
    for host in {**records, **outside}:
        record, other = records.get(host) or NodeAdmin(host), outside.get(host)
        answer = answers.get(host)  # what ran on a host that is dead now is not work, as for the drainer
        working = answer is not None and answer.reach != Reach.UNREACHABLE and host in processes
        busy: bool | None = host in held or working
        if not busy and other is not None:
            busy = other.busy
        state, owner = effective(record, other, busy), owner_of(record, other)
        reason = str(record.reason) if record.reason else (other.reason or None if other else None)
        in_service = state is Admin.IN_SERVICE
        found[host] = Keeping(
            state,
            None if in_service else reason,
            None if in_service or owner is None else str(owner),
            record.since_at if record.since_at is not None else (other.since_at if other else None),
            None if in_service else record.deadline_at,
        )
    return found


def _worst(conn: sqlite3.Connection, host: str | None) -> dict[str, Worst]:
    found: dict[str, Worst] = {}
    for finding in list_findings(conn, host=host):  # worst first
        if finding.host is not None:
            before = found.get(finding.host)
            found[finding.host] = (
                Worst(finding.severity, finding.text) if before is None else before._replace(open=before.open + 1)
            )
    return found


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else 100.0 * part / whole


def _note(row: NodeRow) -> str | None:
    """Why this row deserves a look, in one line: its fault first, then the reason it is out of service."""
    return row.findings or row.error or row.reason


COLUMNS: tuple[Column[NodeRow], ...] = (
    Column("name", "node", lambda r: r.name, width=8, doc="name in the inventory"),
    Column("site", "site", lambda r: r.site, width=6, doc="site it is in"),
    Column("hall", "hall", lambda r: r.hall, width=6, wide=True, doc="hall it is in"),
    Column("row", "row", lambda r: r.row, width=4, wide=True, doc="row it is in"),
    Column("rack", "rack", lambda r: r.rack, width=6, wide=True, doc="rack it is in"),
    Column("pools", "pools", lambda r: ",".join(r.pools) or None, width=8, wide=True, doc="pools it belongs to"),
    Column("model", "model", lambda r: r.model, width=12, wide=True, doc="server model"),
    Column("chip", "chip", lambda r: r.chip, width=8, wide=True, doc="accelerator, as the chip catalogue calls it"),
    Column("cards_found", "cards", lambda r: r.cards_found, width=5, right=True, doc="accelerators found"),
    Column("cards", "expected", lambda r: r.cards, width=8, right=True, wide=True, doc="accelerators expected"),
    Column("reach", "reach", lambda r: r.reach.value, width=7, role="state", doc="does it answer"),
    Column("health", "health", lambda r: r.health.value, width=6, role="state", doc="worst open finding"),
    Column("admin", "admin", lambda r: r.admin.value, width=8, role="state", doc="may it get work"),
    Column(
        "load",
        "load",
        lambda r: r.load.value,
        width=6,
        role="state",
        doc="what leases, and processes without one, hold",
    ),
    Column(
        "cards_leased", "leased", lambda r: r.cards_leased, width=6, right=True, wide=True, doc="cards held by leases"
    ),
    Column(
        "cards_stray",
        "unleased",
        lambda r: r.cards_stray,
        width=8,
        right=True,
        wide=True,
        doc="cards on which a process works without a lease",
    ),
    Column("util_pct", "util", lambda r: r.util_pct, show_pct, 4, right=True, doc="mean utilisation of its cards, %"),
    Column(
        "temp_c",
        "temp",
        lambda r: r.temp_c,
        show_temp,
        4,
        right=True,
        doc="its hottest card (hot spot where no core is told), C",
    ),
    Column(
        "power_w",
        "power",
        lambda r: r.power_w,
        show_watts,
        6,
        right=True,
        doc="at the wall by its BMC, else by the server, else sum of cards, W",
    ),
    Column("mem_pct", "mem", lambda r: r.mem_pct, show_pct, 4, True, wide=True, doc="card memory in use, %"),
    Column("cpu_pct", "cpu", lambda r: r.cpu_pct, show_pct, 4, True, wide=True, doc="processors busy, %"),
    Column("load1", "load1", lambda r: r.load1, show_count, 6, True, wide=True, doc="run queue over one minute"),
    Column("host_mem_pct", "ram", lambda r: r.host_mem_pct, show_pct, 4, True, wide=True, doc="main memory in use, %"),
    Column("disk_used_pct", "disk", lambda r: r.disk_used_pct, show_pct, 4, True, wide=True, doc="fullest disk, %"),
    Column("owner", "owner", lambda r: r.owner, width=8, wide=True, doc="who set its admin state"),
    Column("reason", "reason", lambda r: r.reason, width=12, wide=True, doc="why it is out of service"),
    Column("leases", "leases", lambda r: ",".join(r.leases) or None, width=8, wide=True, doc="leases on it"),
    Column("outside", "elsewhere", lambda r: r.outside, width=12, wide=True, doc="word of the scheduler that owns it"),
    Column("jobs", "jobs", lambda r: ",".join(r.jobs) or None, width=8, wide=True, doc="jobs of that scheduler on it"),
    Column("findings_open", "open", lambda r: r.findings_open, width=4, right=True, wide=True, doc="open findings"),
    Column("age_at", "age", lambda r: r.age_at, width=4, right=True, role="age", doc="time since it last answered"),
    Column("note", "note", _note, width=12, wide=True, doc="its worst finding, its error or its reason, in one line"),
)


def table(rows: list[NodeRow]) -> Table[NodeRow]:
    return Table("node", COLUMNS, rows, lambda r: r.name)
