"""Between rounds: whatever is due, for a short while at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from fleetctl.config.schema import Store as Policy
from fleetctl.store.database import Database
from fleetctl.store.upkeep import upkeep_step

BUDGET_S = 0.25  # a round that is ready waits no longer than this (and the step that is under way)


class Housekeeper:
    """Seals, forgets and gives space back. `elapsed` is a monotonic clock."""

    def __init__(self, db: Database, policy: Policy, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._policy = policy
        self._elapsed = elapsed

    def step(self, now: float) -> bool:
        """Work for BUDGET_S at most; True when there is more to do. now: epoch seconds, console clock."""
        end = self._elapsed() + BUDGET_S
        while upkeep_step(self._db, self._policy, now):
            if self._elapsed() >= end:
                return True
        return False
