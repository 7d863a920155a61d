"""What ipmitool prints on a host, read: texts made up after its source, with every word it has for nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.probe import Outcome, Output
from fleetctl.model.reading import FindingKind, ProbeResult
from fleetctl.plugin import load_plugin
from fleetctl.probes.parsing import choose_parser
from fleetctl_ipmi.inband import parse_power, parse_sensors
from fleetctl_ipmi.tool import dcmi_reading

ELIST = """\
Temp             | 03h | ok  |  3.1 | 48 degrees C
Temp             | 04h | ok  |  3.2 | 51 degrees C
Exhaust Temp     | 02h | ok  | 55.9 | 41 degrees C
Ambient          | 01h | ok  | 12.1 | 24.50 degrees C
Fan1             | 05h | ok  | 29.1 | 0 RPM
Fan2             | 06h | ns  | 29.2 | No Reading
PSU6 Input       | 18h | ns  | 10.6 | Disabled
Vbat             | 19h | lcr |  7.1 | 2.61 Volts
Usage            | 1Dh | ok  |  7.1 | na
Pwr Consumption  | 1Eh | ok  |  7.1 | 616 Watts
PS Redundancy    | 10h | ok  |  7.1 | Fully Redundant
Caf\ufffd | Temp      | 2Ah | ok  |  7.2 | 30 degrees C
"""
SENSOR = """\
Inlet Temp       | 23.000     | degrees C  | ok    | na        | na        | na        | 43.000    | 47.000    | na
Temp             | na         | degrees C  | na    | na        | na        | na        | 93.000    | 98.000    | na
Temp             | 51.000     | degrees C  | ok    | na        | na        | na        | 93.000    | 98.000    | na
Intrusion        | 0x0        | discrete   | 0x0080| na        | na        | na        | na        | na        | na
"""
DCMI = """
    Instantaneous power reading:                  {watts} Watts
    Minimum during sampling period:               1180 Watts
    IPMI timestamp:                           11/22/26 00:34:26 UTC    Sampling period:                          00000001 Seconds.
    Power reading state is:                   {state}

"""


def values(result: ProbeResult) -> dict[str, float | int | None]:
    return {r.device.key: r.values.get("value") for r in result.readings if r.device.kind == "sensor"}


def host(result: ProbeResult) -> dict[str, float | int | None]:
    return {k: v for r in result.readings if r.device.kind == "host" for k, v in r.values.items()}


def test_sensors_are_kept_apart_by_number_and_entity() -> None:
    result = parse_sensors(Output(ELIST))
    got = values(result)
    assert (got["ipmi-03h-3.1"], got["ipmi-04h-3.2"]) == (48, 51)
    assert len(got) == 12
    assert not result.findings
    names = {r.device.key: (r.device.where, r.device.quantity, r.device.unit) for r in result.readings}
    assert names["ipmi-03h-3.1"] == ("Temp", "temperature", "C")
    assert names["ipmi-19h-7.1"] == ("Vbat", "voltage", "V")


def test_nothing_is_unknown_and_zero_is_zero() -> None:
    got = values(parse_sensors(Output(ELIST)))
    assert got["ipmi-05h-29.1"] == 0
    assert [got[k] for k in ("ipmi-06h-29.2", "ipmi-18h-10.6", "ipmi-1dh-7.1", "ipmi-10h-7.1")] == [None] * 4


def test_the_host_has_its_inlet_and_its_draw() -> None:
    assert host(parse_sensors(Output(ELIST))) == {"inlet_temp_c": 24.5, "power_w": 616}


def test_the_entity_says_inlet_before_any_name_does() -> None:
    text = "Ambient | 01h | ok | 7.1 | 20 degrees C\nT2 | 02h | ok | 55.1 | 77 degrees F\nCPU Inlet | 03h | ok | 3.1 | 60 degrees C\n"
    assert host(parse_sensors(Output(text)))["inlet_temp_c"] == 25


def test_the_long_form_without_numbers() -> None:
    result = parse_sensors(Output(SENSOR))
    assert values(result) == {"ipmi-Inlet Temp": 23, "ipmi-Temp": None, "ipmi-Temp-2": 51, "ipmi-Intrusion": None}
    assert host(result)["inlet_temp_c"] == 23


def test_what_cannot_be_and_what_is_no_sensor_are_findings() -> None:
    result = parse_sensors(Output("Inlet | 01h | ok | 64.1 | 900 degrees C\nfoo\nFan | 02h | ok | 29.1 | 5000 RPM\n"))
    assert values(result) == {"ipmi-01h-64.1": None, "ipmi-02h-29.1": 5000}
    assert [f.kind for f in result.findings] == [FindingKind.UNREADABLE] * 2


def test_dcmi_power() -> None:
    result = parse_power(Output(DCMI.format(watts=4230, state="activated")))
    assert host(result) == {"power_w": 4230}
    assert result.readings[0].states == {"power_source": "DCMI power reading"}


@pytest.mark.parametrize(("watts", "state"), [(0, "activated"), (65535, "activated"), (300, "deactivated")])
def test_a_bmc_that_measures_nothing_draws_an_unknown(watts: int, state: str) -> None:
    result = parse_power(Output(DCMI.format(watts=watts, state=state)))
    assert not result.readings
    assert not result.findings


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sh: ipmitool: not found", FindingKind.MISSING_TOOL),
        ("Could not open device at /dev/ipmi0 or /dev/ipmi/0: Permission denied", FindingKind.NOT_PERMITTED),
        ("Could not open device at /dev/ipmi0 or /dev/ipmi/0: No such file or directory", FindingKind.NO_DEVICES),
        ("what is this", FindingKind.UNREADABLE),
    ],
)
def test_refusals_are_told_apart(text: str, kind: FindingKind) -> None:
    for parse in (parse_power, parse_sensors):
        result = parse(Output(text, exit_status=1))
        assert [f.kind for f in result.findings] == [kind]
        assert not result.readings


def test_no_dcmi_is_a_fact_and_no_failure() -> None:
    result = parse_power(Output("    DCMI request failed because: Invalid command (c1)\n", exit_status=1))
    assert (result.facts, result.findings) == ({"dcmi": "none"}, ())


def test_a_tool_that_hung_is_said() -> None:
    result = parse_sensors(Output("Inlet | 01h | ok | 64.1 | 22 degrees C\nFan |", outcome=Outcome.TIMEOUT))
    assert host(result)["inlet_temp_c"] == 22
    assert FindingKind.TOOL_HUNG in [f.kind for f in result.findings]


def test_probe_parse_finds_the_form() -> None:
    plugin = load_plugin("ipmi")
    for text, name in ((ELIST, "ipmi.sensors"), (SENSOR, "ipmi.table"), (DCMI, "ipmi.power")):
        parser = choose_parser(plugin, text, "")
        assert parser is not None
        assert parser.name == name


@given(st.text(alphabet=st.sampled_from("ab 0159.|hok-nsxe\n\u00b0C\x1b"), max_size=300))
def test_any_text_is_read_without_raising(text: str) -> None:
    parse_sensors(Output(text))
    parse_power(Output(text))
    dcmi_reading(text)
