"""The running fleet kept in the core between looks, and brought up to date by what changed in the store.

One user at a time: whoever works with it takes it away, and puts it back only when all went well. Somebody who comes
meanwhile, or after a failure, reads the fleet anew. The store is the truth; this is only quicker.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from weakref import WeakKeyDictionary

from fleetctl import garbage
from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.lease import Lease
from fleetctl.scheduler.fleet_core import FleetCore
from fleetctl.scheduler.live import asked_lately, load_fleet, with_conditions, working_cards
from fleetctl.scheduler.placement import ChipFacts
from fleetctl.scheduler.power import load_power
from fleetctl.scheduler.queue import policy_of
from fleetctl.store.capacity import cards_mark, processes_mark
from fleetctl.store.connections import Connections
from fleetctl.store.leases import live_versions, some_leases

CARDS_S = 30  # how often it is asked whether hosts name other cards; a booking asks for its own cards again
READ_ANEW_S = 900  # what is usual is asked anew, and with it everything


class KeptFleet:
    """A core, what it was made of, and the leases it knows by id."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        inventory: Inventory,
        config: Config,
        chips: Mapping[str, ChipFacts] | None,
        now: int,
    ) -> None:
        self.inventory, self.config, self.chips = inventory, config, chips
        with garbage.at_rest():
            self.core = FleetCore(load_fleet(conn, inventory, config, now, chips), (), policy_of(config)[0])
        self.leases: dict[str, Lease] = {}
        self._made_at = self._asked_at = now
        self._cards = cards_mark(conn)
        self._processes: tuple[int, ...] = ()

    def serves(self, inventory: Inventory, config: Config, chips: Mapping[str, ChipFacts] | None) -> bool:
        return self.inventory is inventory and self.config == config and self.chips is chips

    def refresh(self, conn: sqlite3.Connection, now: int) -> bool:
        """As the store has it now; False when the fleet itself changed and must be read anew."""
        core = self.core
        if not 0 <= now - self._made_at < READ_ANEW_S:
            return False
        if not 0 <= now - self._asked_at < CARDS_S:
            self._asked_at = now
            if cards_mark(conn) != self._cards:
                return False
        if not core.snapshot.mix and asked_lately(conn, 1):
            return False  # the first requests ever: now it is known what is asked for
        core.tell_time(now)
        versions = live_versions(conn)
        for gone in self.leases.keys() - versions.keys():
            core.end(gone)
            del self.leases[gone]
        changed = [x for x, version in versions.items() if x not in self.leases or self.leases[x].version != version]
        for lease in some_leases(conn, changed):
            core.book(lease)
            self.leases[lease.id] = lease
        limits, at, warm = load_power(conn, self.inventory, self.config, now)
        if (mark := processes_mark(conn)) != self._processes:
            self._processes = mark
            core.set_working(working_cards(conn, self.config))
        strays, odd = core.strays(), set(core.odd)
        for node in with_conditions(conn, core.nodes, self.config, now, warm, core.holds_anything, odd, strays):
            core.set_node(node)
        if limits or core.snapshot.limits:
            core.snapshot = replace(core.snapshot, limits=limits, limits_at=at)
            core.set_limits()
        return True

    def granted(self, leases: Sequence[Lease]) -> None:
        """These were booked from what the core decided: their shares are held already."""
        for lease in leases:
            self.core.rename(lease.request, lease.id)
            self.leases[lease.id] = lease


_kept: WeakKeyDictionary[Connections, KeptFleet] = WeakKeyDictionary()


@contextmanager
def kept_fleet(
    db: Connections,
    conn: sqlite3.Connection,
    inventory: Inventory,
    config: Config,
    now: int,
    chips: Mapping[str, ChipFacts] | None = None,
) -> Iterator[KeptFleet]:
    """The fleet as conn's snapshot of the store has it, kept from the last time where that serves."""
    fleet = _kept.pop(db, None)
    if fleet is None or not fleet.serves(inventory, config, chips) or not fleet.refresh(conn, now):
        fleet = KeptFleet(conn, inventory, config, chips, now)
        fleet.refresh(conn, now)
    yield fleet
    _kept[db] = fleet
