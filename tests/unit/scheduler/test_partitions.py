"""Pools and groups made of partitions follow them within a round: in the engine and in a console that stays open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleetctl.config.schema import Pool, Scheduler
from fleetctl.inventory import Inventory
from fleetctl.scheduler.partitions import PartitionFollower
from fleetctl.store.nodes import list_outside
from fleetctl.tui.store_source import StoreSource
from tests.fakes.cluster import NAME, lane_of
from tests.fakes.fleet import CONFIG, SchedulerFleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SchedulerFleet]:
    there = replace(
        CONFIG,
        pools=(*CONFIG.pools, Pool("slurmed", partition=f"{NAME}/night")),
        schedulers=(Scheduler(site="s1", name=NAME),),
        store=replace(CONFIG.store, path=str(tmp_path / "fleet.db")),
    )
    made = SchedulerFleet.make(tmp_path / "fleet.db", there)
    with made.db:
        yield made


def members(inventory: Inventory) -> list[str]:
    return [name for name, host in inventory.hosts.items() if "slurmed" in host.pools]


async def test_pools_follow_partitions_within_a_round(fleet: SchedulerFleet) -> None:
    lane, cluster, _clock, hosts = lane_of(fleet)
    engine, console = PartitionFollower(fleet.config), StoreSource(fleet.config, fleet.inventory)
    seen = fleet.inventory

    async def after_a_round() -> tuple[list[str], list[str]]:
        nonlocal seen
        cluster.asked.clear()
        assert await lane.round()
        assert cluster.asked == ["read"], "no further question"
        with fleet.db.read() as conn:
            seen = engine.follow(conn, seen)
        console.version()
        return members(seen), members(console.inventory)

    try:
        assert await after_a_round() == ([], [])
        cluster.nodes[hosts[0]] = replace(cluster.nodes[hosts[0]], partitions=("all", "night"))  # a new partition
        assert await after_a_round() == (hosts[:1], hosts[:1])
        assert [h.name for h in seen.select("@night")] == hosts[:1]
        kept = seen
        assert await after_a_round() == (hosts[:1], hosts[:1])
        assert seen is kept, "nothing changed, nothing is built"
        for host, names in ((hosts[0], ("all",)), (hosts[1], ("all", "night"))):  # a node moved
            cluster.nodes[host] = replace(cluster.nodes[host], partitions=names)
        assert await after_a_round() == (hosts[1:2], hosts[1:2])
        del cluster.nodes[hosts[1]]  # Slurm names it no more
        assert await after_a_round() == ([], [])
    finally:
        console.close()
    with fleet.db.read() as conn:
        assert list_outside(conn)[hosts[1]].partitions == ()
        assert list_outside(conn)[hosts[0]].partitions == ("all",)
