from __future__ import annotations

import numpy as np
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
    cards = tuple(sorted(free, reverse=True))
    one, all_at_once = fragments(ClassMix(counts, max_cards=4), cpu, memory, cards)
    assert one == pytest.approx(by_definition(counts, cpu, memory, cards), abs=1e-6)
    assert all_at_once == pytest.approx([one, one])


def fragments(mix: ClassMix, cpu: int, memory: int, cards: tuple[int, ...]) -> tuple[float, list[float]]:
    """Of one node, and of two like it at once."""
    step, useful = mix.step(cpu, memory), mix.useful([cards])
    cpus, memories = mix.steps(np.array([cpu] * 2), np.array([memory] * 2))
    free = np.array([sum(cards)] * 2)
    one = mix.fragments_of(*step, sum(cards), useful[0])
    return one, mix.fragments(cpus, memories, free, useful[[0, 0]]).tolist()


def test_cpu_only_classes_do_not_count_and_gangs_count_as_whole_nodes() -> None:
    mix = ClassMix({TaskClass(1000): 5.0, TaskClass(cards=16): 1.0}, max_cards=8)
    whole, started = (1000,) * 8, (1000,) * 7 + (500,)
    assert fragments(mix, 0, 0, whole)[0] == 0.0
    assert fragments(mix, 0, 0, started)[0] == 7500.0


def test_without_any_class_nothing_is_a_fragment() -> None:
    mix = ClassMix({})
    assert not mix
    assert fragments(mix, 0, 0, (500,)) == (0.0, [0.0, 0.0])


def test_fewer_classes_are_weighed_where_the_table_of_shares_would_be_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = {TaskClass(1000 * n, 512 * n, 1, n): 1.0 + n for n in range(1, 40)}
    monkeypatch.setattr("fleetctl.scheduler.packing.fragments.MAX_ENTRIES", 1000)
    mix = ClassMix(kinds)
    assert 5 < mix.asks < 12
    assert mix.shares.sum() == pytest.approx(1.0)
    assert mix.step(39_000, 0)[0] == mix.asks  # the most frequent are those that stay
