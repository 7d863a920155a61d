"""The ladder holds whatever the nodes are like, and sums leave nobody out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.config.schema import Config, HostGroup, Pool, Rack, Site
from fleetctl.inventory import build_inventory
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.views import sites
from fleetctl.views.nodes import NodeRow
from fleetctl.views.totals import RUNGS, severity, total

NODES = st.builds(
    NodeRow,
    name=st.from_regex("gpu[0-9]{3}", fullmatch=True),
    site=st.sampled_from(["a", "b"]),
    cards=st.one_of(st.none(), st.integers(0, 16)),
    cards_found=st.one_of(st.none(), st.integers(0, 16)),
    cards_leased=st.integers(0, 20),
    reach=st.sampled_from(Reach),
    health=st.sampled_from(Health),
    admin=st.sampled_from(Admin),
    load=st.sampled_from(Load),
    util_pct=st.one_of(st.none(), st.floats(0, 100)),
    power_w=st.one_of(st.none(), st.floats(0, 10_000)),
)


@given(st.lists(NODES, max_size=30))
def test_each_rung_is_a_filter_on_the_one_above(rows: list[NodeRow]) -> None:
    ladder = total(rows).ladder
    values = [getattr(ladder, rung) for rung in RUNGS]
    assert values == sorted(values, reverse=True)
    assert values[-1] >= 0


@given(st.lists(NODES, max_size=30))
def test_every_axis_counts_every_node_once(rows: list[NodeRow]) -> None:
    t = total(rows)
    for axis in (t.reach, t.health, t.admin, t.load):
        assert sum(axis.values()) == t.nodes == len(rows)


def test_unknown_is_not_zero() -> None:
    t = total([NodeRow("a", "x")])
    assert (t.util_pct, t.temp_c, t.power_w, t.newest_at, t.never) == (None, None, None, None, 1)


def test_mean_utilisation_weighs_by_cards() -> None:
    t = total([NodeRow("a", "x", cards_found=8, util_pct=100.0), NodeRow("b", "x", cards_found=2, util_pct=0.0)])
    assert t.util_pct == 80.0


def test_worst_first() -> None:
    rows = [
        NodeRow("ok", "x", reach=Reach.FRESH, health=Health.OK),
        NodeRow("warn", "x", reach=Reach.FRESH, health=Health.WARN),
        NodeRow("blind", "x", reach=Reach.UNREACHABLE),
        NodeRow("crit", "x", reach=Reach.FRESH, health=Health.CRIT),
    ]
    assert [r.name for r in sorted(rows, key=severity)] == ["crit", "blind", "warn", "ok"]


def test_groups_keep_the_fleet_file_s_order_and_empty_ones() -> None:
    inventory = build_inventory(
        Config(
            sites=(Site("b"), Site("a")),
            racks=(Rack("r1", "b", nodes="gpu[1-2]", power_budget_w=10_000.0), Rack("r2", "a")),
            pools=(Pool("train", "gpu[1-3]"), Pool("all", "gpu[1-4]")),
            hosts=(HostGroup("gpu[1-4]", "b"),),
        )
    )
    rows = [
        NodeRow(h.name, h.site, rack=h.rack, pools=h.pools, power_w=2500.0, cards_found=8)
        for h in inventory.hosts.values()
    ]
    assert [(r.name, r.totals.nodes) for r in sites.site_rows(rows, inventory)] == [("b", 4), ("a", 0)]
    assert [(r.name, r.totals.nodes) for r in sites.pool_rows(rows, inventory)] == [("train", 3), ("all", 4)]
    first, second = sites.rack_rows(rows, inventory)
    assert (first.totals.nodes, first.load_pct) == (2, 50.0)
    assert (second.totals.nodes, second.load_pct) == (0, None)
