from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.scheduler.packing.trust import LEAST_BIAS, MOST_BIAS, Trust


def taught(said_for: object, seed: int = 1) -> Trust:
    rng, trust = random.Random(seed), Trust()
    for _ in range(400):
        ran = rng.lognormvariate(7, 1.5)
        said = ran * 3 if said_for == "right" else rng.lognormvariate(7, 1.5)
        trust.learn(said, ran, 1)
    return trust


def test_what_nobody_has_tried_is_believed() -> None:
    assert Trust().weigh(50.0) == 50.0
    assert Trust().bias == 1.0


def test_estimates_that_are_right_up_to_a_factor_are_believed_and_the_factor_is_known() -> None:
    trust = taught("right")
    assert trust.weigh(50.0) == pytest.approx(50.0)
    assert trust.weigh(90_000.0) == pytest.approx(90_000.0)
    assert trust.bias == pytest.approx(1 / 3)


def test_estimates_that_say_nothing_are_drawn_to_the_usual() -> None:
    trust = taught("noise")
    assert trust.weigh(90_000.0) / trust.weigh(50.0) < 3
    assert trust.weigh(50.0) < trust.weigh(90_000.0)


@given(
    st.lists(st.tuples(st.floats(0, 1e12), st.floats(0, 1e12), st.integers(0, 1000)), max_size=30), st.floats(0, 1e12)
)
def test_nothing_that_comes_upsets_it(runs: list[tuple[float, float, int]], said: float) -> None:
    trust = Trust()
    for expected, ran, cards in runs:
        trust.learn(expected, ran, cards)
    assert 0.0 <= trust.weigh(said) < 1e13
    assert LEAST_BIAS <= trust.bias <= MOST_BIAS
