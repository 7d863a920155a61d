"""A leak, a rack over its budget and coolant that does not flow stand on the overview within one round of a real engine,
and go by themselves. The building is the demo's: real sockets, its own pace."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from fleetctl.config import load_config
from fleetctl.config.schema import Config
from fleetctl.engine.facility import FacilityKeeper
from fleetctl.engine.once import poll_once
from fleetctl.facility.endpoints import endpoints
from fleetctl.inventory import build_inventory
from fleetctl.model.facility import EndpointReport, EndpointResult, Measurement, PointState, SourceTrouble
from fleetctl.store import Database
from fleetctl.store.facility import list_endpoints, save_endpoint_results
from fleetctl.store.findings import list_findings
from fleetctl.tui.app import Console
from fleetctl.tui.store_source import StoreSource
from tests.fakes.live_fleet import Fleet, engine, fleetctl

NOW = 1_790_000_000.0
FAULTS = (("leak", "lingang-a-cdu-1"), ("flow", "minhang-a-cdu-1"), ("over", "jd-a01"), ("dark", "lg-h100-01"))
RULES = {"facility.leak", "facility.flow_lost", "facility.rack_over_budget"}


def rules(config: Config) -> set[str]:
    with Database.open(config.store.path, write=False) as db, db.read() as conn:
        return {f.rule for f in list_findings(conn) if f.rule.startswith("facility.")}


async def overview(config: Config) -> str:
    source = StoreSource(config, build_inventory(config))
    app = Console(source, watch=False)
    async with app.run_test(size=(200, 50)) as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        text = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
    source.close()
    return text


async def test_what_is_wrong_with_the_building_is_on_the_overview(fleet: Fleet) -> None:
    config = load_config(fleet(12, FAULTS))
    with engine(Path(config.store.path).with_name("fleet.toml")) as running:
        # A dark BMC is asked for five seconds, everything else every two; then one look at the whole.
        for _round in range(300):  # of a second
            running.wait_for("collector: round")
            if rules(config) >= RULES:
                break
    assert rules(config) >= RULES
    text = await overview(config)
    assert "lingang-a-cdu-1: leak at tray" in text
    assert "minhang-a-cdu-1: coolant flow" in text
    assert "rack jd-a01 draws" in text


def test_a_round_of_cron_asks_the_building_too(fleet: Fleet) -> None:
    path = fleet(12, FAULTS)
    config = load_config(path)
    for _round in range(20):
        fleetctl(path, "poll", "--quiet")  # a simulated host or device may be late on a busy machine
        if rules(config) >= {"facility.leak", "facility.flow_lost"}:
            break
    assert rules(config) >= {"facility.leak", "facility.flow_lost"}
    with Database.open(config.store.path, write=False) as db, db.read() as conn:
        states = {state.name: state for state in list_endpoints(conn)}
    assert states.keys() == endpoints(config, build_inventory(config)).keys()
    assert states["bmc:lg-h100-01"].trouble is not None
    assert sum(state.total_power_w is not None for state in states.values()) > 12


async def test_a_round_of_cron_does_not_repeat_a_password_that_was_refused(fleet: Fleet) -> None:
    config = load_config(fleet(12))
    now = time.time()
    (device, *_) = config.facility.devices
    refused = EndpointResult(
        device.name, device.kind, device.url, now - 60, None, device.site, trouble=SourceTrouble.AUTH, text="401"
    )
    with Database.open(config.store.path, write=True) as db:
        with db.write() as conn:
            save_endpoint_results(conn, [refused])
        await poll_once(config)
        with db.read() as conn:
            (state,) = [s for s in list_endpoints(conn) if s.name == device.name]
    assert (state.trouble, state.tried_at) == (SourceTrouble.AUTH, int(now - 60))


def told(
    config: Config, names: Iterable[str], readings: dict[str, list[Measurement]], at: float
) -> list[EndpointResult]:
    """What some devices of a demo say at one moment; a leak where a reading is named so."""
    out = []
    for device in config.facility.devices:
        if device.name in names:
            found = readings.get(device.name, [])
            wet = any(r.quantity == "leak" for r in found)
            states = (PointState("leak", "tray", "Critical" if wet else "OK", "leak/tray", "", at, wet),)
            power = sum(r.value for r in found if r.quantity == "power")
            report = EndpointReport(device.url, "demo", at, tuple(found), states, total_power_w=power or None)
            out.append(EndpointResult(device.name, device.kind, device.url, at, None, device.site, report))
    return out


def test_one_batch_is_enough_and_the_next_good_one_clears_it(fleet: Fleet) -> None:
    config = load_config(fleet(12))
    keeper = FacilityKeeper(config, build_inventory(config))
    flow = [Measurement("flow", "secondary", 3.0, "L/min", "f", "3", NOW)]
    power = [Measurement("power", "input", 20_000.0, "W", "p", "20000", NOW)]
    leak = [Measurement("leak", "tray", 1.0, "", "l", "1", NOW)]
    names = {"lingang-a-cdu-1": leak, "minhang-a-cdu-1": flow, "jd-a01-A": power, "jd-a01-B": power}
    with Database.open(config.store.path, write=True) as db:
        keeper.save(db, told(config, names, names, NOW), NOW)
        assert rules(config) == RULES
        # What came just after a look is looked at in the next lull, not with the next answer.
        good = [Measurement("flow", "secondary", 60.0, "L/min", "f", "60", NOW + 0.5)]
        keeper.save(db, told(config, names, {"minhang-a-cdu-1": good}, NOW + 0.5), NOW + 0.5)
        assert "facility.flow_lost" in rules(config)
        keeper.save(db, [], NOW + 16)
        assert rules(config) == {"facility.rack_over_budget"}  # the PDUs told no power: the last one stands
        keeper.save(db, [], NOW + 32)
        assert rules(config) == {"facility.rack_over_budget"}
