import asyncio
import itertools
import random

import pytest

from fleetctl.transport.limits import DOOR, SetupLimits, TokenBucket
from tests.fakes.clock import FakeClock, settle


def limits(clock: FakeClock, **more: object) -> SetupLimits:
    values: dict[str, object] = {"site_limits": {"a": 3, "b": 3}, "max_connecting": 4, "connects_per_second": 1e6}
    return SetupLimits(clock=clock, rng=random.Random(1), **(values | more))  # type: ignore[arg-type]


async def test_turns_come_at_the_rate_with_jitter() -> None:
    clock = FakeClock()
    bucket = TokenBucket(10.0, clock, random.Random(1))
    times: list[float] = []

    async def one() -> None:
        await bucket.turn()
        times.append(clock.monotonic())

    tasks = [asyncio.create_task(one()) for _ in range(200)]
    await clock.advance(60)
    await asyncio.gather(*tasks)
    gaps = [b - a for a, b in itertools.pairwise(times) if a > 1]
    assert 18 < times[-1] < 22
    assert max(gaps) < 0.16
    assert min(gaps) > 0.04
    assert len({round(g, 6) for g in gaps}) > 50


@pytest.mark.parametrize(
    ("sites", "expected"), [("ab" * 20, {"a": 2, "b": 2, "all": 4}), ("a" * 20, {"a": 3, "b": 0, "all": 3})]
)
async def test_handshakes_are_few_per_site_and_in_all(sites: str, expected: dict[str, int]) -> None:
    gates, clock = limits(FakeClock()), FakeClock()
    running, most = {"a": 0, "b": 0}, {"a": 0, "b": 0, "all": 0}

    async def one(site: str) -> None:
        async with gates.handshake(site):
            running[site] += 1
            most[site] = max(most[site], running[site])
            most["all"] = max(most["all"], sum(running.values()))
            await clock.sleep(1)
            running[site] -= 1

    tasks = [asyncio.create_task(one(site)) for site in sites]
    await clock.advance(100)
    await asyncio.gather(*tasks)
    assert most == expected


async def test_one_door_takes_few_and_others_are_open() -> None:
    clock = FakeClock()
    gates, inside = limits(clock), {"x": 0, "y": 0}

    async def one(address: str) -> None:
        async with gates.approach("a", address, ""):
            inside[address] += 1
            await clock.sleep(1000)

    tasks = [asyncio.create_task(one(a)) for a in ["x"] * 20 + ["y"] * 4]
    await clock.advance(1)
    assert inside == {"x": DOOR, "y": 4}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle()
    assert not gates._doors


async def test_a_site_limit_above_the_common_one_does_not_hang() -> None:
    gates = limits(FakeClock(), site_limits={"a": 1000})
    async with asyncio.timeout(5), gates.handshake("a"), gates.handshake("elsewhere"):
        pass
