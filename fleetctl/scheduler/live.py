"""What placement must know of the running fleet, read from the store: what nodes are, and what keeps them from work."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from fleetctl import garbage
from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Wish
from fleetctl.model.lease import HOST_SLOT, WHOLE
from fleetctl.model.states import Admin, Reach
from fleetctl.scheduler.packing.task import TaskClass
from fleetctl.scheduler.picture import HeldCard, Picture
from fleetctl.scheduler.placement import CardView, ChipFacts, NodeView, Snapshot, Window
from fleetctl.scheduler.placement.snapshot import stray_words
from fleetctl.scheduler.power import load_power
from fleetctl.store.capacity import (
    HostFact,
    count_processes,
    hot_hosts,
    list_cards,
    list_heard,
    list_silent,
    list_working_cards,
    worst_findings,
)
from fleetctl.store.leases import list_holds
from fleetctl.store.nodes import list_admin, list_card_admin, list_outside
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
    """One consistent snapshot, nodes in inventory order, with what is held. chips: the catalogue by chip name."""
    with garbage.at_rest():
        snapshot = load_fleet(conn, inventory, config, now, chips)
        held: dict[str, dict[str, tuple[int, bool]]] = defaultdict(dict)
        leases: dict[str, set[str]] = defaultdict(set)
        for host, card, lease, milli, exclusive in list_holds(conn):
            before = held[host].get(card, (0, False))
            held[host][card] = (before[0] + milli, before[1] or exclusive)
            leases[host].add(lease)
        nodes = dict(snapshot.nodes)
        for host, cards in held.items():
            if host in nodes:
                node = nodes[host]
                views = [
                    replace(c, free_milli=max(0, WHOLE - cards[c.key][0])) if c.key in cards else c for c in node.cards
                ]
                alone = HOST_SLOT in cards or any(e for _, e in cards.values())
                nodes[host] = replace(node, cards=tuple(views), held_by=tuple(sorted(leases[host])), exclusive=alone)
        limits, at, warm = load_power(conn, inventory, config, now)
        strays: dict[str, dict[str, str]] = defaultdict(dict)
        for host, card, pid, user in working_cards(conn, config):
            if card not in held.get(host, ()) and HOST_SLOT not in held.get(host, ()):
                strays[host][card] = stray_words(pid, user)
        for node in with_conditions(conn, nodes, config, now, warm, lambda host: host in held, strays=strays):
            nodes[node.host] = node
        return replace(snapshot, nodes=nodes, limits=limits, limits_at=at)


def load_fleet(
    conn: sqlite3.Connection,
    inventory: Inventory,
    config: Config,
    now: int,
    chips: Mapping[str, ChipFacts] | None = None,
) -> Snapshot:
    """What nodes are: the part that is dear to read and changes rarely. Nothing is held, nothing keeps them from work."""
    leaves: dict[str | None, str] = {rack.name: rack.leaf for rack in inventory.racks.values() if rack.leaf}
    cards, chip_of = list_cards(conn)
    heard = list_heard(conn)
    nodes = {
        name: NodeView(
            host=name,
            site=host.site,
            rack=host.rack,
            leaf=leaves.get(host.rack),
            pools=host.pools,
            chip=chip_of.get(name) or host.chip,
            cards=tuple([CardView(key, number) for key, number in cards.get(name, ())]),
            heard=name in heard or name in cards,
            declared=host.cards or 0,
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


def working_cards(conn: sqlite3.Connection, config: Config) -> list[tuple[str, str, int, str]]:
    """(host, card, pid, user) of cards on which something works; nothing where such processes are to be ignored."""
    rules = config.scheduling
    return [] if rules.stray_processes == "ignore" else list_working_cards(conn, rules.drain_ignores)


def with_conditions(
    conn: sqlite3.Connection,
    nodes: Mapping[str, NodeView],
    config: Config,
    now: int,
    warm: Mapping[str, str],
    busy: Callable[[str], bool],
    odd: Collection[str] = (),
    strays: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[NodeView]:
    """The nodes that something keeps from work at present, or kept until now, as they are; of all others nothing is said.

    warm: host -> why its cooling bears no more; busy: is anything held there? odd: hosts that were kept from work, or
    some of their cards, as `nodes` has them; strays: host -> card -> the process that runs there without a lease.
    """
    strays = strays or {}
    records, cards, outside = list_admin(conn), list_card_admin(conn), list_outside(conn)
    silent, seen = list_silent(conn)
    findings, hot = worst_findings(conn), hot_hosts(conn)
    windows: dict[str, list[Window]] = defaultdict(list)
    for reserved in list_reservations(conn):
        for host in reserved.hosts:
            windows[host].append(Window(reserved.start_at, reserved.end_at, reserved.tenant, reserved.id))
    named = {h for h, r in records.items() if r.wish is not Wish.SERVE} | set(outside)
    waits = named and config.scheduling.drain_waits_for_processes
    held = {host: {HOST_SLOT: HeldCard(WHOLE)} for host in named if busy(host)}
    picture = Picture(
        now=now,
        records=records,
        card_records=cards,
        outside=outside,
        facts={h: HostFact(h, Reach.FRESH.value, None, ()) for h in named & seen} | silent,
        processes=count_processes(conn, config.scheduling.drain_ignores) if waits else {},
        held=held,
    )
    bad_cards: dict[str, dict[str, str]] = defaultdict(dict)
    for (host, key), record in cards.items():
        if record.wish is not Wish.SERVE:
            bad_cards[host][key] = f"is out of service ({record.reason})" if record.reason else "is out of service"
    unusual = {*odd, *named, *silent, *findings, *hot, *warm, *windows, *bad_cards, *strays, *(nodes.keys() - seen)}
    for host in unusual & nodes.keys():
        node = nodes[host]
        text = hot.get(host) or warm.get(host)
        wish, strange = picture.record(host).wish, strays.get(host, {})
        yield replace(
            node,
            why_not=_why_not(picture, host, host in seen, findings.get(host, ())),
            hot=f"too warm for more load: {text}" if text else "",
            windows=tuple(windows.get(host, ())),
            cards=tuple(
                [replace(c, why_not=bad_cards[host].get(c.key, ""), stray=strange.get(c.key, "")) for c in node.cards]
            )
            if host in bad_cards or strange or host in odd
            else node.cards,
            away=wish is Wish.RETIRE or host in outside,
            repair=wish is Wish.RMA,
        )


def _why_not(picture: Picture, name: str, seen: bool, critical: tuple[str, ...]) -> str:
    state = picture.state(name)
    if state is not Admin.IN_SERVICE:
        record, outside = picture.record(name), picture.outside.get(name)
        reason = str(record.reason or "") or (outside.reason if outside else "")
        owner = picture.owner(name)
        return f"is {state.value}" + (f" ({reason})" if reason else "") + (f" by {owner}" if owner else "")
    if not seen:
        return "was never heard: what it has is not known yet"
    fact = picture.facts.get(name)
    if fact is not None and fact.reach != Reach.FRESH:
        return _SILENT.get(Reach(fact.reach), "is not fresh")
    outside = picture.outside.get(name)
    if outside is not None:
        return f"belongs to {outside.backend}: ask there"
    if critical:
        return f"has a critical finding: {critical[0]}"
    return ""
