"""From ranked nodes to one placement of the whole gang, or to the reasons why there is none. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fleetctl.model.lease import Request, Shape
from fleetctl.scheduler.placement.feasible import Fit, why_never
from fleetctl.scheduler.placement.snapshot import NodeView, Placement, Refusals, Snapshot


def select(
    request: Request, snapshot: Snapshot, ranked: Sequence[Fit], refused: Mapping[str, str]
) -> Placement | Refusals:
    """All members at once or none. Members go to different nodes; `same` keeps them in one rack, leaf or site."""
    shape = request.shape
    for group in _groups(shape, ranked):
        chosen = _within_power(shape, snapshot, group)
        if len(chosen) == shape.nodes:
            holds = tuple(h for fit in chosen for h in fit.holds)
            prices = [fit.price_per_hour for fit in chosen]
            price = None if None in prices else sum(p for p in prices if p is not None)
            return Placement(holds, price, float(-sum(f.left_milli for f in chosen)), refused)
    return _refuse(request, snapshot, ranked, refused)


def shared(shape: Shape, node: NodeView) -> str:
    """The rack, leaf or site of a node, whichever the gang must share; "" where it has none."""
    return {"rack": node.rack or "", "leaf": node.leaf or ""}.get(shape.same, node.site)


def _groups(shape: Shape, ranked: Sequence[Fit]) -> list[list[Fit]]:
    """The sets of nodes a gang may be drawn from, best first: everything, or one per rack, leaf or site."""
    if not shape.same:
        return [list(ranked)]
    groups: dict[str, list[Fit]] = defaultdict(list)
    for fit in ranked:
        groups[shared(shape, fit.node)].append(fit)
    # The tightest group that holds the gang leaves the most room for the next.
    return sorted(groups.values(), key=lambda g: (len(g) < shape.nodes, len(g)))


def _within_power(shape: Shape, snapshot: Snapshot, fits: Sequence[Fit]) -> list[Fit]:
    """The first nodes whose added draw, at the chip's rated power, every rack can bear."""
    left: dict[str, float] = {}
    chosen: list[Fit] = []
    for fit in fits:
        if len(chosen) == shape.nodes:
            break
        node = fit.node
        facts = snapshot.chips.get(node.chip or "")
        if node.rack is not None and node.rack_headroom_w is not None and facts is not None and facts.tdp_w:
            room = left.setdefault(node.rack, node.rack_headroom_w)
            need = facts.tdp_w * sum(h.milli for h in fit.holds) / 1000.0
            if need > room:
                continue
            left[node.rack] = room - need
        chosen.append(fit)
    return chosen


def _refuse(request: Request, snapshot: Snapshot, ranked: Sequence[Fit], refused: Mapping[str, str]) -> Refusals:
    shape = request.shape
    fit_now = tuple(f.node.host for f in ranked)
    could = [n for n in snapshot.nodes.values() if not why_never(shape, n, snapshot)]
    room = _largest_group(shape, could)
    where = f" in one {shape.same}" if shape.same else ""
    if room < shape.nodes:
        why = f"{shape.nodes} nodes{where} are asked for, {room} could ever take it"
        return Refusals(why, refused, fit_now, for_ever=True, nearest=_nearest(shape, snapshot, room))
    if len(fit_now) >= shape.nodes and not shape.same:
        why = "nodes are free, but power budgets of their racks would be exceeded"
    else:
        why = f"{shape.nodes} nodes{where} are asked for, {len(fit_now)} fit now of {room} that could"
    return Refusals(why, refused, fit_now)


def _largest_group(shape: Shape, nodes: Sequence[NodeView]) -> int:
    if not shape.same:
        return len(nodes)
    sizes: dict[str, int] = defaultdict(int)
    for node in nodes:
        sizes[shared(shape, node)] += 1
    return max(sizes.values(), default=0)


def _nearest(shape: Shape, snapshot: Snapshot, room: int) -> str:
    """The nearest request that could ever be met, in words."""
    if room > 0:
        return f"{room} node{'s' if room > 1 else ''} of {shape.cards or 'all'} cards"
    smaller = max((len(n.cards) for n in snapshot.nodes.values()), default=0)
    if 0 < smaller < shape.cards:
        return f"{smaller} cards a node; use --nodes {-(-shape.cards * shape.nodes // smaller)} --cards {smaller}"
    chips = sorted({n.chip for n in snapshot.nodes.values() if n.chip})
    if shape.chip and chips:
        return f"one of the chips here: {', '.join(chips[:6])}"
    return ""
