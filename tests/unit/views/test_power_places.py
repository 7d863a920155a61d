"""Power by place and over time, on a store that a demo building filled: levels agree, silence is a gap, never a dip."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetctl.config import load_config
from fleetctl.config.schema import Config
from fleetctl.facility.electrical import RackLoad, Watts, add_places
from fleetctl.inventory import Inventory, build_inventory
from fleetctl.reports.energy import pue_by_day
from fleetctl.store import Database
from fleetctl.store.facility_history import SLOT_S, TOTAL, save_facility_history
from fleetctl.views.facility import endpoint_record, load_picture
from fleetctl.views.facility_curves import cooler_curves, power_curve, power_parts, quantity_curves
from fleetctl.views.node_history import load as node_curves
from fleetctl.views.power_places import PowerPlace, load_places, load_view
from fleetctl_demo.building import Building, plan_halls
from fleetctl_demo.fleets import CITY, resized
from fleetctl_demo.folder import machines, write_folder
from fleetctl_demo.past import write_past
from fleetctl_demo.server import make_keys

NOW = 1_800_000_000.0
HOSTS = 20


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Inventory]:
    folder: Path = tmp_path_factory.mktemp("demo")
    fleet = resized(CITY, HOSTS)
    hosts = machines(fleet, 1, {}, calm=True)
    building = Building(fleet, plan_halls(fleet, hosts), 1, calm=True)
    path = write_folder(folder, building, dict.fromkeys(building.machines, 1), 1, make_keys(folder), 5.0)
    write_past(path, building, NOW)
    config = load_config(path)
    return config, build_inventory(config)


def test_from_sites_to_nodes_and_out_again(demo: tuple[Config, Inventory]) -> None:
    config, inventory = demo
    with Database.open(config.store.path, write=False) as db, db.read() as conn:
        picture = load_picture(conn, config, inventory, NOW)
        sites = load_view(conn, inventory, picture, None)
        assert sites.place.level == "site"
        assert sum(p.nodes for p in sites.places.rows) == HOSTS
        assert sum(p.draw.value for p in sites.places.rows) == pytest.approx(sites.draw.value)
        assert {p.draw.source for p in sites.places.rows} == {"pdu"}
        jiading = load_view(conn, inventory, picture, sites.place.inside("site", "jiading"))
        assert [p.name for p in jiading.places.rows] == ["jiading-a", "jiading-b"]
        assert {f.site for f in jiading.feeds.rows} == {"jiading"}
        lingang = load_view(conn, inventory, picture, sites.place.inside("site", "lingang"))
        assert lingang.place.level == "rack"  # one hall: straight on to its racks
        assert lingang.place.outside() == PowerPlace("site")
        inside = load_view(conn, inventory, picture, lingang.place.inside("rack", "lg-a01"))
        assert [n.name for n in inside.places.rows] == sorted(
            inventory.rack_hosts("lg-a01"), key=lambda n: -wall(picture, n)
        )
        assert all(n.share_w == 11_000 and 18 < n.inlet_c < 28 for n in inside.places.rows)
        assert [p.name for p in load_places(picture, inventory, "site")] == [p.name for p in sites.places.rows]
        racks = load_view(conn, inventory, picture, PowerPlace("rack"))
        used = [r.used_pct for r in racks.places.rows]
        assert used == sorted(used, reverse=True)


def wall(picture: object, name: str) -> float:
    value = picture.servers[name].value  # type: ignore[attr-defined]
    assert value is not None
    return float(value)


def test_places_with_a_silent_rack_are_at_least() -> None:
    racks = [
        RackLoad("r1", "s", "h", Watts(10.0, "pdu", 5.0, 2, 2), 12.0, {}, 1),
        RackLoad("r2", "s", "h", Watts(30.0, "servers", 3.0, 1, 2), 20.0, {}, 2),
        RackLoad("r3", "s", "", Watts(None, parts=2), None, {}, 3),
    ]
    hall, bare = add_places(racks, "hall", {"s": 5.0})
    assert (hall.draw.value, hall.draw.known, hall.draw.parts, hall.draw.source) == (40.0, 1, 2, "pdu, servers")
    assert (hall.over, hall.stranded_w, hall.budget_w, hall.draw.at) == (1, 2.0, 32.0, 3.0)
    assert (bare.name, bare.draw.value, bare.budget_w, bare.used_pct, bare.left_w) == ("s", None, None, None, None)
    assert add_places(racks, "site", {})[0].stranded_w is None


def test_power_over_time_comes_from_one_level(demo: tuple[Config, Inventory]) -> None:
    config, inventory = demo
    assert power_parts(config, inventory, "rack", "lg-a01") == {"lg-a01-A": 1.0, "lg-a01-B": 1.0}
    assert power_parts(config, inventory, "feed", "lingang-a-A") == {"lingang-a-A-bus": 1.0}
    assert power_parts(config, inventory, "feed", "nobody") == power_parts(config, inventory, "rack", "nobody") == {}
    with Database.open(config.store.path, write=False) as db, db.read() as conn:

        def curve(kind: str, name: str, hours: float = 24.0) -> dict[float, float | None]:
            told = power_curve(conn, config, inventory, kind, name, NOW - hours * 3600, NOW)
            assert told.limit == {"rack": 44_000.0}.get(kind, told.limit)
            return dict(told.points)

        site, hall, rack = curve("site", "lingang"), curve("hall", "lingang-a"), curve("rack", "lg-a01")
        feeds = [curve("feed", f"lingang-a-{side}") for side in "AB"]
        assert site == hall
        assert len(rack) == 96
        for at, watts in site.items():
            assert watts == pytest.approx(sum(feed[at] or 0.0 for feed in feeds), rel=0.01)
        assert all(at % 3600 == 0 for at in curve("site", "lingang", 168.0) if at != max(rack))
        one = node_curves(conn, "lg-h100-01", NOW - 86_400, NOW, interval_s=5.0)
        assert [c.title for c in one if c.points] == ["wall power"]  # no card has told anything yet
        supply, flow, heat = cooler_curves(conn, config, "lingang-a-cdu-1", NOW - 86_400, NOW)
        assert (supply.limit, supply.beside_title, flow.limit, heat.unit) == (35.0, "return", 25.0, "kW")
        assert all(
            s is not None and b is not None and s < b
            for (_t, s), (_u, b) in zip(supply.points, supply.beside, strict=True)
        )
        assert [c.unit for c in quantity_curves(conn, "lingang-a-cdu-1", NOW - 86_400, NOW)] == ["W", "L/min", "kW"]
        record = endpoint_record(conn, "lingang-a-cdu-1")
        assert record is not None
        assert {r["source"] for r in record["readings"]} >= {"flow/secondary"}
        assert endpoint_record(conn, "nobody") is None


def test_a_moment_at_which_parts_are_silent_is_a_gap(demo: tuple[Config, Inventory]) -> None:
    config, inventory = demo
    at = NOW - NOW % SLOT_S + 40 * SLOT_S
    with Database.open(config.store.path, write=True) as db:
        with db.write() as conn:
            save_facility_history(conn, "lg-a01-A", TOTAL, [(at, 9_000.0), (at + SLOT_S, 9_000.0)])
            save_facility_history(conn, "lg-a01-B", TOTAL, [(at + SLOT_S, 8_000.0), (at + SLOT_S + 60, 1.0)])
            save_facility_history(conn, "nobody", TOTAL, [(at, 1.0)])
        with db.read() as conn:
            curve = power_curve(conn, config, inventory, "rack", "lg-a01", at, at + 4 * SLOT_S)
    assert curve.points == [(at, None), (at + SLOT_S, 17_000.0)]


def test_pue_by_day_has_no_figure_where_nothing_was_measured(demo: tuple[Config, Inventory]) -> None:
    config, _inventory = demo
    with Database.open(config.store.path, write=False) as db, db.read() as conn:
        days = pue_by_day(conn, config, "lingang", NOW, 20)
        assert len(days) == 20
        assert pue_by_day(conn, config, "nowhere", NOW, 2) == [(at, None) for at, _pue in days[-2:]]
    known = [pue for _at, pue in days if pue is not None]
    assert days[0][1] is None
    assert len(known) >= 13
    assert all(1.1 < pue < 1.3 for pue in known)
