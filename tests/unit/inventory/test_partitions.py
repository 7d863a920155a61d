"""Partitions of another scheduler as groups and as pools."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetctl.config.schema import Config, Group, HostGroup, Pool, Scheduler, Site
from fleetctl.errors import ConfigError, NotFoundError
from fleetctl.inventory import build_inventory

CONFIG = Config(
    sites=(Site(name="s"),),
    hosts=(HostGroup(nodes="gpu[1-6]", site="s"),),
    groups=(Group(name="mine", nodes="gpu6"),),
    pools=(Pool(name="train", partition="slurm@s/h100"), Pool(name="rest", nodes="gpu6")),
    schedulers=(Scheduler(site="s"), Scheduler(site="s", name="slurm@t")),
)
SAID = {
    "slurm@s": {"h100": ("gpu1", "gpu2", "stranger"), "mine": ("gpu1",), "all": ("gpu1", "gpu2", "gpu3")},
    "slurm@t": {"all": ("gpu4",)},
}


def test_a_partition_is_a_group_and_fills_its_pool() -> None:
    fleet = build_inventory(CONFIG, SAID)
    names = lambda text: [h.name for h in fleet.select(text)]  # noqa: E731
    assert names("@h100") == names("@train") == ["gpu1", "gpu2"]
    assert names("@all") == ["gpu1", "gpu2", "gpu3", "gpu4"], "of both clusters"
    assert names("@mine") == ["gpu6"], "what fleet.toml declares keeps its name"
    assert fleet.hosts["gpu1"].pools == ("train",)
    assert fleet.hosts["gpu3"].pools == ()


def test_before_the_first_answer_the_pool_is_empty() -> None:
    fleet = build_inventory(CONFIG)
    assert "train" in fleet.pools
    assert not any("train" in h.pools for h in fleet.hosts.values())
    with pytest.raises(NotFoundError):
        fleet.select("@h100")


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (Pool(name="p"), "nodes or partition"),
        (Pool(name="p", nodes="gpu1", partition="slurm@s/h100"), "nodes or partition"),
        (Pool(name="p", partition="h100"), "no scheduler ''"),
        (Pool(name="p", partition="slurm@x/h100"), "did you mean"),
    ],
)
def test_what_makes_no_sense_is_named(pool: Pool, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_inventory(replace(CONFIG, pools=(pool,)))
