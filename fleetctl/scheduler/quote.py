"""The answer to "where, when, at what price, and why not elsewhere"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetctl.model.lease import Request
from fleetctl.scheduler.placement import Placement


@dataclass(frozen=True, slots=True)
class Quote:
    """Where a request would run and when, or why not. at: epoch seconds, None when nobody can say.

    cost: yuan for its whole duration, None without a price or an end. refusals: every other node and why not. via: the
    scheduler beside ours that would be asked, "" for our own queue.
    """

    request: Request
    at: int | None
    placement: Placement | None
    why: str
    refusals: Mapping[str, str]
    nearest: str = ""
    ahead: int = 0
    via: str = ""

    @property
    def cost(self) -> float | None:
        if self.placement is None or self.placement.price_per_hour is None or self.request.duration_s is None:
            return None
        return self.placement.price_per_hour * self.request.duration_s / 3600.0
