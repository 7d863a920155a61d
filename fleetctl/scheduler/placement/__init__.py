"""What a place for a request is: the snapshot it is chosen in, the answer, and for every node the reason why not."""

from __future__ import annotations

from fleetctl.scheduler.placement.snapshot import (
    CardView,
    ChipFacts,
    NodeView,
    Placement,
    Refusals,
    Snapshot,
    Window,
)

__all__ = ["CardView", "ChipFacts", "NodeView", "Placement", "Refusals", "Snapshot", "Window"]
