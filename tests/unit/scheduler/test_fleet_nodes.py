from __future__ import annotations

from fleetctl.scheduler.fleet_nodes import fleet_nodes
from fleetctl.scheduler.packing.node import UNKNOWN
from tests.fakes.fleet import SchedulerFleet


def test_the_inventory_with_its_cards_and_without_what_nobody_told(fleet: SchedulerFleet) -> None:
    with fleet.db.read() as conn:
        specs, left_out = fleet_nodes(conn, fleet.inventory, fleet.config, 1000)
    assert len(specs) + left_out == len(fleet.inventory.hosts)
    assert all(s.cards > 0 and s.cpu_milli == UNKNOWN and s.name in fleet.inventory.hosts for s in specs)
    assert specs
