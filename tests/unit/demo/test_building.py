"""The demo's building: power follows load, faults show where they are, and its wire is read as any other endpoint."""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.config import load_config
from fleetctl.errors import ParseError, TimedOutError, UnreachableError, UsageError
from fleetctl.facility.endpoint import parse_url
from fleetctl.facility.endpoints import endpoints
from fleetctl.facility.source import open_source
from fleetctl.inventory import build_inventory
from fleetctl.reports.energy import load as load_energy
from fleetctl.store import Database
from fleetctl.store.facility import list_endpoints
from fleetctl.store.facility_history import TOTAL, facility_series, list_series
from fleetctl_demo.building import MOST_PDUS, Building, plan_halls
from fleetctl_demo.bus import BuildingServer, report_of
from fleetctl_demo.fleets import CITY, FLEETS, LARGE, resized
from fleetctl_demo.folder import machines, write_folder
from fleetctl_demo.past import write_past
from fleetctl_demo.server import make_keys

NOW = 1_800_000_000.0


def building(*faults: tuple[str, str], fleet: object = CITY) -> Building:
    lasting = {name: frozenset({kind}) for kind, name in faults}
    hosts = machines(fleet, 1, lasting, calm=True)  # type: ignore[arg-type]
    return Building(fleet, plan_halls(fleet, hosts), 1, lasting, calm=True)  # type: ignore[arg-type]


def told(place: Building, path: str, now: float = NOW) -> dict[tuple[str, str], float]:
    answer = place.tell(path, now)
    assert answer is not None
    return {(quantity, where): value for quantity, where, value, _unit in answer["readings"]}


@given(st.floats(1.7e9, 1.9e9))
def test_levels_agree_and_nothing_is_over_its_budget_by_itself(now: float) -> None:
    place = building()
    for rack in place.racks.values():
        sides = [told(place, f"{rack.name}-{side}", now)["power", "input"] for side in "AB"]
        servers = sum(told(place, f"bmc/{m.name}", now)["power", "system input"] for m in rack.machines)
        assert sum(sides) == pytest.approx(servers, rel=0.03)
        assert sum(sides) < rack.budget_w
    assert told(place, "lingang-incomer", now)["power", "input"] > sum(
        told(place, f"lingang-a-{side}-bus", now)["power", "input"] for side in "AB"
    )


def test_a_meter_counts_what_was_drawn() -> None:
    place = building()
    before = told(place, "lingang-incomer", NOW)
    after = told(place, "lingang-incomer", NOW + 36.0)
    assert after["energy", "import"] - before["energy", "import"] == pytest.approx(
        after["power", "input"] / 1e5, rel=0.01
    )


def test_faults_show_where_they_are() -> None:
    place = building(
        ("over", "lg-a02"), ("leak", "lingang-a-cdu-1"), ("flow", "lingang-a-cdu-2"), ("dark", "lg-h100-01")
    )
    assert sum(told(place, f"lg-a02-{side}")["power", "input"] for side in "AB") > place.racks["lg-a02"].budget_w
    leaking, dry = place.tell("lingang-a-cdu-1", NOW), place.tell("lingang-a-cdu-2", NOW)
    assert leaking is not None
    assert leaking["states"][0][3]
    assert dry is not None
    assert not dry["states"][0][3]
    assert (
        told(place, "lingang-a-cdu-2")["flow", "secondary"] < 25 < told(place, "lingang-a-cdu-1")["flow", "secondary"]
    )
    assert place.tell("bmc/lg-h100-01", NOW) is None
    assert place.tell("nobody", NOW) is None
    assert place.tell("bmc/nobody", NOW) is None


@pytest.mark.parametrize("fleet", sorted(FLEETS))
@given(hosts=st.integers(1, 400))
def test_every_rack_stands_in_one_hall_of_any_fleet(fleet: str, hosts: int) -> None:
    place = building(fleet=resized(FLEETS[fleet], hosts))
    names = [rack.name for hall in place.halls for rack in hall.racks]
    assert sorted(names) == sorted(set(names)) == sorted(place.racks)
    assert len(place.machines) == hosts


def test_a_large_fleet_is_measured_by_its_servers_alone() -> None:
    place = building(fleet=LARGE)
    assert len(place.racks) * 2 > MOST_PDUS
    assert not [one for one in place.devices.values() if one.kind == "pdu"]
    assert max(len(hall.racks) for hall in place.halls) <= 200


async def test_the_wire_is_read_as_any_endpoint_is() -> None:
    server = BuildingServer(building(("leak", "lingang-a-cdu-1"), ("dark", "lg-h100-02")).tell)
    await server.start()
    address = f"demo://127.0.0.1:{server.port}"
    paths = ("bmc/lg-h100-01", "lingang-a-cdu-1", "lingang-incomer")
    sources = [open_source(parse_url(f"{address}/{path}")) for path in paths]
    bmc, cdu, meter = await asyncio.gather(*(source.read() for source in sources))
    assert bmc.total_power_w == bmc.readings[0].value
    assert bmc.total_power_source == "power/system input"
    assert [s.bad for s in cdu.states] == [True, False]
    assert {r.quantity for r in meter.readings} == {"power", "energy"}
    assert (await sources[0].explain())[0].source == "power/system input"
    dark = open_source(parse_url(f"{address}/bmc/lg-h100-02", timeout_s=0.05))
    with pytest.raises(TimedOutError, match="did not answer"):
        await dark.read()
    await dark.close()
    await server.stop()
    for source in sources:
        await source.close()
    gone = open_source(parse_url(f"{address}/lingang-incomer"))
    with pytest.raises(UnreachableError):
        await gone.read()
    await gone.close()


@given(st.text(max_size=60) | st.sampled_from(['{"readings": []}', '{"readings": [["a"]], "total": 0}', "[1]", "null"]))
def test_noise_on_the_wire_is_one_error(text: str) -> None:
    with pytest.raises(ParseError):
        report_of("demo://x", "x", text, NOW)


def test_an_address_of_a_plugin_nobody_has_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown kind of endpoint"):
        parse_url("demi://127.0.0.1:1/x")


def test_the_folder_of_a_demo_is_a_fleet_with_a_past(tmp_path: Path) -> None:
    place = building(fleet=resized(CITY, 12))
    now = time.time()
    path = write_folder(tmp_path, place, dict.fromkeys(place.machines, 1), 1, make_keys(tmp_path), 5.0)
    write_past(path, place, now)
    config = load_config(path)
    asked = endpoints(config, build_inventory(config))
    with Database.open(config.store.path, write=False) as db, db.read() as conn:
        assert {state.name for state in list_endpoints(conn)} == set(asked)
        assert all(state.trouble is None for state in list_endpoints(conn))
        assert all(facility_series(conn, name, TOTAL, now - 7200, now) for name in asked)
        assert list_series(conn, "lingang-a-cdu-1", "flow")
        day = {row.scope: row.pue for row in load_energy(conn, config, now - 86_400, now)}
    assert 1.1 < (day["lingang"] or 0.0) < 1.3
    size = Path(config.store.path).stat().st_size
    write_past(path, place, now)  # a demo that is opened again keeps what it saw
    assert Path(config.store.path).stat().st_size == size
