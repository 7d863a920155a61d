"""The inventory with the partitions other schedulers named last: pools and groups made of them follow a change there."""

from __future__ import annotations

import sqlite3

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory, build_inventory
from fleetctl.store.outside import list_partitions, partitions_mark


class PartitionFollower:
    """For processes that stay: built anew only when a round brought other partitions than the one before."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._mark = -1  # of no store

    def follow(self, conn: sqlite3.Connection, inventory: Inventory) -> Inventory:
        """inventory itself as long as nothing changed: what is kept beside it stays good."""
        if not self._config.schedulers:
            return inventory
        mark = partitions_mark(conn)
        if mark == self._mark:
            return inventory
        self._mark = mark
        return build_inventory(self._config, list_partitions(conn))
