"""The snapshot placement works on, made from the running fleet: who may take work, and what is free."""

from __future__ import annotations

import gc
import sqlite3
from collections import defaultdict
from collections.abc import Mapping

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Wish
from fleetctl.model.host import Host
from fleetctl.model.lease import HOST_SLOT, WHOLE
from fleetctl.model.states import Admin, Reach
from fleetctl.scheduler.packing.task import TaskClass
from fleetctl.scheduler.picture import HeldCard, Picture, load_picture
from fleetctl.scheduler.placement import CardView, ChipFacts, NodeView, Snapshot, Window
from fleetctl.store.capacity import CardFact, hot_hosts, latest_power, worst_findings
from fleetctl.store.requests import list_requests
from fleetctl.store.reservations import list_reservations

RECENT_REQUESTS = 500  # enough to tell what is usual, few enough to follow when it changes

_SILENT = {
    Reach.UNREACHABLE: "does not answer",
    Reach.STALE: "its last answer is old",
    Reach.HUNG: "a probe on it hangs",
    Reach.UNKNOWN: "was never heard",
}


def load_snapshot(
    conn: sqlite3.Connection,
    inventory: Inventory,
    config: Config,
    now: int,
    chips: Mapping[str, ChipFacts] | None = None,
) -> Snapshot:
    """One consistent snapshot, nodes in inventory order. chips: the catalogue by chip name."""
    collecting = gc.isenabled()
    gc.disable()  # a quarter of a million small objects that all stay: collecting in between finds nothing
    try:
        return _load(conn, inventory, config, now, chips)
    finally:
        if collecting:
            gc.enable()


def _load(
    conn: sqlite3.Connection,
    inventory: Inventory,
    config: Config,
    now: int,
    chips: Mapping[str, ChipFacts] | None,
) -> Snapshot:
    picture = load_picture(conn, config, now)
    findings = worst_findings(conn)
    windows: dict[str, list[Window]] = defaultdict(list)
    for held in list_reservations(conn):
        for host in held.hosts:
            windows[host].append(Window(held.start_at, held.end_at, held.tenant, held.id))
    headroom = _rack_headroom(inventory, latest_power(conn))
    leaves: dict[str | None, str] = {rack.name: rack.leaf for rack in inventory.racks.values() if rack.leaf}
    hot = hot_hosts(conn)
    nodes = {
        name: _node(
            host,
            picture,
            findings.get(name, ()),
            tuple(windows.get(name, ())),
            headroom,
            leaves.get(host.rack),
            hot.get(name, ""),
        )
        for name, host in inventory.hosts.items()
    }
    sites = inventory.sites.values()
    return Snapshot(
        now=now,
        nodes=nodes,
        chips=chips or {},
        prices={p.chip: p.amount for p in config.prices},
        latency_ms={s.name: s.latency_ms for s in sites if s.latency_ms is not None},
        green_pct={s.name: s.green_share_pct for s in sites if s.green_share_pct is not None},
        mix=asked_lately(conn, max((len(n.cards) for n in nodes.values()), default=0)),
    )


def asked_lately(conn: sqlite3.Connection, max_cards: int) -> tuple[tuple[TaskClass, float], ...]:
    """The last requests, waiting, granted or refused, by what they ask of one node, and how often each came."""
    counts: dict[TaskClass, float] = defaultdict(float)
    for request in list_requests(conn, limit=RECENT_REQUESTS):
        shape = request.shape
        whole = shape.cards == 0 or shape.exclusive
        cards = max_cards if whole else min(shape.cards, max_cards)
        counts[TaskClass(cards=cards, milli=WHOLE if whole else min(shape.milli, WHOLE))] += shape.nodes
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0].cards, item[0].milli)))


def _node(
    host: Host,
    picture: Picture,
    critical: tuple[str, ...],
    windows: tuple[Window, ...],
    headroom: Mapping[str, float],
    leaf: str | None,
    hot: str,
) -> NodeView:
    name = host.name
    held = picture.held.get(name, {})
    facts = picture.cards(name)
    slot = held.get(HOST_SLOT)
    chip = next((c.chip or c.model for c in facts if c.chip or c.model), None) or host.chip
    return NodeView(
        host=name,
        site=host.site,
        rack=host.rack,
        leaf=leaf,
        pools=host.pools,
        chip=chip,
        cards=_cards(picture, name, facts, held),
        why_not=_why_not(picture, name, critical),
        held_by=picture.leases(name),
        exclusive=any(h.exclusive for h in held.values()) or slot is not None,
        windows=windows,
        rack_headroom_w=headroom.get(host.rack) if host.rack else None,
        hot=f"too warm for more load: {hot}" if hot else "",
    )


def _cards(
    picture: Picture, name: str, facts: tuple[CardFact, ...], held: Mapping[str, HeldCard]
) -> tuple[CardView, ...]:
    """Written for 100,000 cards of which few are held: the plain case makes one object per card and asks nothing."""
    if not held and not picture.card_records:
        return tuple([CardView(c.key, c.number) for c in facts])
    return tuple(
        CardView(
            c.key,
            c.number,
            max(0, WHOLE - held[c.key].milli) if c.key in held else WHOLE,
            _why_not_card(picture, name, c.key),
        )
        for c in facts
    )


def _why_not(picture: Picture, name: str, critical: tuple[str, ...]) -> str:
    state = picture.state(name)
    if state is not Admin.IN_SERVICE:
        record, outside = picture.record(name), picture.outside.get(name)
        reason = str(record.reason or "") or (outside.reason if outside else "")
        owner = picture.owner(name)
        return f"is {state.value}" + (f" ({reason})" if reason else "") + (f" by {owner}" if owner else "")
    fact = picture.facts.get(name)
    if fact is None:
        return "was never seen"
    if fact.reach != Reach.FRESH:
        return _SILENT.get(Reach(fact.reach), "is not fresh")
    outside = picture.outside.get(name)
    if outside is not None:
        return f"belongs to {outside.backend}: ask there"
    if critical:
        return f"has a critical finding: {critical[0]}"
    return ""


def _why_not_card(picture: Picture, host: str, card: str) -> str:
    record = picture.card_records.get((host, card))
    if record is None or record.wish is Wish.SERVE:
        return ""
    return f"is out of service ({record.reason})" if record.reason else "is out of service"


def _rack_headroom(inventory: Inventory, power: Mapping[str, float]) -> dict[str, float]:
    """Rack -> watts its budget leaves. A rack without budget, or with a host whose draw is unknown, is left out."""
    found = {}
    for rack in inventory.racks.values():
        hosts = inventory.rack_hosts(rack.name)
        if rack.power_budget_w is not None and hosts and all(h in power for h in hosts):
            found[rack.name] = rack.power_budget_w - sum(power[h] for h in hosts)
    return found
