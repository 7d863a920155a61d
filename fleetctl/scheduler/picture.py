"""One consistent look at wishes, leases and what hosts say, from which states are derived."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, CardAdmin, NodeAdmin, OutsideState, Wish
from fleetctl.model.states import Admin, Load, Reach
from fleetctl.scheduler.states import effective, owner_of
from fleetctl.store.capacity import (
    CardFact,
    HostFact,
    count_card_processes,
    count_processes,
    list_host_facts,
    list_reach,
)
from fleetctl.store.leases import list_holds
from fleetctl.store.nodes import list_admin, list_card_admin, list_outside
from fleetctl.store.outside import list_jobs, list_silent


@dataclass(frozen=True)
class HeldCard:
    """What is held of one card. leases: lease -> milli."""

    milli: int = 0
    exclusive: bool = False
    leases: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """All of one snapshot. Lookups by host answer for hosts without any record too."""

    now: int
    records: Mapping[str, NodeAdmin]
    card_records: Mapping[tuple[str, str], CardAdmin]
    outside: Mapping[str, OutsideState]
    facts: Mapping[str, HostFact]
    processes: Mapping[str, int]
    held: Mapping[str, Mapping[str, HeldCard]]  # host -> card -> what is held
    jobs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # host -> `id of user`, of outside schedulers
    card_processes: Mapping[tuple[str, str], int] = field(default_factory=dict)  # of cards that are out of service
    silent: Mapping[str, int | None] = field(default_factory=dict)  # schedulers without answer -> when they gave one

    def record(self, host: str) -> NodeAdmin:
        return self.records.get(host) or NodeAdmin(host)

    def card_record(self, host: str, card: str) -> CardAdmin:
        return self.card_records.get((host, card)) or CardAdmin(host, card)

    def leases(self, host: str, card: str | None = None) -> tuple[str, ...]:
        """Ids of the leases that hold something on the host (or on one card), each once, sorted."""
        cards = self.held.get(host, {})
        picked = cards.values() if card is None else [cards[card]] if card in cards else []
        return tuple(sorted({lease for held in picked for lease in held.leases}))

    def work(self, host: str) -> int:
        """Processes on its cards that count as work; 0 while it does not answer, when they cannot be told."""
        fact = self.facts.get(host)
        if fact is None or fact.reach == Reach.UNREACHABLE:
            return 0
        return self.processes.get(host, 0)

    def busy(self, host: str) -> bool | None:
        """Does work run there? None when another scheduler owns the node and does not say."""
        if self.held.get(host) or self.work(host):
            return True
        outside = self.outside.get(host)
        return False if outside is None else outside.busy

    def card_busy(self, host: str, card: str) -> bool:
        """Does anything run on a card that is out of service? Of a host that does not answer only leases count."""
        fact = self.facts.get(host)
        silent = fact is None or fact.reach == Reach.UNREACHABLE
        return bool(self.leases(host, card)) or (not silent and self.card_processes.get((host, card), 0) > 0)

    def state(self, host: str) -> Admin:
        return effective(self.record(host), self.outside.get(host), self.busy(host))

    def owner(self, host: str) -> Actor | None:
        return owner_of(self.record(host), self.outside.get(host))

    def cards(self, host: str) -> tuple[CardFact, ...]:
        """The cards it names now. Nothing is made up for a host that was never seen."""
        fact = self.facts.get(host)
        return fact.cards if fact else ()

    def card_count(self, host: str, inventory: Inventory) -> int | None:
        """Cards seen, else cards declared, else None."""
        fact = self.facts.get(host)
        if fact and fact.cards:
            return len(fact.cards)
        declared = inventory.hosts.get(host)
        return declared.cards if declared else None

    def load(self, host: str) -> Load:
        """How much of it is leased; unknown for a host that was never seen."""
        fact = self.facts.get(host)
        held = self.held.get(host, {})
        if fact is None:
            return Load.MIXED if held else Load.UNKNOWN
        if not held:
            return Load.IDLE
        keys = {c.key for c in fact.cards}
        full = all(held.get(key, HeldCard()).milli >= 1000 for key in keys)
        return Load.ALLOCATED if full or any(h.exclusive for h in held.values()) else Load.MIXED

    def out_of_service(self) -> frozenset[str]:
        """Hosts that take no new work for any reason of admin state."""
        hosts = set(self.outside) | {h for h, r in self.records.items() if r.wish is not Wish.SERVE}
        return frozenset(h for h in hosts if self.state(h) is not Admin.IN_SERVICE)


def load_picture(conn: sqlite3.Connection, config: Config, now: int, *, only: Collection[str] | None = None) -> Picture:
    """Read everything once; conn's snapshot makes it consistent.

    only: cards are read for these alone; of the others just whether they answer, which is all that a drain asks.
    """
    held: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    alone: set[tuple[str, str]] = set()
    for host, card, lease, milli, exclusive in list_holds(conn):
        held[host][card][lease] = milli
        if exclusive:
            alone.add((host, card))
    waits = config.scheduling.drain_waits_for_processes
    records, outside, card_records = list_admin(conn), list_outside(conn), list_card_admin(conn)
    if only is None:
        facts = list_host_facts(conn)
    else:
        kept = outside or card_records or any(r.wish is not Wish.SERVE for r in records.values())
        facts = {**(list_reach(conn) if kept else {}), **list_host_facts(conn, only)}
    jobs: dict[str, list[str]] = defaultdict(list)
    if outside:
        for job in list_jobs(conn, running=True):
            for host in job.hosts:
                jobs[host].append(f"{job.id} of {job.user}" if job.user else job.id)
    return Picture(
        now=now,
        silent=list_silent(conn) if outside else {},
        jobs={host: tuple(named) for host, named in jobs.items()},
        records=records,
        card_records=card_records,
        card_processes=count_card_processes(conn, config.scheduling.drain_ignores) if waits and card_records else {},
        outside=outside,
        facts=facts,
        processes=count_processes(conn, config.scheduling.drain_ignores) if waits else {},
        held={
            host: {
                card: HeldCard(sum(leases.values()), (host, card) in alone, leases) for card, leases in cards.items()
            }
            for host, cards in held.items()
        },
    )
