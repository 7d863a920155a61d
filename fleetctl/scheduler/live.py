"""What placement must know of the running fleet, read from the store: what nodes are, and what keeps them from work."""

from __future__ import annotations

import gc
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Wish
from fleetctl.model.lease import HOST_SLOT, WHOLE
from fleetctl.model.states import Admin, Reach
from fleetctl.scheduler.packing.task import TaskClass
from fleetctl.scheduler.picture import HeldCard, Picture
from fleetctl.scheduler.placement import CardView, ChipFacts, NodeView, Snapshot, Window
from fleetctl.scheduler.power import load_power
from fleetctl.store.capacity import count_processes, hot_hosts, list_cards, list_reach, worst_findings
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
    with collector_at_rest():
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
        snapshot = replace(snapshot, nodes=nodes)
        limits, at, warm = load_power(conn, inventory, config, now)
        nodes = {n.host: n for n in with_conditions(conn, snapshot, config, now, warm)}
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
    nodes = {
        name: NodeView(
            host=name,
            site=host.site,
            rack=host.rack,
            leaf=leaves.get(host.rack),
            pools=host.pools,
            chip=chip_of.get(name) or host.chip,
            cards=tuple([CardView(key, number) for key, number in cards.get(name, ())]),
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


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """For a quarter of a million small objects that all stay: collecting in between finds nothing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def asked_lately(conn: sqlite3.Connection, max_cards: int) -> tuple[tuple[TaskClass, float], ...]:
    """The last requests, waiting, granted or refused, by what they ask of one node, and how often each came."""
    counts: dict[TaskClass, float] = defaultdict(float)
    for request in list_requests(conn, limit=RECENT_REQUESTS):
        shape = request.shape
        whole = shape.cards == 0 or shape.exclusive
        cards = max_cards if whole else min(shape.cards, max_cards)
        counts[TaskClass(cards=cards, milli=WHOLE if whole else min(shape.milli, WHOLE))] += shape.nodes
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0].cards, item[0].milli)))


def with_conditions(
    conn: sqlite3.Connection,
    snapshot: Snapshot,
    config: Config,
    now: int,
    warm: Mapping[str, str],
    busy: Callable[[str], bool] | None = None,
    odd: Collection[str] = (),
) -> Iterator[NodeView]:
    """Every node with what keeps it, or its cards, from work at present.

    warm: host -> why its cooling bears no more; busy: is anything held there? odd: hosts with
    cards that the snapshot keeps from work.
    """
    records, cards, outside = list_admin(conn), list_card_admin(conn), list_outside(conn)
    reach = list_reach(conn)
    findings, hot = worst_findings(conn), hot_hosts(conn)
    windows: dict[str, list[Window]] = defaultdict(list)
    for reserved in list_reservations(conn):
        for host in reserved.hosts:
            windows[host].append(Window(reserved.start_at, reserved.end_at, reserved.tenant, reserved.id))
    named = {h for h, r in records.items() if r.wish is not Wish.SERVE} | set(outside)
    waits = named and config.scheduling.drain_waits_for_processes
    held = {
        host: {HOST_SLOT: HeldCard(WHOLE)}
        for host in named
        if (busy(host) if busy is not None else host in snapshot.nodes and bool(snapshot.nodes[host].held_by))
    }
    picture = Picture(
        now=now,
        records=records,
        card_records=cards,
        outside=outside,
        facts=reach,
        processes=count_processes(conn, config.scheduling.drain_ignores) if waits else {},
        held=held,
    )
    bad_cards: dict[str, dict[str, str]] = defaultdict(dict)
    for (host, key), record in cards.items():
        if record.wish is not Wish.SERVE:
            bad_cards[host][key] = f"is out of service ({record.reason})" if record.reason else "is out of service"
    for host, node in snapshot.nodes.items():
        fact = reach.get(host)
        fine = fact is not None and fact.reach == Reach.FRESH and host not in named and host not in findings
        why = "" if fine else _why_not(picture, host, findings.get(host, ()))
        text = hot.get(host) or warm.get(host)
        too_warm = f"too warm for more load: {text}" if text else ""
        shut = tuple(windows[host]) if host in windows else ()
        views = node.cards
        if host in bad_cards or host in odd:
            views = tuple([replace(c, why_not=bad_cards[host].get(c.key, "")) for c in node.cards])
        if (why, too_warm, shut) == (node.why_not, node.hot, node.windows) and views is node.cards:
            yield node
        else:
            yield replace(node, why_not=why, hot=too_warm, windows=shut, cards=views)


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
