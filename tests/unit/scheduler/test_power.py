"""Feeds, racks and zones in placement: what they bear, with a feed lost too, and that a refusal names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetctl.config.schema import Config, CoolingZone, Facility, Feed, HostGroup, Rack, Site
from fleetctl.facility.cooling import Loop
from fleetctl.facility.electrical import FeedLoad, RackLoad, Watts
from fleetctl.facility.picture import Picture, ZoneState
from fleetctl.inventory.inventory import build_inventory
from fleetctl.model.lease import Shape
from fleetctl.operations import allocate, make_request, plan_drain, quote
from fleetctl.scheduler.placement import ChipFacts
from fleetctl.scheduler.power import limits_of, warm_hosts
from fleetctl.views.plans import plan_lines
from tests.fakes.fleet import ALICE, SchedulerFleet

CONFIG = Config(
    sites=(Site("s1", max_drain_pct=100.0),),
    racks=(Rack("r1", "s1", nodes="n[1-2]"), Rack("r2", "s1", nodes="n3")),
    hosts=(HostGroup("n[1-3]", "s1", chip="H100", cards=8),),
    facility=Facility(
        feeds=(
            Feed("a", "s1", side="A", limit_w=20_000, racks=("r1", "r2")),
            Feed("b", "s1", side="B", limit_w=12_000, racks=("r1",)),
        )
    ),
)
CHIPS = {"H100": ChipFacts("H100", ("ai",), 989.0, 80 << 30, 700.0)}


def watts(value: float) -> Watts:
    return Watts(value, "meter", 0.0, 1, 1)


def picture(**more: object) -> Picture:
    racks = {
        "r1": RackLoad("r1", "s1", "", watts(8000), 10_000, {"a": 4000.0, "b": 4000.0}, 2),
        "r2": RackLoad("r2", "s1", "", watts(2000), None, {"a": 2000.0}, 1),
    }
    feeds = {
        "a": FeedLoad("a", "s1", "A", watts(6000), 20_000, ("r1", "r2")),
        "b": FeedLoad("b", "s1", "B", watts(4000), 12_000, ("r1",)),
    }
    return Picture(0.0, racks, feeds, **more)  # type: ignore[arg-type]


def test_every_limit_counts_what_a_watt_adds_to_it() -> None:
    found = {limit.what: (limit.left_w, dict(limit.shares)) for limit in limits_of(picture(), build_inventory(CONFIG))}
    assert found == {
        "the budget of rack r1": (2000, {"n1": 1.0, "n2": 1.0}),
        "feed a (side A)": (20_000 * 0.8 - 6000, {"n1": 0.5, "n2": 0.5, "n3": 1.0}),
        "feed b (side B)": (12_000 * 0.8 - 4000, {"n1": 0.5, "n2": 0.5}),
        # feed b gone: feed a carries all of r1 as well
        "feed a (side A), should feed b fail,": (20_000 - 10_000, {"n1": 1.0, "n2": 1.0, "n3": 1.0}),
        "feed b (side B), should feed a fail,": (12_000 - 8000, {"n1": 1.0, "n2": 1.0}),
    }


def test_what_is_not_measured_limits_nothing() -> None:
    blind = Picture(0.0, {"r1": RackLoad("r1", "s1", "", Watts(None), 10_000, {"a": None})}, {
        "a": FeedLoad("a", "s1", "A", Watts(None), 20_000, ("r1",))
    })  # fmt: skip
    assert limits_of(blind, build_inventory(CONFIG)) == []


@pytest.mark.parametrize(
    ("loop", "why"),
    [
        (Loop("cdu1", supply_c=35.0), "cooling zone z: cdu1 supplies 35.0 C of at most 32"),
        (Loop("cdu1", flow_lpm=10.0), "cooling zone z: cdu1 moves 10.0 l/min of at least 40"),
        (Loop("cdu1", supply_c=30.0, flow_lpm=41.0), ""),
        (Loop("cdu1"), ""),
    ],
)
def test_a_zone_that_must_not_get_warmer_takes_no_more(loop: Loop, why: str) -> None:
    zone = ZoneState("z", "s1", (loop,), 100.0, 12.0, 32.0, 40.0, ("r1",))
    seen = picture(zones={"z": zone})
    assert warm_hosts(seen, build_inventory(CONFIG)) == ({"n1": why, "n2": why} if why else {})
    (limit,) = [x for x in limits_of(seen, build_inventory(CONFIG)) if x.what == "cooling zone z"]
    assert (limit.left_w, dict(limit.shares)) == (12_000.0, {"n1": 1.0, "n2": 1.0})


@pytest.fixture
def fleet(tmp_path: Path) -> SchedulerFleet:
    """Three hosts that draw 3 kW each; feed b bears 12 kW should feed a fail, and 6 of it are r1's."""
    made = SchedulerFleet.make(tmp_path / "fleet.db", CONFIG)
    with made.db.write() as conn:
        conn.execute("ALTER TABLE host_samples ADD COLUMN power_w REAL")
        for number, host in enumerate(("n1", "n2", "n3"), 1):
            conn.execute(
                "INSERT INTO devices (id, host, kind, key, first_at)"
                " VALUES (?, (SELECT id FROM hosts WHERE name = ?), 'host', '', 0)",
                (9000 + number, host),
            )
            conn.execute("INSERT INTO host_samples (slot, device, power_w) VALUES (900, ?, 3000)", (9000 + number,))
    return made


