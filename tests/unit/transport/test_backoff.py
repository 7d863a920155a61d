import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.report import ErrorKind
from fleetctl.transport.backoff import Backoff, wait_s


@given(st.sampled_from(ErrorKind), st.integers(1, 10_000), st.integers())
def test_waits_are_bounded(kind: ErrorKind, failures: int, seed: int) -> None:
    wait = wait_s(kind, failures, random.Random(seed))
    assert 0.5 < wait <= 3600 * 1.25


@given(st.integers())
def test_a_refusal_is_not_repeated_into_a_ban(seed: int) -> None:
    """Fewer than five tries in any ten minutes, whatever the jitter."""
    rng, backoff, now, tries = random.Random(seed), Backoff(), 0.0, [0.0]
    for _ in range(8):
        backoff.failed(ErrorKind.AUTH, now, rng)
        now = backoff.next_at
        tries.append(now)
    assert all(tries[i + 4] - tries[i] > 600 for i in range(len(tries) - 4))


def test_a_lost_connection_comes_back_soon() -> None:
    assert wait_s(ErrorKind.CLOSED, 1, random.Random(1)) < 1.3
    assert wait_s(ErrorKind.UNREACHABLE, 12, random.Random(1)) > 200


def test_success_forgets() -> None:
    backoff = Backoff()
    backoff.failed(ErrorKind.UNREACHABLE, 100.0, random.Random(1))
    assert backoff.left_s(100.0) == pytest.approx(2.0, rel=0.26)
    assert backoff.left_s(103.0) == 0
    backoff.succeeded()
    assert (backoff.failures, backoff.left_s(0.0)) == (0, 0)
