"""Where a request goes: `choose(request, snapshot)`, feasible -> rank -> select, each a pure function.

The snapshot is all it sees; the answer is either where (`Placement`) or, for every node, why not (`Refusals`).
"""

from __future__ import annotations

from fleetctl.model.lease import Request
from fleetctl.scheduler.placement.feasible import feasible
from fleetctl.scheduler.placement.rank import rank
from fleetctl.scheduler.placement.select import select
from fleetctl.scheduler.placement.snapshot import (
    CardView,
    ChipFacts,
    NodeView,
    Placement,
    Refusals,
    Snapshot,
    Window,
)

__all__ = ["CardView", "ChipFacts", "NodeView", "Placement", "Refusals", "Snapshot", "Window", "choose"]


def choose(request: Request, snapshot: Snapshot) -> Placement | Refusals:
    """The best place for a request now, or why no node will do. Pure; the same input gives the same answer."""
    fit, refused = feasible(request, snapshot)
    return select(request, snapshot, rank(request, snapshot, fit), refused)
