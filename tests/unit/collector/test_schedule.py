from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.collector.schedule import Wheel, phase_s, slot_of


def test_hosts_are_spread_evenly_and_alike_after_a_restart():
    tenths = Counter(int(phase_s(f"gpu{n:05}", 60.0) // 6) for n in range(10_000))
    assert tenths[9] == 0  # left for answers
    assert max(tenths.values()) < 1.2 * min(tenths[n] for n in range(9))
    assert phase_s("gpu001", 60.0) == phase_s("gpu001", 60.0)


@given(st.lists(st.floats(0.01, 45.0), min_size=1, max_size=60))
def test_nobody_is_forgotten_and_nobody_is_asked_twice(steps):
    names = [f"n{n}" for n in range(40)]
    wheel = Wheel.of(((name, name) for name in names), 30.0)
    now, asked = 1_000_000.0, Counter()
    wheel.turn(now)
    start = now
    for step in steps:
        now += step
        due = wheel.turn(now)
        assert len(due) == len(set(due))
        asked.update(due)
    whole = (now - start) / 30.0
    assert max(asked.values(), default=0) <= whole + 2


def test_after_a_long_sleep_everyone_has_at_most_one_turn():
    wheel = Wheel.of(((f"n{n}", n) for n in range(100)), 60.0)
    wheel.turn(1000.0)
    assert len(wheel.turn(1000.0 + 86_400)) <= 100


def test_a_slot_is_whole_seconds():
    assert slot_of(1_700_000_123.9, 60.0) == 1_700_000_100
