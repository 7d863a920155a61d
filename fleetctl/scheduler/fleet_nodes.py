"""The real fleet as nodes of a replay: the inventory with what its hosts named last, empty of work."""

from __future__ import annotations

import sqlite3

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.states import Admin
from fleetctl.scheduler.packing.node import UNKNOWN, NodeSpec
from fleetctl.scheduler.picture import load_picture
from fleetctl.store.catalogue import sample_columns
from fleetctl.store.devices import list_devices
from fleetctl.store.samples import latest_samples


def fleet_nodes(conn: sqlite3.Connection, inventory: Inventory, config: Config, now: int) -> tuple[list[NodeSpec], int]:
    """(nodes in inventory order, how many were left out).

    Left out: nodes out of service, and those that named no cards and have none declared. CPU and memory that were never
    told never bind.
    """
    picture = load_picture(conn, config, now)
    machines = _machines(conn)
    specs: list[NodeSpec] = []
    for name, host in inventory.hosts.items():
        cards = picture.cards(name)
        count = picture.card_count(name, inventory)
        if picture.state(name) is not Admin.IN_SERVICE or not count:
            continue
        chip = next((c.chip or c.model for c in cards if c.chip or c.model), None) or host.chip or ""
        cpu, memory = machines.get(name, (UNKNOWN, UNKNOWN))
        specs.append(NodeSpec(name, cpu, memory, count, chip, host.site, host.rack or ""))
    return specs, len(inventory.hosts) - len(specs)


def _machines(conn: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Host -> (CPU milli, memory MiB) as last told."""
    told = [name for name in ("cores", "mem_total_bytes") if name in sample_columns(conn, "host")]
    hosts = {d.id: d.host for d in list_devices(conn, kind="host")}
    found = {}
    for device, _slot, values in latest_samples(conn, "host", told):
        if device in hosts:
            known = dict(zip(told, values, strict=True))
            cores, memory = known.get("cores"), known.get("mem_total_bytes")
            cpu = UNKNOWN if cores is None else int(float(cores) * 1000)
            found[hosts[device]] = (cpu, UNKNOWN if memory is None else int(float(memory)) >> 20)
    return found
