"""Free cards that no waiting request can use. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetctl.model.lease import WHOLE, Request
from fleetctl.scheduler.placement import Snapshot
from fleetctl.scheduler.placement.feasible import why_not


@dataclass(frozen=True, slots=True)
class Fragment:
    """One chip. free: cards nobody holds on nodes that take work, parts included; whole: of these, cards free in full;
    empty_nodes: nodes on which nothing runs; stranded: free cards on nodes where no waiting request has a member to
    place, None when nothing waits; why: the commonest reason of the first in line on such nodes."""

    chip: str
    nodes: int
    free: float
    whole: int
    empty_nodes: int
    stranded: float | None
    why: str = ""


def fragments(snapshot: Snapshot, waiting: Sequence[Request]) -> list[Fragment]:
    """By chip, most stranded first. Requests of the same shape and length are looked at once."""
    shapes = {(r.shape, r.duration_s, r.tenant, r.reservation): r for r in waiting}
    usable: set[str] = set()
    reasons: dict[str, str] = {}
    for request in shapes.values():
        for host, node in snapshot.nodes.items():
            why = why_not(request, node, snapshot)
            if why:
                reasons.setdefault(host, why)
            else:
                usable.add(host)
    groups: dict[str, list[str]] = {}
    for node in snapshot.nodes.values():
        if not node.why_not and node.cards:
            groups.setdefault(node.chip or "-", []).append(node.host)
    found = []
    for chip, hosts in groups.items():
        nodes = [snapshot.nodes[h] for h in hosts]
        free = {n.host: sum(c.open_milli for c in n.cards) / WHOLE for n in nodes}
        left = [h for h in hosts if h not in usable and free[h] > 0]
        words = [reasons[h] for h in left if h in reasons]
        found.append(
            Fragment(
                chip,
                len(nodes),
                sum(free.values()),
                sum(1 for n in nodes for c in n.cards if c.open_milli >= WHOLE),
                sum(1 for n in nodes if not n.held_by),
                sum(free[h] for h in left) if waiting else None,
                max(set(words), key=lambda w: (words.count(w), w)) if words else "",
            )
        )
    return sorted(found, key=lambda f: (-(f.stranded or 0.0), f.chip))
