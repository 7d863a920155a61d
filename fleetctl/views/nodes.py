"""Nodes: one row per host of the inventory, with the four axes, the cards in sum, and what is wrong in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleetctl.model.host import Host
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_count, show_pct, show_temp, show_watts

STALE_AFTER_S = 150.0  # 2.5 rounds of a minute, the default of poll.stale_after x poll.interval_s


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node. None is unknown everywhere.

    cards: accelerators expected (found, where nothing is declared); cards_found: accelerators the last answer named;
    cards_leased: cards held by leases; util_pct: mean over cards; temp_c: hottest card; power_w: of the server where
    it is metered, else the sum of its cards; mem_pct: card memory in use; host_mem_pct: main memory in use;
    findings: worst open finding in one line; findings_open: how many are open; age_at: when it last answered, epoch
    seconds; since_at: when its admin state began; deadline_at: of a drain.
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store remembers of the last rounds of one host.

    reach: as the collector saw it; reported_at: when somebody last asked; answered_at: when it last answered.
    """

    reach: Reach
    reported_at: float | None
    answered_at: float | None
    error: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class CardSum:
    """The cards of one host in sum; None where no card told. leased_cards: not known here."""

    cards: int
    chip: str | None = None
    util_pct: float | None = None
    temp_c: float | None = None
    power_w: float | None = None
    mem_used_bytes: float | None = None
    mem_total_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst open finding of one host and how many are open."""

    severity: Health
    text: str
    open: int = 1


@dataclass(frozen=True, slots=True)
class Keeping:
    """The node record: who took it out of service, why, since and until when."""

    admin: Admin
    reason: str | None = None
    owner: str | None = None
    since_at: float | None = None
    deadline_at: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What leases hold on one host. whole: at least one lease holds the node as a whole."""

    leases: tuple[str, ...]
    cards: int
    whole: bool = False


def derive_reach(answer: Answer | None, now: float, stale_after_s: float) -> Reach:
    """What the last round saw, unless that is too old to be believed."""
    if answer is None or answer.reported_at is None:
        return Reach.UNKNOWN
    if now - answer.reported_at > stale_after_s:
        return Reach.STALE if answer.answered_at is not None else Reach.UNKNOWN
    if answer.reach is Reach.FRESH and (answer.answered_at is None or now - answer.answered_at > stale_after_s):
        return Reach.STALE
    return answer.reach


def derive_health(worst: Worst | None, reach: Reach) -> Health:
    """The worst open finding; blind is never green: without a fresh answer nothing is ok."""
    if worst is not None and worst.severity in (Health.CRIT, Health.WARN):
        return worst.severity
    if reach is Reach.FRESH:
        return worst.severity if worst is not None else Health.OK
    return Health.UNKNOWN


def derive_load(held: Held | None, cards: int | None) -> Load:
    """By leases, never by utilisation: a held card is taken whether or not it is busy."""
    if held is None or not (held.whole or held.cards):
        return Load.IDLE
    if held.whole or (cards is not None and held.cards >= cards):
        return Load.ALLOCATED
    return Load.MIXED


def build_nodes(
    hosts: Iterable[Host],
    answers: Mapping[str, Answer],
    cards: Mapping[str, CardSum],
    host_values: Mapping[str, Mapping[str, float | int | None]],
    keeping: Mapping[str, Keeping],
    held: Mapping[str, Held],
    worst: Mapping[str, Worst],
    *,
    now: float,
    stale_after_s: float = STALE_AFTER_S,
) -> list[NodeRow]:
    """Rows in the order of `hosts`; all mappings go by host name and may lack any host."""
    rows, nothing = [], dict[str, float | int | None]()
    in_service = Keeping(Admin.IN_SERVICE)
    for host in hosts:
        name = host.name
        answer, sums, found = answers.get(name), cards.get(name), worst.get(name)
        values, kept, taken = host_values.get(name, nothing), keeping.get(name, in_service), held.get(name)
        reach = derive_reach(answer, now, stale_after_s)
        expected = host.cards if host.cards is not None else (sums.cards if sums else None)
        power = values.get("power_w")
        rows.append(
            NodeRow(
                name=name,
                site=host.site,
                hall=host.hall,
                row=host.row,
                rack=host.rack,
                pools=host.pools,
                model=(answer.model if answer else None) or host.model,
                chip=(sums.chip if sums else None) or host.chip,
                cards=expected,
                cards_found=sums.cards if sums else None,
                cards_leased=taken.cards if taken else 0,
                reach=reach,
                health=derive_health(found, reach),
                admin=kept.admin,
                load=derive_load(taken, expected),
                reason=kept.reason,
                owner=kept.owner,
                since_at=kept.since_at,
                deadline_at=kept.deadline_at,
                util_pct=sums.util_pct if sums else None,
                temp_c=sums.temp_c if sums else None,
                power_w=power if power is not None else (sums.power_w if sums else None),
                mem_pct=_share(sums.mem_used_bytes, sums.mem_total_bytes) if sums else None,
                cpu_pct=values.get("cpu_pct"),
                load1=values.get("load1"),
                host_mem_pct=_share(values.get("mem_used_bytes"), values.get("mem_total_bytes")),
                disk_used_pct=values.get("disk_used_pct"),
                leases=taken.leases if taken else (),
                findings=found.text if found else None,
                findings_open=found.open if found else 0,
                error=answer.error if answer and reach is not Reach.FRESH else None,
                age_at=answer.answered_at if answer else None,
            )
        )
    return rows


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
    Column("load", "load", lambda r: r.load.value, width=6, role="state", doc="what leases hold"),
    Column(
        "cards_leased", "leased", lambda r: r.cards_leased, width=6, right=True, wide=True, doc="cards held by leases"
    ),
    Column("util_pct", "util", lambda r: r.util_pct, show_pct, 4, right=True, doc="mean utilisation of its cards, %"),
    Column("temp_c", "temp", lambda r: r.temp_c, show_temp, 4, right=True, doc="its hottest card, C"),
    Column("power_w", "power", lambda r: r.power_w, show_watts, 6, right=True, doc="server, else sum of cards, W"),
    Column("mem_pct", "mem", lambda r: r.mem_pct, show_pct, 4, True, wide=True, doc="card memory in use, %"),
    Column("cpu_pct", "cpu", lambda r: r.cpu_pct, show_pct, 4, True, wide=True, doc="processors busy, %"),
    Column("load1", "load1", lambda r: r.load1, show_count, 6, True, wide=True, doc="run queue over one minute"),
    Column("host_mem_pct", "ram", lambda r: r.host_mem_pct, show_pct, 4, True, wide=True, doc="main memory in use, %"),
    Column("disk_used_pct", "disk", lambda r: r.disk_used_pct, show_pct, 4, True, wide=True, doc="fullest disk, %"),
    Column("owner", "owner", lambda r: r.owner, width=8, wide=True, doc="who set its admin state"),
    Column("reason", "reason", lambda r: r.reason, width=12, wide=True, doc="why it is out of service"),
    Column("leases", "leases", lambda r: ",".join(r.leases) or None, width=8, wide=True, doc="leases on it"),
    Column("findings_open", "open", lambda r: r.findings_open, width=4, right=True, wide=True, doc="open findings"),
    Column("age_at", "age", lambda r: r.age_at, width=4, right=True, role="age", doc="time since it last answered"),
    Column("note", "note", _note, width=12, wide=True, doc="its worst finding, its error or its reason, in one line"),
)


def table(rows: list[NodeRow]) -> Table[NodeRow]:
    return Table("node", COLUMNS, rows, lambda r: r.name)
