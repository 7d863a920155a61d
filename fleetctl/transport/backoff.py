"""When a host that failed is tried again: soon, then rarer, never in step with others, and slowly where it could ban us."""

from __future__ import annotations

import random
from dataclasses import dataclass

from fleetctl.model.report import ErrorKind

# (first wait, longest wait) in seconds. Refusals wait two minutes at least: fail2ban's stock jail bans an address after
# five failures in ten minutes, and 0, 2, 6 and 14 minutes stay below that with any jitter.
_WAITS: dict[ErrorKind, tuple[float, float]] = {
    ErrorKind.AUTH: (120.0, 3600.0),
    ErrorKind.HOST_KEY: (120.0, 3600.0),
    ErrorKind.CLOSED: (1.0, 300.0),
}
_OTHER_WAITS = (2.0, 300.0)
_JITTER = 0.25


def wait_s(kind: ErrorKind, failures: int, rng: random.Random) -> float:
    """Seconds until the next try after `failures` (1, 2, ...) in a row of this kind."""
    first, longest = _WAITS.get(kind, _OTHER_WAITS)
    return min(longest, first * 2.0 ** min(failures - 1, 30)) * rng.uniform(1 - _JITTER, 1 + _JITTER)


@dataclass(slots=True)
class Backoff:
    """The failures in a row of one host or jump host. Times are of the monotonic clock."""

    failures: int = 0
    next_at: float = float("-inf")

    def failed(self, kind: ErrorKind, now: float, rng: random.Random) -> None:
        self.failures += 1
        self.next_at = now + wait_s(kind, self.failures, rng)

    def succeeded(self) -> None:
        self.failures = 0
        self.next_at = float("-inf")

    def left_s(self, now: float) -> float:
        """Seconds still to wait, 0 when it may be tried."""
        return max(0.0, self.next_at - now)
