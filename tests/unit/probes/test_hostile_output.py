"""What mutated recordings found (benchmarks/mutate.py): each input here once raised, got through, or kept a parser for
minutes: a pattern whose cost grows with the square of a line is not mended when this file does not end."""

from __future__ import annotations

import pytest

from fleetctl.config import parse_config
from fleetctl.errors import ConfigError, UsageError
from fleetctl.inventory import expand
from fleetctl.model.probe import Output
from fleetctl.plugin import load_plugin
from fleetctl.probes.prometheus import samples
from fleetctl.probes.sheet import MAX_LINE, Sheet, squeeze
from fleetctl.probes.system import parse_slow, parse_system
from fleetctl.probes.text import is_unknown, measure
from fleetctl.probes.trees import read_entries, read_json
from fleetctl_bacnet.points import BacnetObject
from fleetctl_bacnet.points import tell as tell_bacnet
from fleetctl_enflame.parsers import parse_table as parse_enflame
from fleetctl_ipmi.tool import Unread, sensor_lines
from fleetctl_modbus.register_map import parse_map as parse_registers
from fleetctl_mqtt.bus import Bus, tell
from fleetctl_slurm.answers import NODE_FIELDS, parse_nodes, parse_reservations
from fleetctl_slurm.words import count_cards
from fleetctl_snmp.device_map import parse_map

SYSTEM = "host\n[[1.5,{cpu},64,{mem},540000000000,0,1,2,300.5]]\n"


def table_parser(vendor: str, name: str):
    return next(p.parse for p in load_plugin(vendor).parsers if p.name == name)


@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("nvidia", "nvidia.table"),
        ("thead", "thead.table"),
        ("iluvatar", "iluvatar.table"),
        ("kunlunxin", "kunlunxin.smi"),
    ],
)
@pytest.mark.parametrize("filler", ["x", "9", "-"])
def test_a_table_line_without_end_is_noise(vendor: str, name: str, filler: str) -> None:
    result = table_parser(vendor, name)(Output("+---+\n| NVIDIA-SMI 550 " + filler * 300_000 + " |\n+===+\n"))
    assert any("characters" in f.text for f in result.findings)


def test_many_long_lines_cost_what_they_are_long() -> None:
    line = "|" + "x" * (MAX_LINE - 10) + " |\n"
    table_parser("nvidia", "nvidia.table")(Output("+---+\n" + line * 100))


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\n \n\t"])
def test_blanks_without_end_are_skipped_once(blank: str) -> None:
    assert len(squeeze("a" + blank * 100_000 + "b")) < 500
    for parser in load_plugin("thead").parsers:
        parser.parse(Output("Xid Errors" + blank * 100_000 + "x" + blank * 100_000 + ": 1 |"))


def test_a_number_of_cards_without_end_counts_nothing() -> None:
    assert count_cards("gpu:" + "9" * 5000) in (None, 1)
    with pytest.raises(ConfigError):
        parse_config(b"a = " + b"9" * 5000)


@pytest.mark.parametrize(
    "read",
    [
        lambda text: parse_enflame(Output(text)),
        lambda text: list(samples("node_load1" + text + "{a=" + text + "} 1")),
        lambda text: list(sensor_lines("Temp" + text + "| 03h | ok | 3.1 | 48 degrees C")),
        lambda text: is_unknown("x" * len(text) + "!"),
        lambda text: parse_reservations("ReservationName=a Nodes=" + "n," * 30_000 + text),
    ],
)
@pytest.mark.parametrize("filler", ["9", " ", "x", "*"])
def test_no_pattern_grows_with_the_square(read, filler: str) -> None:
    read(filler * 100_000)


def test_brackets_without_end_are_refused_quickly() -> None:
    for text in ("[" * 100_000, "a[" * 50_000, "n[1-" * 30_000, "a]" * 50_000):
        with pytest.raises(UsageError):
            expand(text)


def test_ranges_inside_brackets_still_count_together() -> None:
    assert len(expand("gpu[1-4,7],b[01-08]")) == 13
    assert expand("a[1-3]&a[2-9]") == ["a2", "a3"]


@pytest.mark.parametrize("text", ["1e999", "1e999 MiB", "1e308 GiB", "-1e999 W", "9" * 25 + " GiB"])
def test_a_number_beyond_all_numbers_cannot_be(text: str) -> None:
    for metric in ("mem_used_bytes", "power_w", "ecc_uncorrected_total"):
        value, why = measure(metric, text, "")
        assert value is None
        assert why or "9" in text


