"""Formats that other programs parse, to the letter."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import FleetctlError, UsageError
from fleetctl.reports.monitoring import (
    CheckResult,
    Gauge,
    Measure,
    Status,
    checkmk,
    nagios,
    number,
    parse_range,
    prometheus,
    worst,
    write_textfile,
)


# The table of the Monitoring Plugins guidelines: range, values that alert, values that do not.
@pytest.mark.parametrize(
    ("text", "alerts", "quiet"),
    [
        ("10", [-1, 10.01, 11], [0, 5, 10]),
        ("10:", [9.9, -1], [10, 1e9]),
        ("~:10", [10.1], [-1e9, 10]),
        ("10:20", [9, 21], [10, 15, 20]),
        ("@10:20", [10, 15, 20], [9, 21]),
        ("@10", [0, 10], [-1, 11]),
        ("-5:-1", [-6, 0], [-5, -1]),
        (":10", [-1, 11], [0, 10]),
    ],
)
def test_ranges(text: str, alerts: list[float], quiet: list[float]) -> None:
    limit = parse_range(text)
    assert all(limit.alerts(v) for v in alerts)
    assert not any(limit.alerts(v) for v in quiet)


@pytest.mark.parametrize("text", ["", ":", "@", "~:", "20:10", "a", "10:b", "1:2:3"])
def test_what_is_no_range(text: str) -> None:
    if text == "~:":
        assert parse_range(text).high == math.inf  # the guidelines allow it: it never alerts
        return
    with pytest.raises(UsageError):
        parse_range(text)


def test_nagios_line() -> None:
    result = CheckResult(
        "2 of 3 nodes | answer",
        (
            Measure("unreachable", 1, "", parse_range("0"), parse_range("~:5"), 0, 3),
            Measure("data age", 12.5, "s"),
            Measure("it's", None, "%"),
        ),
        ("gpu003: unreachable",),
    )
    assert nagios(result) == (
        "WARNING - 2 of 3 nodes / answer | 'unreachable'=1;0;~:5;0;3 'data age'=12.5s 'it''s'=U\ngpu003: unreachable\n"
    )


def test_checkmk_line() -> None:
    result = CheckResult(
        "all well",
        (
            Measure("temp c", 71.5, "", parse_range("85"), parse_range("92")),
            Measure("free", 3, "", parse_range("1:"), None),
            Measure("power", None),
        ),
        ("second",),
    )
    assert checkmk(result, 'Fleet "a"') == "0 \"Fleet 'a'\" temp_c=71.5;85;92|free=3;1: all well\\nsecond\n"
    assert checkmk(CheckResult("x"), "s") == '0 "s" - x\n'


def test_unknown_is_no_ok_where_a_threshold_is_set() -> None:
    assert Measure("a", None, warn=parse_range("1")).status is Status.UNKNOWN
    assert Measure("a", None).status is Status.OK
    assert CheckResult("x", least=Status.UNKNOWN).status is Status.UNKNOWN


def test_critical_wins_and_blind_is_worse_than_a_warning() -> None:
    assert worst([Status.OK, Status.WARNING, Status.UNKNOWN]) is Status.UNKNOWN
    assert worst(Status) is Status.CRITICAL
    assert worst([]) is Status.OK


def test_prometheus_text() -> None:
    text = prometheus(
        [
            Gauge("fleetctl_nodes", "nodes by reach", (({"site": 'a"\\\nb', "reach": "fresh"}, 3), ({}, None))),
            Gauge("fleetctl_power_watts", "draw", (({}, None),)),
            Gauge("fleetctl_last_success_timestamp_seconds", "last success", (({}, 1000.25),)),
        ]
    )
    assert text == (
        "# HELP fleetctl_nodes nodes by reach\n# TYPE fleetctl_nodes gauge\n"
        'fleetctl_nodes{site="a\\"\\\\\\nb",reach="fresh"} 3\n'
        "# HELP fleetctl_last_success_timestamp_seconds last success\n"
        "# TYPE fleetctl_last_success_timestamp_seconds gauge\n"
        "fleetctl_last_success_timestamp_seconds 1000.25\n"
    )


def test_the_text_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fleet.prom"
    write_textfile(path, "old 1\n")
    assert path.stat().st_mode & 0o777 == 0o644

    def no_rename(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", no_rename)
    with pytest.raises(FleetctlError, match="No space left"):
        write_textfile(path, "new 2\n")
    assert path.read_text() == "old 1\n"
    assert [p.name for p in tmp_path.iterdir()] == ["fleet.prom"]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetctlError, match=r"none.fleet\.prom"):
        write_textfile(tmp_path / "none" / "fleet.prom", "x")


@given(st.floats(min_value=-1e15, max_value=1e15))
def test_numbers_are_plain(value: float) -> None:
    assert re.fullmatch(r"-?\d+(\.\d+)?", number(value))


@given(st.text(max_size=50), st.text(max_size=50), st.one_of(st.none(), st.floats(-1e9, 1e9)))
def test_one_line_and_one_bar_whatever_hosts_say(text: str, label: str, value: float | None) -> None:
    lines = nagios(CheckResult(text, (Measure(label, value),))).split("\n")
    assert len(lines) == 2
    assert lines[0].count("|") == 1
    assert len(checkmk(CheckResult(text, (Measure(label, value),)), label).splitlines()) == 1
