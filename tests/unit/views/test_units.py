"""Numbers as people read them, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.views import units


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1.0K"), (1536, "1.5K"), (80 * 1024**3, "80.0G"), (1023.96 * 1024**2, "1.0G")],
)
def test_bytes(value: float, text: str) -> None:
    assert units.show_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0W"), (640, "640W"), (9800, "9800W"), (10240, "10.2kW"), (1.5e6, "1.5MW")]
)
def test_watts(value: float, text: str) -> None:
    assert units.show_watts(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (95, "1m35s"), (120, "2m"), (5400, "1h30m"), (200000, "2d7h"), (-95, "-1m35s")],
)
def test_duration(seconds: float, text: str) -> None:
    assert units.show_duration(seconds) == text


@pytest.mark.parametrize(
    ("age", "text"), [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200000, "2d"), (-8, "+8s")]
)
def test_age_takes_one_unit_and_a_future_moment_shows(age: float, text: str) -> None:
    assert units.show_age(1e9, 1e9 + age) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("80", 80.0),
        ("80C", 80.0),
        ("80°C", 80.0),
        ("90%", 90.0),
        ("5.6kW", 5600.0),
        ("10G", 10 * 1024.0**3),
        ("10GiB", 10 * 1024.0**3),
        ("10GB", 10 * 1024.0**3),
        ("512B", 512.0),
        (".5", 0.5),
        ("-3", -3.0),
        ("1e3", 1000.0),
        ("hot", None),
        ("", None),
        ("80 parsecs", None),
        ("1e999", None),
    ],
)
def test_parse_number(text: str, value: float | None) -> None:
    assert units.parse_number(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90.0), ("5m", 300.0), ("1h30m", 5400.0), ("2d", 172800.0), ("soon", None), ("5mm", None)]
)
def test_parse_duration(text: str, value: float | None) -> None:
    assert units.parse_duration(text) == value


@given(st.floats(min_value=0, max_value=1e18))
def test_every_size_is_short_ascii_and_within_a_twentieth(value: float) -> None:
    for show in (units.show_bytes, units.show_watts):
        text = show(value)
        assert text.isascii()
        assert len(text) <= 9 or value > 1e12
    shown = units.parse_number(units.show_bytes(value))
    assert shown is not None or value > 1e18
    if shown is not None:
        assert abs(shown - value) <= 0.05 * value + 0.5


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_reads_back_to_its_two_leading_units(seconds: int) -> None:
    back = units.parse_duration(units.show_duration(seconds))
    assert back is not None
    assert 0 <= seconds - back < (3600 if seconds >= 86400 else 60)


@given(st.one_of(st.floats(), st.integers()))
def test_no_moment_of_a_hostile_clock_raises(at: float) -> None:
    assert isinstance(units.show_moment(at), str)
    assert units.iso_moment(at) is None or units.iso_moment(at).endswith("Z")  # type: ignore[union-attr]