@pytest.mark.parametrize(
    ("cpu", "mem"), [("4294967295", "1"), ("12", "1e308"), ("-3", "1"), ("12", "-1"), ("1e999", "1")]
)
def test_a_host_says_nothing_impossible(cpu: str, mem: str) -> None:
    result = parse_system(Output(SYSTEM.format(cpu=cpu, mem=mem)))
    values = result.readings[0].values
    assert (values["cpu_pct"] is None) != (values["mem_used_bytes"] is None)
    assert values["load1"] == 1.5
    assert len(result.findings) == 1


def test_traffic_may_pass_any_memory() -> None:
    result = parse_system(Output("host\n[[1,1,64,1,2,0,900000000000000,800000000000000,300]]\n"))
    assert result.readings[0].values["net_rx_bytes_total"] == 9e14
    assert not result.findings


def test_the_slow_answer_is_judged_too() -> None:
    result = parse_slow(Output("cores 999999999\nprocs_d 3\n"))
    assert result.readings[0].values == {"cores": None, "procs_d": 3}
    assert "\x1b" not in parse_slow(Output("\x1b[31m")).findings[0].raw


def test_escapes_spelled_in_json_are_taken_off() -> None:
    value, _ = read_json('[{"a": "up\\u001b[31m\\u009b2J", "b\\u0007": ["\\r"]}]')
    assert value == [{"a": "up 2J", "b ": ["\n"]}]
    assert read_entries('{"l": ["\\u001b]0;x\\u0007y"', "l") == ["y"]


def test_a_map_with_a_number_without_end_is_refused() -> None:
    for text in ("present = [" + "9" * 5000 + "]", "a = " + "[" * 20_000):
        with pytest.raises(ConfigError):
            parse_map(text, "mine")


def test_a_register_map_nested_without_end_is_refused() -> None:
    with pytest.raises(ConfigError):
        parse_registers("[" * 100_000, "mine")


def test_objects_of_a_building_are_named_without_escapes() -> None:
    readings, *_ = tell_bacnet([BacnetObject("analog-input,1", "P\x1b[31m\x7f1", units="kilowatts", value=3.0)], 5.0)
    assert readings[0].where.isprintable()


def test_more_nodes_than_can_be_counted_are_refused() -> None:
    for text in ("a[1-100000]b[1-100000]c[1-100000]d[1-100000]", "a[1-99]" * 12):
        with pytest.raises(UsageError):
            expand(text)


def test_a_line_that_is_noise_hides_no_other() -> None:
    sheet = Sheet("nvidia")
    assert list(sheet.lines("a\n" + "x" * (MAX_LINE + 1) + "\nb")) == [(1, "a"), (3, "b")]
    assert len(sheet.result().findings) == 1


def test_an_ipmi_line_without_end_is_unread() -> None:
    found = list(sensor_lines("Temp | 03h | ok | 3.1 | 48 degrees C\n" + "x" * 600 + "|h|\n"))
    assert [isinstance(one, Unread) for one in found] == [False, True]


def test_names_of_slurm_are_shown_without_what_a_terminal_obeys() -> None:
    evil = "ro\x1b[31mot"
    row = ["n1", "gpu", "x", "idle+drain", "gpu:8", "gpu:0", "0/96/0/96", evil, "2026-11-21T23:42:09", "bad \x9bfan"]
    row += [""] * (len(NODE_FIELDS) - len(row))
    node = parse_nodes("|".join(row) + "|nonce|", "nonce").nodes["n1"]
    assert (node.owner.isprintable(), node.reason.isprintable()) == (True, True)
    (window,) = parse_reservations("ReservationName=w Nodes=n1 Users=a,b\x1b[2J Flags=MAINT,\x9bX")
    assert all(word.isprintable() for word in (*window.users, *window.flags))


def test_a_building_bus_says_nothing_a_terminal_obeys() -> None:
    bus = Bus("B/v1")
    bus.hear(
        "B/v1/PUB/Value/Rack/RackPower/\x1b[31m", b'{"value": 1, "timestamp": 1790000000000, "quality": 1}', 1.79e9
    )
    assert not bus.points
    bus.hear("B/v1/PUB/Metadata/Rack/RackPower/r", b'{"engUnit": "k\\u001b[31mW", "objectName": "\\u009b2J"}', 1.79e9)
    bus.hear(
        "B/v1/PUB/Value/Rack/RackPower/r", b'{"value": "\\u001b]0;x", "timestamp": 1790000000000, "quality": 1}', 1.79e9
    )
    told = tell(bus.select())
    assert all(f.text.isprintable() for f in bus.findings())
    assert all(text.isprintable() for one in told.unknown for text in (one.where, one.raw) if hasattr(one, "raw"))
