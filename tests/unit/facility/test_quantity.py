"""What a device's own words mean: numbers with units, the many forms of nothing, and what cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.facility.quantity import canonical, number, plausible, rounded


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (0, 0.0),
        ("55.546875", 55.546875),
        (b"24.9 C", 24.9),
        ("30.3 %RH", 30.3),
        ("194 Watts", 194.0),
        ("-4.1", -4.1),
        ("21.4 °C", 21.4),
        ("\x0012\x00", 12.0),
    ],
)
def test_numbers(raw: object, value: float) -> None:
    assert number(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        None, True, "", "  ", "Unavailable", "N/A", "na", "NaN", "inf", float("nan"), float("inf"), 65535, -32768,
        4294967295, [], {}, "12 of 24", "1e999", "0x10", 10**400, b"\xff\xfe", "OK", "2026-11-21",
    ],
)  # fmt: skip
def test_nothing_is_never_a_zero(raw: object) -> None:
    assert number(raw) is None


def test_units_become_one() -> None:
    assert canonical(812.5, "kW") == (812500.0, "W")
    assert canonical(72.0, "degF")[0] == pytest.approx(22.222, abs=1e-3)
    assert canonical(3.0, "furlong") == (3.0, "furlong")


def test_what_cannot_be() -> None:
    assert not plausible("temperature", 3800.0, "C")
    assert plausible("temperature", 98.0, "F")
    assert not plausible("humidity", 101.0, "%")
    assert plausible("quantity of its own", 1e9, "x")
    assert not plausible("power", float("nan"), "W")


def test_scaling_leaves_no_noise() -> None:
    assert rounded(813 * 0.1) == 81.3


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200), st.integers(), st.floats(), st.none()))
def test_anything_is_a_number_or_nothing(raw: object) -> None:
    value = number(raw)
    assert value is None or value == value  # never NaN
