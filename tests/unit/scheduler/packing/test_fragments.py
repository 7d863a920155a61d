from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.scheduler.packing.fragments import ClassMix
from fleetctl.scheduler.packing.task import TaskClass

shares = st.builds(
    TaskClass, st.sampled_from([0, 1000, 4000]), st.sampled_from([0, 512]), st.just(1), st.integers(1, 1000)
)
wholes = st.builds(TaskClass, st.sampled_from([0, 1000, 4000]), st.sampled_from([0, 512]), st.integers(1, 4))


def by_definition(counts: dict[TaskClass, float], cpu: int, memory: int, cards: tuple[int, ...]) -> float:
    """Weng et al.: all of what is free where the task does not fit, else what is free on cards too full for it."""
    total = 0.0
    for kind, count in counts.items():
        fits = kind.cpu_milli <= cpu and kind.memory_mib <= memory
        fits = fits and sum(1 for free in cards if free >= kind.milli) >= kind.cards
        total += count * (sum(f for f in cards if f < kind.milli) if fits else sum(cards))
    return total / sum(counts.values())


@given(
    st.dictionaries(shares | wholes, st.integers(1, 9).map(float), min_size=1, max_size=6),
    st.integers(0, 5000),
    st.integers(0, 600),
    st.lists(st.integers(0, 1000), max_size=4),
)
def test_as_the_paper_defines_them(counts: dict[TaskClass, float], cpu: int, memory: int, free: list[int]) -> None:
    mix = ClassMix(counts, max_cards=4)
    cards = tuple(sorted(free, reverse=True))
    parts = (*mix.step(cpu, memory), cards)
    assert mix.fragments(parts) == pytest.approx(by_definition(counts, cpu, memory, cards))


def test_cpu_only_classes_do_not_count_and_gangs_count_as_whole_nodes() -> None:
    mix = ClassMix({TaskClass(1000): 5.0, TaskClass(cards=16): 1.0}, max_cards=8)
    whole, started = (1000,) * 8, (1000,) * 7 + (500,)
    step = mix.step(0, 0)
    known = {parts: mix.fragments(parts) for parts in ((*step, whole), (*step, started))}
    assert (known[*step, whole], known[*step, started]) == (0.0, 7500.0)


def test_without_any_class_nothing_is_a_fragment() -> None:
    mix = ClassMix({})
    parts = (*mix.step(0, 0), (500,))
    assert not mix
    assert mix.fragments(parts) == 0.0
