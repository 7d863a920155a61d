"""Redfish resources as measurements, and the order of total power. Small resources in the shape of the schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.errors import ConflictError
from fleetctl.model.facility import Measurement, SourceTrouble
from fleetctl_redfish.actions import reset_type
from fleetctl_redfish.poll import MAX_QUESTIONS, poll_targets, rest_of, round_of
from fleetctl_redfish.total import total_power
from fleetctl_redfish.values import Found, read_resource, rename_repeated

CH = "/redfish/v1/Chassis/1"


def found_in(resource: dict[str, Any], path: str = f"{CH}/X") -> Found:
    found = Found()
    read_resource(resource, path, 1000.0, found)
    return found


def values(found: Found) -> dict[str, tuple[float, str]]:
    return {f"{r.quantity} {r.where}": (r.value, r.unit) for r in found.readings}


def sensor(**more: Any) -> dict[str, Any]:
    return {"@odata.type": "#Sensor.v1_2_0.Sensor", "Id": "S", "Name": "S", **more}


def test_a_sensor_with_units_and_one_with_a_type_only() -> None:
    assert values(found_in(sensor(Reading=24.9, ReadingUnits="Cel"))) == {"temperature 1/S": (24.9, "C")}
    assert values(found_in(sensor(Reading="55.5", ReadingType="Power"))) == {"power 1/S": (55.5, "W")}


@pytest.mark.parametrize("raw", [None, "Unavailable", "", -1, 65535, True, [], {}])
def test_a_sensor_without_a_value_is_unknown(raw: Any) -> None:
    found = found_in(sensor(Reading=raw, ReadingType="Power"))
    assert not found.readings
    assert len(found.unknown) == 1


def test_an_absent_part_measures_nothing_though_it_says_zero() -> None:
    found = found_in(sensor(Reading=0, ReadingType="Temperature", Status={"State": "Absent"}))
    assert not found.readings


def test_revolutions_where_the_schema_says_percent() -> None:
    found = found_in(sensor(Id="FAN1", Name="FAN1", Reading=6600, ReadingType="Percent"))
    assert values(found) == {"fan_speed 1/FAN1": (6600.0, "rpm")}


@pytest.mark.parametrize(
    ("kind", "units", "want"),
    [
        ("Current", "Watts", ("power", "W")),  # Lenovo XCC, SR650 V2: "Sys Power"
        ("AirFlow", "RPM", ("fan_speed", "rpm")),  # Lenovo XCC: "Fan 1A Tach"
        ("Altitude", "Pa", ("pressure", "Pa")),  # NVIDIA HGX: "AltitudePressure"
        ("EnergykWh", "kW", ("energy", "kWh")),  # DMTF public-pdu, TransferSwitch1
        ("Pressure", "PSI", ("pressure", "psi")),  # HPE Cray CMM
        ("Temperature", "degrees", ("temperature", "C")),  # DMTF public-iiot
        ("Heat", "kW", ("cooling_power", "kW")),
        ("Power", "kW", ("power", "kW")),
        ("Power", "", ("power", "W")),
    ],
)
def test_where_type_and_unit_disagree_the_unit_is_right(kind: str, units: str, want: tuple[str, str]) -> None:
    found = found_in(sensor(Reading=12.5, ReadingType=kind, ReadingUnits=units))
    assert [(r.quantity, r.unit) for r in found.readings] == [want]


def test_a_speed_beside_or_instead_of_a_percentage() -> None:
    found = found_in(sensor(Id="F", Name="Fan", Reading=80, ReadingType="Percent", SpeedRPM=1490))
    assert values(found) == {"fan_duty 1/Fan": (80.0, "%"), "fan_speed 1/Fan": (1490.0, "rpm")}
    fan = {"@odata.type": "#Fan.v1_1_0.Fan", "SpeedPercent": {"SpeedRPM": 18720}}  # iDRAC9
    found = found_in(fan, f"{CH}/ThermalSubsystem/Fans/5A")
    assert values(found) == {"fan_speed 1/5A": (18720.0, "rpm")}
    assert not found.unknown


def test_what_a_control_is_held_to_is_no_measurement() -> None:
    held = {"@odata.type": "#EnvironmentMetrics.v1", "PowerLimitWatts": {"SetPoint": 1800, "Reading": 183.9}}
    assert values(found_in(held, f"{CH}/EnvironmentMetrics")) == {
        "power_limit 1 under its limit": (1800.0, "W"),
        "power 1 under its limit": (183.9, "W"),
    }


def test_a_pointer_has_one_hash_however_deep() -> None:
    leaks = {
        "@odata.type": "#LeakDetection.v1",
        "LeakDetectorGroups": [{"GroupName": "A", "HumidityPercent": {"Reading": 26}}],
    }
    found = found_in(leaks, "/redfish/v1/ThermalEquipment/CDUs/1/LeakDetection")
    assert [r.source.count("#") for r in found.readings] == [1]


def test_a_disabled_limit_does_not_disable_the_meter() -> None:
    control = {"Name": "Chassis", "PowerConsumedWatts": 100, "Status": {"State": "Disabled"}}  # Gigabyte H262
    power = {"@odata.type": "#Power.v1.Power", "PowerControl": [control]}
    assert values(found_in(power)) == {"power 1/Chassis": (100.0, "W")}


def test_what_cannot_be_is_a_finding() -> None:
    found = found_in(sensor(Reading=3800, ReadingType="Temperature"))
    assert not found.readings
    assert found.findings[0].kind is SourceTrouble.IMPLAUSIBLE


def test_older_power_and_thermal() -> None:
    power = {
        "@odata.type": "#Power.v1_7_0.Power",
        "PowerControl": [{"MemberId": "0", "PowerConsumedWatts": 614, "PowerLimit": {"LimitInWatts": None}}],
        "Voltages": [{"Name": "V1", "ReadingVolts": None}, {"Name": "V2", "ReadingVolts": 12.1}],
        "PowerSupplies": [{"Name": "PS1", "PowerInputWatts": 303.0, "LineInputVoltage": 240}, "garbage", None],
    }
    found = found_in(power, f"{CH}/Power")
    assert values(found)["power 1/0"] == (614.0, "W")
    assert values(found)["voltage 1/V2"] == (12.1, "V")
    assert [u.where for u in found.unknown] == ["1/V1"]
    thermal = {
        "@odata.type": "#Thermal.v1_6_0.Thermal",
        "Temperatures": [
            {"Name": "Inlet", "ReadingCelsius": 25, "Status": {"State": "Enabled", "Health": "OK"}},
            {"Name": "Empty", "ReadingCelsius": 0, "Status": {"State": "Absent"}},
        ],
        "Fans": [
            {"Name": "F1", "Reading": 18600, "ReadingUnits": "RPM"},
            {"FanName": "F2", "Reading": 30, "ReadingUnits": "Percent"},
        ],
    }
    assert values(found_in(thermal, f"{CH}/Thermal")) == {
        "temperature 1/Inlet": (25.0, "C"),
        "fan_speed 1/F1": (18600.0, "rpm"),
        "fan_duty 1/F2": (30.0, "%"),
    }


def test_excerpts_are_known_by_their_property() -> None:
    connector = {
        "@odata.type": "#CoolantConnector.v1_3_0.CoolantConnector",
        "FlowLitersPerMinute": {"Reading": 42},
        "SupplyTemperatureCelsius": {"Reading": 30},
        "HeatRemovedkW": {"Reading": 25.48},
        "RatedFlowLitersPerMinute": 50,
    }
    got = values(found_in(connector, "/redfish/v1/ThermalEquipment/CDUs/1/PrimaryCoolantConnectors/1"))
    assert sorted(v for v, _ in got.values()) == [25.48, 30.0, 42.0]


def test_three_phases() -> None:
    circuit = {
        "@odata.type": "#Circuit.v1_9_0.Circuit",
        "PolyPhaseVoltage": {"Line1ToLine2": {"Reading": 202.8}, "Line2ToLine3": {"Reading": 203.8}},
        "PolyPhasePowerWatts": {"Line1ToLine2": {"Reading": 738.9, "PowerFactor": 0.99}},
    }
    got = values(found_in(circuit, "/redfish/v1/PowerEquipment/RackPDUs/1/Mains/AC1"))
    assert (202.8, "V") in got.values()
    assert (738.9, "W") in got.values()
    assert (0.99, "") in got.values()


def test_a_leak_is_a_state_and_blind_is_never_dry() -> None:
    leak = {"@odata.type": "#LeakDetector.v1_0_0.LeakDetector", "Name": "L", "DetectorState": "Critical"}
    (state,) = found_in(leak).states
    assert (state.word, state.bad) == ("critical", True)
    found = found_in({"@odata.type": "#LeakDetector.v1_0_0.LeakDetector", "Name": "L", "DetectorState": None})
    assert not found.states
    assert found.unknown


def test_repeated_names_are_told_apart() -> None:
    readings = [Measurement("power", "1/In", 303.0, "W", f"{CH}/Sensors/A", "303", 0.0),
                Measurement("power", "1/In", 308.0, "W", f"{CH}/Sensors/B", "308", 0.0)]  # fmt: skip
    assert [r.where for r in rename_repeated(readings)] == ["1/In [A]", "1/In [B]"]


def test_odd_bodies_are_read_without_a_crash() -> None:
    def go(doc: Any) -> None:
        if isinstance(doc, dict):
            found_in(doc)
            total_power({CH: doc, f"{CH}/Power": doc, f"{CH}/EnvironmentMetrics": doc, f"{CH}/Sensors/1": doc})

    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    keys = st.sampled_from(
        ["PowerControl", "PowerConsumedWatts", "Reading", "ReadingType", "ReadingUnits", "Status", "State", "Name",
         "@odata.type", "PowerWatts", "Temperatures", "ReadingCelsius", "Fans", "DetectorState", "Members", "Links",
         "ContainedBy", "@odata.id", "PolyPhaseVoltage", "ChassisType"]
    )  # fmt: skip
    kinds = st.sampled_from(
        ["#Power.v1.Power", "#Thermal.v1.Thermal", "#Sensor.v1.Sensor", "#LeakDetector.v1.LeakDetector"]
    )
    documents = st.recursive(
        scalars | kinds, lambda c: st.lists(c, max_size=4) | st.dictionaries(keys, c, max_size=5), max_leaves=20
    )
    settings(max_examples=150, deadline=None)(given(documents)(go))()


# -- total power -------------------------------------------------------------------------------------------------------


def machine(**more: Any) -> dict[str, Any]:
    return {CH: {"@odata.type": "#Chassis.v1.Chassis", "ChassisType": "RackMount"}, **more}


ENVIRONMENT = {f"{CH}/EnvironmentMetrics": {"PowerWatts": {"Reading": 374}}}
CONTROL = {f"{CH}/Power": {"PowerControl": [{"PowerConsumedWatts": 344}, {"PowerConsumedWatts": 99}]}}
NAMED = {f"{CH}/Sensors/PWR_SYSTEM": {"ReadingType": "Power", "Reading": 1950}}


def supply(bay: str, watts: Any, state: str = "Enabled") -> dict[str, Any]:
    base = f"{CH}/PowerSubsystem/PowerSupplies/{bay}"
    return {
        base: {"@odata.type": "#PowerSupply.v1.PowerSupply", "Status": {"State": state}},
        f"{base}/Metrics": {"InputPowerWatts": {"Reading": watts}},
    }


def test_the_order() -> None:
    for parts, watts, where in (
        ({**ENVIRONMENT, **CONTROL, **NAMED}, 374, "EnvironmentMetrics"),
        ({**CONTROL, **NAMED}, 344, "PowerControl/0"),
        (NAMED, 1950, "PWR_SYSTEM"),
        ({**supply("1", 300.0), **supply("2", 310.0)}, 610, "sum of 2 inputs"),
    ):
        found = total_power(machine(**parts))
        assert found is not None
        assert found[0] == watts
        assert where in found[1]


def test_shares_of_the_total_are_not_added() -> None:
    found = total_power(machine(**CONTROL))
    assert found is not None
    assert found[0] == 344


def test_one_silent_supply_makes_no_sum() -> None:
    assert total_power(machine(**supply("1", 300.0), **supply("2", None))) is None
    found = total_power(machine(**supply("1", 300.0), **supply("2", None, "Absent")))
    assert found is not None
    assert found[0] == 300


def test_a_zero_gives_way_to_a_later_rung() -> None:
    zero = {f"{CH}/EnvironmentMetrics": {"PowerWatts": {"Reading": 0}}}
    found = total_power(machine(**zero, **CONTROL))
    assert found is not None
    assert found[0] == 344
    found = total_power(machine(**zero))
    assert found is not None
    assert found[0] == 0


def test_parts_never_stand_for_the_machine() -> None:
    tree = {
        "/redfish/v1/Chassis/HGX": {"ChassisType": "Zone"},
        "/redfish/v1/Chassis/HGX/EnvironmentMetrics": {"PowerWatts": {"Reading": 900}},
    }
    assert total_power(tree) is None


def test_a_blade_inside_an_enclosure_counts_only_when_the_enclosure_is_silent() -> None:
    blade = {
        "/redfish/v1/Chassis/B": {"ChassisType": "Blade", "Links": {"ContainedBy": {"@odata.id": CH}}},
        "/redfish/v1/Chassis/B/EnvironmentMetrics": {"PowerWatts": {"Reading": 100}},
    }
    assert total_power(machine(**blade)) == (100.0, "/redfish/v1/Chassis/B/EnvironmentMetrics#/PowerWatts/Reading")
    found = total_power(machine(**blade, **ENVIRONMENT))
    assert found is not None
    assert found[0] == 374


def test_the_inputs_of_a_baseboard_are_added() -> None:
    zone = "/redfish/v1/Chassis/HGX_Chassis_0"  # NVIDIA GH200: no chassis but parts
    tree = {
        zone: {"ChassisType": "Zone"},
        f"{zone}/Sensors/HGX_Chassis_0_HSC_0_Power_0": {"ReadingType": "Power", "Reading": 164.961},
        f"{zone}/Sensors/HGX_Chassis_0_HSC_1_Power_0": {"ReadingType": "Power", "Reading": 174.129},
        f"{zone}/Sensors/HGX_Chassis_0_TotalGPU_Power_0": {"ReadingType": "Power", "Reading": 184.074},
        f"{zone}/Sensors/HGX_Chassis_0_HSC_0_Temp_0": {"ReadingType": "Temperature", "Reading": 32.75},
    }
    found = total_power(tree)
    assert found is not None
    assert found[0] == pytest.approx(339.09)
    assert total_power(machine(**tree)) is None, "a machine that does not tell is not told by its parts"
    tree[f"{zone}/Sensors/HGX_Chassis_0_HSC_1_Power_0"]["Reading"] = None
    assert total_power(tree) is None


def test_a_server_that_tells_on_its_baseboard() -> None:
    board = f"{CH}/Baseboard"  # Intel S2600BPB
    control = {"Name": "Server Power Control", "PowerConsumedWatts": 148}
    power = {f"{board}/Power": {"@odata.type": "#Power.v1.Power", "PowerControl": [control]}}
    found = total_power(machine(**{board: {"ChassisType": "Card"}, **power}))
    assert found == (148.0, f"{board}/Power#/PowerControl/0/PowerConsumedWatts")
    power[f"{CH}/Other/Power"] = power[f"{board}/Power"]
    assert total_power(machine(**power)) is None


def test_a_named_sensor_in_kilowatts() -> None:
    found = total_power(
        machine(**{f"{CH}/Sensors/total_power": {"ReadingType": "Power", "Reading": 6.2, "ReadingUnits": "kW"}})
    )
    assert found is not None
    assert found[0] == 6200


@pytest.mark.parametrize("raw", [1e308, -5, 10**400, float("nan"), "Unavailable", 65535, None, {}])
def test_what_no_machine_draws_is_no_total(raw: Any) -> None:
    control = {f"{CH}/Power": {"PowerControl": [{"PowerConsumedWatts": raw}]}}
    assert total_power(machine(**control, **supply("1", 300.0))) == (
        300.0,
        f"sum of 1 inputs in {CH}/PowerSubsystem/PowerSupplies",
    )


@pytest.mark.parametrize(
    ("sensor_id", "name"),
    [("power_total_power", "total power"), ("205L0", "Sys Power"), ("HSC_Input_Power", "x"), ("SYS_PWR", "x")],
)
def test_sensors_that_makers_name_for_the_whole_machine(sensor_id: str, name: str) -> None:
    found = total_power(
        machine(**{f"{CH}/Sensors/{sensor_id}": {"ReadingType": "Power", "Reading": 700, "Name": name}})
    )
    assert found is not None
    assert found[0] == 700


def test_the_mains_of_a_pdu_without_metrics() -> None:
    mains = "/redfish/v1/PowerEquipment/RackPDUs/1/Mains"
    tree: dict[str, Any] = {f"{mains}/AC{i}": {"PowerWatts": {"Reading": 1000 + i}} for i in (1, 2)}
    found = total_power(tree)
    assert found is not None
    assert found[0] == 2003
    tree[f"{mains}/AC2"]["PowerWatts"]["Reading"] = None
    assert total_power(tree) is None
    tree[f"{mains}/AC2"]["Status"] = {"State": "Absent"}
    found = total_power(tree)
    assert found is not None
    assert found[0] == 1001


@pytest.mark.parametrize("kind", ["StorageEnclosure", "Server", "Rackmount"])
def test_chassis_of_other_types_stand_for_a_machine(kind: str) -> None:
    found = total_power({CH: {"@odata.type": "#Chassis.v1.Chassis", "ChassisType": kind}, **CONTROL})
    assert found is not None
    assert found[0] == 344


def test_circles_of_chassis_end() -> None:
    a = {"ChassisType": "Blade", "Links": {"ContainedBy": {"@odata.id": "/redfish/v1/Chassis/b"}}}
    b = {"ChassisType": "Blade", "Links": {"ContainedBy": {"@odata.id": "/redfish/v1/Chassis/a"}}}
    assert total_power({"/redfish/v1/Chassis/a": a, "/redfish/v1/Chassis/b": b}) is None


def test_pdu_metrics() -> None:
    tree = {"/redfish/v1/PowerEquipment/RackPDUs/1/Metrics": {"PowerWatts": {"Reading": 6438}}}
    found = total_power(tree)
    assert found is not None
    assert found[0] == 6438


# -- polling and acting --------------------------------------------------------------------------------------------------


def test_a_poll_asks_at_most_three_questions_total_power_first() -> None:
    tree = machine(**NAMED, **{f"{CH}/Sensors/S{i}": {"ReadingType": "Temperature"} for i in range(500)})
    targets = poll_targets(tree, {f"{CH}/Sensors": [f"{CH}/Sensors?$expand=.($levels=1)"]})
    assert targets[0] == f"{CH}/Sensors?$expand=.($levels=1)"
    assert len(targets) <= MAX_QUESTIONS


def test_what_no_question_tells_is_asked_now_and_then() -> None:
    def sensors(chassis: str, count: int) -> dict[str, Any]:
        return {f"/redfish/v1/Chassis/{chassis}/Sensors/S{i}": {"ReadingType": "Power"} for i in range(count)}

    tree = {**sensors("A", 3), **sensors("B", 9), **sensors("C", 4), f"{CH}/Thermal": {}}
    pages = {f"/redfish/v1/Chassis/{c}/Sensors": [f"/redfish/v1/Chassis/{c}/Sensors?$expand=."] for c in "ABC"}
    rest = rest_of(tree, pages, [pages["/redfish/v1/Chassis/A/Sensors"][0]], set(sensors("C", 4)))
    assert rest == ["/redfish/v1/Chassis/B/Sensors?$expand=.", f"{CH}/Thermal"]
    every = ["total", "x/LeakDetectors", "report"]
    seen = [round_of(every, rest, turn, 1) for turn in range(12)]
    assert all(len(r) <= MAX_QUESTIONS and r[:2] == every[:2] for r in seen)
    assert set(rest) <= {q for r in seen for q in r}
    assert sum("report" in r for r in seen) == 8
    assert round_of(["total"], rest, 1, 1) == ["total", rest[1]]
    assert round_of(["a", "b", "c"], rest, 2, 3) == ["a", "b", "c"], "the total's parts are asked every time"


def test_only_what_the_bmc_offers_is_asked_of_it() -> None:
    system = {
        "Actions": {
            "#ComputerSystem.Reset": {"target": "/x", "ResetType@Redfish.AllowableValues": ["On", "ForceRestart"]}
        }
    }
    assert reset_type(system, "cycle") == "ForceRestart"
    with pytest.raises(ConflictError, match="does not offer"):
        reset_type(system, "off")
    with pytest.raises(ConflictError, match="no power switch"):
        reset_type({}, "on")


def test_a_reading_is_plain_json() -> None:
    found = found_in(sensor(Reading=1.5, ReadingType="Voltage"))
    assert json.loads(found.readings[0].raw) == 1.5


def test_a_sum_is_polled_in_all_its_parts() -> None:
    rectifiers = {
        f"{CH}/Sensors/Rectifier{i}InputPower": {"ReadingType": "Power", "Reading": 3000 + i} for i in range(4)
    }
    found = total_power(machine(**rectifiers))
    assert found is not None
    assert found[0] == 12006
    assert poll_targets(machine(**rectifiers), {})[:4] == list(rectifiers)
    supplies = machine(**supply("1", 300.0), **supply("2", 310.0))
    assert sum(t.endswith("/Metrics") for t in poll_targets(supplies, {})) == 2


def test_a_machine_that_runs_and_draws_nothing_is_not_measured() -> None:
    power = {"@odata.type": "#Power.v1_3_0.Power", "PowerControl": [{"PowerConsumedWatts": 0}]}
    system = {"@odata.type": "#ComputerSystem.v1_4_0.ComputerSystem", "PowerState": "On"}
    tree = {CH: machine(), f"{CH}/Power": power}
    assert total_power(tree) == (0.0, f"{CH}/Power#/PowerControl/0/PowerConsumedWatts")
    assert total_power(tree | {"/redfish/v1/Systems/1": system}) is None
    assert total_power(tree | {"/redfish/v1/Systems/1": system | {"PowerState": "Off"}}) is not None


def test_the_code_of_a_discrete_sensor_is_no_amount() -> None:
    """Lenovo XCC: "PCIe 5 OverTemp" stands as a temperature of 0 without a unit."""
    assert not values(found_in(sensor(Reading=0, ReadingType="Temperature", ReadingUnits="")))
    assert not values(found_in(sensor(Reading=1, ReadingType=None, ReadingUnits="")))
    assert values(found_in(sensor(Reading=-51, ReadingType="Temperature", ReadingUnits="", Name="CPU 1 DTS"))) == {
        "temperature_margin 1/CPU 1 DTS": (-51, "C")
    }
    assert values(found_in(sensor(Reading=0, ReadingType="Power", ReadingUnits="W"))) == {"power 1/S": (0, "W")}


def test_a_processor_below_zero_is_a_margin() -> None:
    metrics = {
        "@odata.type": "#ThermalMetrics.v1_0_0.ThermalMetrics",
        "TemperatureReadingsCelsius": [
            {"PhysicalContext": "CPU", "Reading": 27}, {"PhysicalContext": "CPU", "Reading": -51}
        ],
    }  # fmt: skip
    assert [(r.quantity, r.value) for r in found_in(metrics).readings] == [
        ("temperature", 27),
        ("temperature_margin", -51),
    ]
