"""In which order feasible nodes are tried: best first, ties broken by name so that the answer never wavers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fleetctl.model.lease import Request
from fleetctl.scheduler.placement.feasible import Fit
from fleetctl.scheduler.placement.snapshot import Snapshot


def rank(request: Request, snapshot: Snapshot, fits: Sequence[Fit]) -> list[Fit]:
    """Greenest first when that was asked for, then the tightest node, then the rack with the most power left."""

    def order(fit: Fit) -> tuple[float, int, float, str]:
        green = snapshot.green_pct.get(fit.node.site, 0.0) if request.shape.green else 0.0
        headroom = fit.node.rack_headroom_w
        return (-green, fit.left_milli, -headroom if headroom is not None else 0.0, fit.node.host)

    return sorted(fits, key=order)
