"""Does a host answer? The pure state machine behind the reach of every host.

unknown --answer--> fresh <--> hung          hung: it answers, but a tool on it does not end
fresh, hung --silence--> stale --failures--> unreachable --answer--> fresh
unknown --failures--> unreachable
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleetctl.model.report import ErrorKind
from fleetctl.model.states import Reach


@dataclass(frozen=True, slots=True)
class ReachState:
    """failures: rounds without an answer in a row; answered_at: monotonic seconds, None: never; failing: a start of
    trouble was told and its end was not."""

    reach: Reach = Reach.UNKNOWN
    failures: int = 0
    answered_at: float | None = None
    error: ErrorKind | None = None
    failing: bool = False


def answered(state: ReachState, reach: Reach, now: float) -> ReachState:
    """A whole frame came. reach: FRESH, or HUNG when a tool on the host does not end."""
    return ReachState(reach=reach, answered_at=now)


def missed(state: ReachState, error: ErrorKind, now: float, stale_s: float, unreachable_after: int) -> ReachState:
    """A round went by without an answer. One lost frame says nothing yet: the value is just older."""
    failures = state.failures + 1
    if failures >= unreachable_after:
        reach = Reach.UNREACHABLE
    elif state.answered_at is None:
        reach = Reach.UNKNOWN
    elif now - state.answered_at > stale_s:
        reach = Reach.STALE
    else:
        reach = state.reach
    return replace(state, reach=reach, failures=failures, error=error, failing=True)


def is_due(state: ReachState, now: float, last_try_at: float, quiet_s: float, unreachable_after: int) -> bool:
    """May a host that does not answer be tried in this round? Those long gone are tried at the quiet cadence."""
    return state.failures < unreachable_after or now - last_try_at >= quiet_s
