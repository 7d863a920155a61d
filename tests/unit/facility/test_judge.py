"""From fleet.toml and stored readings to the picture, findings, PUE and BMC plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetctl.config import load_config
from fleetctl.config.schema import Config, Meter
from fleetctl.errors import ConfigError, ConflictError
from fleetctl.facility.endpoints import endpoints
from fleetctl.facility.energy import energy_report
from fleetctl.facility.judge import judge
from fleetctl.facility.picture import build_picture
from fleetctl.inventory import Inventory, build_inventory
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.facility import Measurement, PointState
from fleetctl.model.states import Health
from fleetctl.operations.bmc import begin_bmc, end_bmc, plan_bmc
from fleetctl.store.audit import list_audit
from fleetctl.store.database import Database
from fleetctl.store.facility import EndpointState
from fleetctl.views.audit import load_audit

NOW = 1_700_000_000.0
FLEET = """
name = "t"
[[sites]]
name = "s1"
[[halls]]
name = "h"
site = "s1"
[[hosts]]
nodes = "n[1-4]"
site = "s1"
[[racks]]
name = "r1"
site = "s1"
hall = "h"
nodes = "n[1-2]"
power_budget_w = 3000
[[racks]]
name = "r2"
site = "s1"
nodes = "n[3-4]"
power_budget_w = 1000
[facility]
bmc_action_sites = [SITES]
[[facility.bmcs]]
nodes = "n[1-4]"
url = "https://{name}-bmc-{number}.example"
[[facility.devices]]
name = "pdu-a"
url = "snmp://10.0.0.1"
kind = "pdu"
racks = ["r2"]
feed = "A"
[[facility.devices]]
name = "cdu1"
url = "modbus://10.0.0.2"
kind = "cdu"
[[facility.feeds]]
name = "A"
limit_w = 1100
racks = ["r1", "r2"]
[[facility.zones]]
name = "z"
devices = ["cdu1"]
racks = ["r1"]
flow_min_lpm = 60
"""


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[Config, Inventory]:
    return load(tmp_path, '"s1"')


def load(tmp_path: Path, sites: str) -> tuple[Config, Inventory]:
    (tmp_path / "fleet.toml").write_text(FLEET.replace("SITES", sites))
    config = load_config(tmp_path / "fleet.toml")
    return config, build_inventory(config)


def state(number: int, name: str, watts: float | None, host: str | None = None, **more: object) -> EndpointState:
    fields: dict[str, object] = {
        "id": number, "name": name, "kind": "x", "url": "u", "host": host, "site": "s1", "device": {}, "tried_at": NOW,
        "ok_at": NOW, "trouble": None, "trouble_text": "", "trouble_since": None, "total_power_w": watts,
        "total_source": "test", "total_at": NOW,
    }  # fmt: skip
    return EndpointState(**{**fields, **more})  # type: ignore[arg-type]


def test_patterns_become_addresses(fleet: tuple[Config, Inventory]) -> None:
    found = endpoints(*fleet)
    assert found["bmc:n3"].url == "https://n3-bmc-3.example"
    assert len(found) == 6


def test_names_that_exist_nowhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(FLEET.replace("SITES", "").replace('racks = ["r2"]', 'racks = ["r9"]'))
    config = load_config(tmp_path / "fleet.toml")
    with pytest.raises(ConfigError, match="no rack 'r9'"):
        endpoints(config, build_inventory(config))


def test_racks_feeds_and_findings(fleet: tuple[Config, Inventory]) -> None:
    states = [
        state(1, "bmc:n1", 1400.0, "n1"),
        state(2, "bmc:n2", 1700.0, "n2"),
        state(3, "pdu-a", 1200.0),
        state(4, "cdu1", None),
    ]
    flow = {4: [Measurement("flow", "coolant", 20.0, "L/min", "r", "200", NOW)]}
    leaks = {4: [PointState("leak", "tray", "critical", "r", "Critical", NOW, True)]}
    picture = build_picture(*fleet, states, flow, leaks, NOW)
    assert picture.racks["r1"].draw.value == 3100
    assert picture.racks["r2"].draw.source == "pdu"
    assert picture.zones["z"].loops[0].is_leaking is True
    conditions, spoke = judge(picture, states, leaks, NOW)
    found = {(c.rule, c.subject): c.severity for c in conditions}
    assert found[("facility.rack_over_budget", "r1")] is Health.CRIT
    assert found[("facility.rack_over_budget", "r2")] is Health.CRIT
    assert found[("facility.feed_over_limit", "A")] is Health.CRIT
    assert found[("facility.flow_lost", "z")] is Health.CRIT
    assert found[("facility.leak", "cdu1")] is Health.CRIT
    assert {"r1", "r2", "A", "z", "cdu1"} <= spoke


def test_what_is_old_or_silent_says_nothing(fleet: tuple[Config, Inventory]) -> None:
    states = [
        state(1, "bmc:n1", 1400.0, "n1", total_at=NOW - 7200),
        state(2, "bmc:n2", None, "n2", trouble="timed_out", trouble_text="no answer", trouble_since=NOW - 3600),
        state(4, "cdu1", None, trouble="auth", trouble_text="refused", trouble_since=NOW),
    ]
    picture = build_picture(*fleet, states, {}, {}, NOW)
    assert picture.racks["r1"].draw.value is None
    assert picture.racks["r1"].left_w is None
    assert picture.zones["z"].loops[0].is_leaking is None
    conditions, spoke = judge(picture, states, {}, NOW)
    assert {(c.rule, c.subject) for c in conditions} == {
        ("facility.endpoint_silent", "bmc:n2"),
        ("facility.endpoint_silent", "cdu1"),
    }
    assert "r1" not in spoke
    assert "cdu1" not in spoke


# -- energy --------------------------------------------------------------------------------------------------------------


def meters() -> list[Meter]:
    return [
        Meter("in", "d1", "utility"), Meter("ups", "d2", "ups_output"), Meter("b1", "d3", "it_input"),
        Meter("b2", "d4", "it_input"), Meter("office", "d5", "office"),
    ]  # fmt: skip


def test_pue_of_a_window_from_counters() -> None:
    ends = {"in": (0.0, 19480.0), "ups": (0.0, 16000.0), "b1": (0.0, 7790.0), "b2": (0.0, 7802.0), "office": (0.0, 0.0)}

    def read(meter: Meter):  # type: ignore[no-untyped-def]
        first, last = ends[meter.name]
        return [(NOW, first), (NOW + 86_400, last)], []

    found = energy_report("s1", meters(), read, NOW, NOW + 86_400, 900)
    assert (round(found.pue or 0, 4), found.category, found.it_level) == (1.2494, "PUE3", "it_input")
    assert found.label.startswith("partial: 1 days")
    assert found.flag is None


def test_a_silent_it_meter_makes_no_better_pue_and_no_other_level() -> None:
    def read(meter: Meter):  # type: ignore[no-untyped-def]
        return ([], []) if meter.name == "b2" else ([(NOW, 0.0), (NOW + 86_400, 100.0)], [])

    found = energy_report("s1", meters(), read, NOW, NOW + 86_400, 900)
    assert (found.pue, found.flag, found.it_level) == (None, "incomplete", "it_input")


def test_integrated_power_says_how_much_was_measured() -> None:
    def read(meter: Meter):  # type: ignore[no-untyped-def]
        watts = {"in": 812_500.0, "b1": 325_000.0, "b2": 325_000.0, "office": 0.0, "ups": 1.0}[meter.name]
        return [], [(NOW + i * 900, watts) for i in range(48)]

    found = energy_report("s1", meters(), read, NOW, NOW + 86_400, 900)
    assert (found.pue, found.flag, round(found.coverage, 2)) == (1.25, "partial", 0.5)


# -- BMC plans -----------------------------------------------------------------------------------------------------------

WHO = Actor(ActorKind.PERSON, "li")


def test_bmc_actions_are_off_until_a_site_allows_them(tmp_path: Path) -> None:
    config, inventory = load(tmp_path, "")
    with Database.open(tmp_path / "f.db", write=True) as db:
        plan = plan_bmc(db, inventory, config, "identify", ["n1"], ["n1"], now=NOW)
        assert plan.refusals
        with pytest.raises(ConflictError, match="does not allow"):
            begin_bmc(db, plan, WHO, NOW)
        with db.read() as conn:
            assert [e.verb for e in list_audit(conn)] == ["bmc_refused"], "the attempt stands in the record"


def test_a_node_in_service_is_not_switched_off(tmp_path: Path) -> None:
    config, inventory = load(tmp_path, '"s1"')
    with Database.open(tmp_path / "f.db", write=True) as db:
        plan = plan_bmc(db, inventory, config, "cycle", ["n1", "n2"], ["n1"], now=NOW, reason="hw: x")
        assert plan.nodes == ()
        assert {n.host: n.skip.split(":")[0] for n in plan.skipped} == {
            "n1": "is in_service",
            "n2": "has no BMC in fleet.toml",
        }
        assert plan_bmc(db, inventory, config, "identify", ["n1"], ["n1"], now=NOW).hosts == ("n1",)
        assert plan_bmc(db, inventory, config, "off", ["n1"], ["n1"], now=NOW).refusals, "a reason is required"


def test_the_record_names_the_action_its_nodes_and_their_answers(tmp_path: Path) -> None:
    config, inventory = load(tmp_path, '"s1"')
    with Database.open(tmp_path / "f.db", write=True) as db:
        plan = plan_bmc(db, inventory, config, "cap", ["n1"], ["n1"], now=NOW, reason="heat: pump", value=600.0)
        begin_bmc(db, plan, WHO, NOW)
        end_bmc(db, plan, WHO, {"n1": "capped at 600 W"}, NOW)
        with db.read() as conn:
            table = load_audit(conn, subject="n1")
            assert load_audit(conn, subject="n2").rows == []
    what = next(c for c in table.columns if c.name == "what").value
    assert [what(row) for row in table.rows] == ["cap 600 W n1; heat: pump", "cap; n1: capped at 600 W"]
