from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.collector.reach import ReachState, answered, is_due, missed
from fleetctl.model.report import ErrorKind
from fleetctl.model.states import Reach


@given(st.lists(st.sampled_from(["fresh", "hung", "miss"]), max_size=20), st.integers(1, 4))
def test_reach_follows_from_the_last_answer_and_the_misses_since(events, after):
    state, now, last, misses = ReachState(), 0.0, None, 0
    for event in events:
        now += 60.0
        if event == "miss":
            misses += 1
            state = missed(state, ErrorKind.TIMED_OUT, now, 150.0, after)
        else:
            last, misses = (now, event), 0
            state = answered(state, Reach(event), now)
    if misses >= after:
        assert state.reach is Reach.UNREACHABLE
    elif last is None:
        assert state.reach is Reach.UNKNOWN
    elif now - last[0] > 150.0:
        assert state.reach is Reach.STALE
    else:
        assert state.reach is Reach(last[1])
    assert state.failing == (misses > 0)


def test_the_quiet_cadence_begins_when_a_host_counts_as_unreachable():
    state = ReachState(failures=1)
    assert is_due(state, 100.0, 99.0, 300.0, 2)
    state = ReachState(failures=2)
    assert not is_due(state, 100.0, 99.0, 300.0, 2)
    assert is_due(state, 400.0, 99.0, 300.0, 2)