def test_a_refusal_names_the_feed_and_what_began_meanwhile_counts(fleet: SchedulerFleet) -> None:
    ask = Shape(nodes=1, cards=8, hosts=("n1", "n2"))
    request = make_request(fleet.config, "lab", ask, who=ALICE, now=1000)
    taken = allocate(fleet.db, fleet.inventory, request, ALICE, now=1000, config=fleet.config, chips=CHIPS)
    assert taken.lease is not None
    # 5.6 kW more on r1: feed b would carry 6 + 5.6 kW of its 12 should feed a fail; the next 5.6 are too much
    again = make_request(fleet.config, "lab", ask, who=ALICE, now=1030)
    answer = quote(fleet.db, fleet.inventory, again, now=1030, config=fleet.config, chips=CHIPS)
    assert answer.at == 1000 + 86_400  # when the lease that draws it ends
    free = next(host for host in ("n1", "n2") if "cards free" not in answer.refusals[host])
    assert answer.refusals[free].startswith(
        "feed b (side B), should feed a fail, has 400 W left, this would add 5600 W"
    )
    assert "feed b (side B)" in answer.why
    other = make_request(fleet.config, "lab", Shape(cards=4, hosts=("n3",)), who=ALICE, now=1000)
    assert quote(fleet.db, fleet.inventory, other, now=1000, config=fleet.config, chips=CHIPS).placement is not None


def test_a_drain_says_what_leaves_each_feed(fleet: SchedulerFleet) -> None:
    plan = plan_drain(fleet.db, fleet.inventory, "n1,n3", "hw: fan", who=ALICE, now=1000, config=fleet.config)
    assert plan.power_freed_by_feed_w == (("a", 4500.0), ("b", 1500.0))
    assert any("power freed: 6.0 kW (a 4.5 kW, b 1.5 kW)" in line for line in plan_lines(plan))
    fleet.apply(plan)


def test_zones_are_read_from_the_configuration(fleet: SchedulerFleet) -> None:
    zoned = fleet.with_config(facility=Facility(zones=(CoolingZone("z", "s1", racks=("r1",), capacity_kw=1.0),)))
    request = make_request(zoned.config, "lab", Shape(cards=8), who=ALICE, now=1000)
    assert quote(zoned.db, zoned.inventory, request, now=1000, config=zoned.config, chips=CHIPS).placement is not None
