"""Tenants of a replay: what they may hold, and what they used against their share, counted as the live queue counts it."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetctl.scheduler.packing.task import WHOLE, Task

HALF_LIVES = 8  # looked back; what lies before counts less than 0.4 %
NEAR = 1e-9  # cards; sums of parts are not exact


@dataclass(frozen=True, slots=True)
class Quota:
    """max_cards and max_leases at the same time, None without a limit; share: weight in fair share."""

    max_cards: float | None = None
    max_leases: int | None = None
    share: float = 1.0


@dataclass(slots=True)
class _Used:
    """Card-seconds of one tenant until every moment at which what it holds changed."""

    cards: float = 0.0
    leases: int = 0
    moments: list[float] = field(default_factory=lambda: [float("-inf")])
    totals: list[float] = field(default_factory=lambda: [0.0])
    rates: list[float] = field(default_factory=lambda: [0.0])

    def change(self, now: float, cards: float, leases: int) -> None:
        total = self.until(now)
        self.cards += cards
        self.leases += leases
        self.moments.append(now)
        self.totals.append(total)
        self.rates.append(self.cards)

    def until(self, moment: float) -> float:
        at = bisect.bisect_right(self.moments, moment) - 1
        rate = self.rates[at]
        return self.totals[at] + (rate * (moment - self.moments[at]) if rate else 0.0)


class Tenancy:
    """Who holds and used what, as time runs. half_life_s: after so long use counts half."""

    def __init__(self, quotas: Mapping[str, Quota], half_life_s: float, *, known_only: bool = False) -> None:
        self._quotas, self._step, self._known_only = quotas, max(1.0, half_life_s), known_only
        self._used: dict[str, _Used] = {}

    def begin(self, task: Task, now: float) -> None:
        self._used.setdefault(task.tenant, _Used()).change(now, asked(task), 1)

    def end(self, task: Task, now: float) -> None:
        self._used[task.tenant].change(now, -asked(task), -1)

    def is_never(self, task: Task) -> bool:
        """Does its quota forbid it for good?"""
        quota = self._quotas.get(task.tenant)
        if quota is None:
            return self._known_only
        return (quota.max_cards is not None and asked(task) > quota.max_cards + NEAR) or quota.max_leases == 0

    def is_over(self, task: Task) -> bool:
        """Would it pass what its tenant may hold now?"""
        quota, used = self._quotas.get(task.tenant), self._used.get(task.tenant)
        if quota is None or used is None:
            return False
        if quota.max_cards is not None and used.cards + asked(task) > quota.max_cards + NEAR:
            return True
        return quota.max_leases is not None and used.leases + 1 > quota.max_leases

    def owed(self, now: float) -> dict[str, float]:
        """Tenant -> card-seconds used for each unit of its share, past use counting less and less."""
        found = {}
        for tenant, used in self._used.items():
            until = [used.until(now - back * self._step) for back in range(HALF_LIVES + 1)]
            seconds = sum((until[back] - until[back + 1]) * 0.5**back for back in range(HALF_LIVES))
            found[tenant] = seconds / (self._quotas[tenant].share if tenant in self._quotas else 1.0)
        return found


def asked(task: Task) -> float:
    """Cards of a task."""
    return task.kind.demand_milli / WHOLE
