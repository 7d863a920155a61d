"""Where one request would go in a snapshot, or for every node why not, asked of the core that runs the fleet."""

from __future__ import annotations

from fleetctl.model.lease import Request
from fleetctl.scheduler.fleet_core import FleetCore
from fleetctl.scheduler.placement import Placement, Refusals, Snapshot


def choose(request: Request, snapshot: Snapshot) -> Placement | Refusals:
    core = FleetCore(snapshot, ())
    shares, reasons = core.choose(request), core.reasons(request)
    if shares:
        return core.placement(shares, reasons)
    never = core.never(request)
    fit = tuple(host for host in snapshot.nodes if host not in reasons)
    why = never.why if never else core.why_waits(request)
    return Refusals(why, reasons, fit, for_ever=never is not None, nearest=never.nearest if never else "")
