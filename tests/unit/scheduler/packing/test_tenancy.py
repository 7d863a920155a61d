"""Quotas and fair share in a replay: the same order and the same limits as live."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fleetctl.cli.simulate import _quotas
from fleetctl.config.schema import Config, Scheduling, Tenant
from fleetctl.errors import UsageError
from fleetctl.model.lease import Shape
from fleetctl.operations import allocate, make_request
from fleetctl.scheduler.fairshare import fair_use
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.record import Decision
from fleetctl.scheduler.packing.replay import Choices, replay
from fleetctl.scheduler.packing.task import Task, TaskClass
from fleetctl.scheduler.packing.tenancy import Quota, Tenancy
from fleetctl.store.leases import list_leases
from tests.fakes.fleet import ALICE, SchedulerFleet

NODES = [NodeSpec(f"n{i}", 64_000, 65_536, 8, "H100") for i in range(2)]


def job(name: str, tenant: str, at: float, runs: float, cards: int) -> Task:
    return Task(name, TaskClass(cards=cards), at, runs, runs, tenant)


def play(jobs: list[Task], quotas: dict[str, Quota], policy: str = "easy", **more: Any) -> dict[str, Decision]:
    figures, made = replay(NODES, jobs, Choices("queue", policy, "exact", quotas=quotas, **more), lambda: 0.0)
    assert figures["quotas"] == sorted(quotas)
    return {d.job: d for d in made}


@pytest.mark.parametrize("policy", ["fleet", "easy", "fifo"])
def test_nobody_holds_more_than_the_quota_and_nobody_waits_behind_one(policy: str) -> None:
    jobs = [job(f"a{i}", "a", 0, 100, 4) for i in range(3)] + [job("b", "b", 1, 10, 4), job("huge", "a", 2, 10, 9)]
    made = play(jobs, {"a": Quota(4.0)}, policy)
    assert {name: made[name].time_s for name in sorted(made)} == {"a0": 0, "a1": 100, "a2": 200, "b": 1}


def test_leases_are_counted_too() -> None:
    made = play([job(f"a{i}", "a", 0, 50, 1) for i in range(3)], {"a": Quota(None, 2)})
    assert sorted(d.time_s for d in made.values()) == [0, 0, 50]


def test_who_used_less_of_its_share_goes_first() -> None:
    jobs = [
        job("past", "a", 0, 100, 16),
        job("a1", "a", 10, 50, 16),
        job("b1", "b", 20, 50, 16),
        job("b2", "b", 21, 50, 16),
    ]
    assert [n for n, _ in sorted(play(jobs, {"a": Quota()}).items(), key=lambda x: x[1].time_s)] == [
        *("past", "b1", "b2", "a1")  # b has used 16 * 50 when a has used 16 * 100
    ]
    shares = {"a": Quota(share=3.0)}
    assert [n for n, _ in sorted(play(jobs, shares).items(), key=lambda x: x[1].time_s)] == ["past", "b1", "a1", "b2"]


def test_use_counts_as_it_does_live(fleet: SchedulerFleet) -> None:
    """Leases of a store and the same jobs of a trace: the same card-seconds, half-life for half-life."""
    config = Config(scheduling=Scheduling(fair_half_life_s=500.0))
    tenancy = Tenancy({"lab": Quota(share=1.0)}, 500.0)
    draw = random.Random(7)
    live: list[tuple[int, Task]] = []
    for number in range(12):
        begin, runs, cards = draw.randrange(1000, 4000), draw.randrange(1, 1500), draw.randrange(1, 5)
        fleet.lease(f"n{number + 1:02}", cards=cards, end_at=None, now=begin)
        live.append((begin, job(str(number), "lab", begin, runs, cards)))
    now = 4500
    for begin, task in sorted(live, key=lambda x: x[0]):
        tenancy.begin(task, begin)
    with fleet.db.read() as conn:
        assert tenancy.owed(now)["lab"] == pytest.approx(fair_use(conn, config, now)["lab"])


def test_the_line_is_served_as_live_serves_it(fleet: SchedulerFleet) -> None:
    """Random jobs of three tenants, one with a quota: each starts at the moment at which it starts live."""
    config = fleet.with_config(
        tenants=(Tenant("a", max_cards=8.0), Tenant("b", share=4.0)),
        scheduling=Scheduling(fair_half_life_s=300.0, order="easy", keep_promises=False, default_duration_s=None),
    )
    draw = random.Random(3)
    jobs = [
        job(f"j{n:02}", draw.choice("abc"), 1000 + 7 * n, draw.randrange(20, 300), draw.randrange(1, 9))
        for n in range(30)
    ]
    nodes = [NodeSpec(f"m{i:02}", 10**13, 10**13, 8, "Ascend 910B", "s2") for i in range(1, 3)]
    quotas = {"a": Quota(8.0), "b": Quota(share=4.0)}
    _, made = replay(nodes, jobs, Choices("queue", "easy", "exact", quotas=quotas, half_life_s=300.0), lambda: 0.0)
    replayed = {d.job: int(d.time_s) for d in made}
    names: dict[str, str] = {}
    waiting = {int(j.submit_s): j for j in jobs}
    for now in range(1000, int(max(replayed.values())) + 1):
        if now in waiting:
            one = waiting[now]
            shape = Shape(cards=one.kind.cards, hosts=("m01", "m02"))
            wish = make_request(
                config.config, one.tenant, shape, who=ALICE, now=now, duration_s=int(one.duration_s or 0)
            )
            names[wish.id] = one.name
            config.tick(now)
            allocate(config.db, config.inventory, wish, ALICE, now=now, config=config.config)
        else:
            config.tick(now)
    with config.db.read() as conn:
        live = {names[x.request]: x.start_at for x in list_leases(conn, live=False)}
    assert live == replayed


@pytest.mark.parametrize("text", ["lab", "=4", "lab=many", "lab=-1", "lab=4/0", "lab=nan", "lab=4/inf"])
def test_a_quota_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no quota"):
        _quotas([text], fleet=False)


def test_quotas_as_they_are_typed() -> None:
    assert _quotas(["lab=64", "uni=none/2"], fleet=False) == {"lab": Quota(64.0), "uni": Quota(None, None, 2.0)}
