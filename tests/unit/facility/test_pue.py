"""PUE arithmetic against the cases that were agreed on, and the traps around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.facility import pue
from fleetctl.facility.quantity import canonical

HALL_A = 812.5
T0 = 1760000000


def r4(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def test_power_now_at_two_metering_points() -> None:
    assert r4(pue.ratio([HALL_A], [325.0, 325.0]).value) == 1.25
    assert r4(pue.ratio([HALL_A], [672.0]).value) == 1.2091


def test_energy_of_a_day_from_counters() -> None:
    facility = pue.counter_delta([(T0, 5210480.25), (T0 + 86400, 5229960.25)])
    it = [
        pue.counter_delta([(T0, 2084190.12), (T0 + 86400, 2091980.12)]),
        pue.counter_delta([(T0, 2084201.48), (T0 + 86400, 2092003.48)]),
    ]
    assert facility.delta == 19480.0
    assert round(sum(d.delta for d in it), 6) == 15592.0
    assert r4(pue.ratio([facility.delta], [d.delta for d in it]).value) == 1.2494


def test_a_32_bit_counter_passes_zero() -> None:
    found = pue.counter_delta([(T0, 4294960000), (T0 + 3600, 12704)], bits=32)
    assert (found.delta, found.flag) == (20000, None)


def test_a_fall_that_is_no_rollover_is_a_reset() -> None:
    found = pue.counter_delta([(T0, 811244.31), (T0 + 3600, 3.2), (T0 + 7200, 44.9)], bits=64)
    assert (round(found.delta, 6), found.unknown_s, found.flag) == (41.7, 3600, "reset")


def test_a_32_bit_counter_far_from_its_end_is_reset_too() -> None:
    assert pue.counter_delta([(T0, 5000), (T0 + 60, 10)], bits=32).flag == "reset"


def test_hours_and_halls_are_added_before_dividing() -> None:
    assert r4(pue.ratio([30, 30, 600], [20, 20, 500]).value) == 1.2222
    assert r4(pue.ratio([812.5, 90.0], [650.0, 50.0]).value) == 1.2893


def test_a_counter_bridges_a_gap_and_power_does_not() -> None:
    counter = pue.counter_delta([(T0, 1000.0), (T0 + 1200, 1020.0), (T0 + 1800, 1030.0), (T0 + 3600, 1060.0)])
    assert (counter.delta, counter.flag) == (60.0, None)
    samples = [(T0, 60.0), (T0 + 600, 60.0), (T0 + 1800, 60.0), (T0 + 2400, 60.0), (T0 + 3000, 60.0)]
    power = pue.integrate(samples, T0, T0 + 3600, 600)
    assert (r4(power.coverage), power.flag) == (0.8333, "partial")


def test_units_are_mixed() -> None:
    facility = [canonical(812500.0, "W")[0], canonical(12.5, "kW")[0]]
    it = [canonical(325000.0, "W")[0], canonical(3250.0, "0.1 kW")[0]]
    assert r4(pue.ratio(facility, it).value) == 1.2692


def test_the_same_load_is_taken_at_one_level() -> None:
    levels = {"bmc": 611.0, "pdu": 643.0, "busway": 650.0}
    level = pue.it_level(levels)
    assert level == "busway"
    assert r4(pue.ratio([HALL_A], [levels[level]]).value) == 1.25


def test_an_office_is_taken_off() -> None:
    assert r4(pue.ratio([HALL_A], [325.0, 325.0], [40.12]).value) == 1.1883


def test_nothing_to_divide_by() -> None:
    assert pue.ratio([22.0], [0.0]).value is None


def test_below_one_is_implausible() -> None:
    found = pue.ratio([600.0], [325.0, 325.0])
    assert (r4(found.value), found.flag) == (0.9231, "implausible")


def test_a_silent_meter_makes_no_better_ratio() -> None:
    found = pue.ratio([HALL_A], [325.0, None])
    assert (found.value, found.flag) == (None, "incomplete")


@pytest.mark.parametrize(("seconds", "word"), [(86400.0, "partial"), (365 * 86400.0, "annual")])
def test_a_claim_needs_twelve_months(seconds: float, word: str) -> None:
    assert pue.window_label(seconds, 1.0).startswith(word)


def test_the_family() -> None:
    assert pue.wue(100.0, 50.0) == 2.0
    assert pue.wue(None, 50.0) is None
    assert pue.cue(1.25, 0.55) == pytest.approx(0.6875)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_a_counter_that_only_rises_counts_its_rise(steps: list[float]) -> None:
    samples, value = [(0.0, 0.0)], 0.0
    for i, step in enumerate(steps, 1):
        value += step
        samples.append((float(i), value))
    assert pue.counter_delta(samples).delta == pytest.approx(value)


@given(st.lists(st.tuples(st.floats(0, 3599), st.floats(0, 1e5)), max_size=30), st.floats(1, 600))
def test_coverage_is_a_share(samples: list[tuple[float, float]], period: float) -> None:
    found = pue.integrate(samples, 0.0, 3600.0, period)
    assert 0.0 <= found.coverage <= 1.0 + 1e-9
    assert found.energy >= 0
