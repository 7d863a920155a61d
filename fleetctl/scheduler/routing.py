"""Which scheduler a request belongs to: ours, or the one that owns the nodes it could run on. Pure.

Ours goes first where a request would fit on nodes of both kinds: it knows cards, racks, power and heat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from fleetctl.model.admin import OutsideState
from fleetctl.model.lease import WHOLE, Request
from fleetctl.scheduler.placement import CardView, NodeView, Snapshot
from fleetctl.scheduler.placement.feasible import why_never
from fleetctl.scheduler.terms import Terms


@dataclass(frozen=True, slots=True)
class Route:
    """A request of another scheduler. hosts: nodes of the partition it may use; why: why it cannot go there, "" when it
    can, and hint: what would help; terms: what its class is there; parts: how their cards are shared, for a part of one."""

    backend: str
    partition: str = ""
    hosts: tuple[str, ...] = ()
    why: str = ""
    hint: str = ""
    terms: Terms = field(default_factory=Terms)
    parts: str = ""


def find_route(
    request: Request,
    snapshot: Snapshot,
    outside: Mapping[str, OutsideState],
    *,
    via: str = "",
    closed: Collection[str] = (),
    terms: Mapping[str, Terms] = MappingProxyType({}),
) -> Route | None:
    """Where it goes, None for our own queue. via: `slurm@site` or `slurm@site/partition` when somebody says so; closed:
    schedulers that may not be told anything; terms: what the request's class is at each."""
    shape = request.shape
    asked, _, partition = via.partition("/")
    fits = {
        host: node
        for host, node in snapshot.nodes.items()
        if (not asked or (host in outside and outside[host].backend == asked))
        and not why_never(shape, _as_counted(node, outside.get(host)), snapshot)
    }
    # A node that was never heard may have anything: no reason to keep away from one that is known to fit.
    ours = sum(host not in outside and node.most_cards is not None for host, node in fits.items())
    if not asked and ours >= shape.nodes:
        return None
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for host in fits:
        if host in outside:
            parts = outside[host].parts if shape.milli < WHOLE else ""
            groups[outside[host].backend, parts].append(host)
    found = []
    for (backend, parts), hosts in groups.items():
        own = terms.get(backend, Terms())
        gang = _gang(shape.same, shape.nodes, hosts, fits, outside)
        route = _in_partition(request, backend, gang, outside, partition or own.partition)
        if route is not None:
            found.append(_checked(replace(route, terms=own, parts=parts), shape.milli, closed))
    if not found:
        only = partition or terms.get(asked, Terms()).partition
        there = f"partition {only} of {asked}" if only else f"one partition of {asked}"
        hint = "`fleetctl place` with the same words says why, node by node"
        return (
            Route(asked, only, why=f"{shape.nodes} nodes of that kind are not in {there}", hint=hint) if asked else None
        )
    return max(found, key=lambda r: (not r.why, _free(r.hosts, outside), r.backend, r.parts))


def _checked(route: Route, milli: int, closed: Collection[str]) -> Route:
    """With what stands in its way."""
    if route.backend in closed:
        return replace(route, why=f"{route.backend} is read only", hint="fleet.toml says so: read_only")
    if route.terms.why:
        return replace(route, why=route.terms.why, hint=route.terms.hint)
    if milli < WHOLE and not route.parts:
        why = f"{route.backend} gives whole cards only: its nodes there have no gres/shard and no gres/mps"
        return replace(route, why=why, hint="ask for --cards 1, or let gres.conf there share cards")
    return route


def _as_counted(node: NodeView, state: OutsideState | None) -> NodeView:
    """A node of another scheduler has the cards that one counts, whether or not we ever polled it."""
    if state is None or not state.cards or len(node.cards) >= state.cards:
        return node
    return replace(node, cards=tuple(CardView(str(n), str(n)) for n in range(state.cards)))


def _gang(
    same: str, nodes: int, hosts: Sequence[str], known: Mapping[str, NodeView], outside: Mapping[str, OutsideState]
) -> list[str]:
    """Hosts of one rack, leaf or site, where the gang must share one: the group with most cards free."""
    if not same:
        return list(hosts)
    groups: dict[object, list[str]] = defaultdict(list)
    for host in hosts:
        groups[getattr(known[host], same)].append(host)
    big = [group for group in groups.values() if len(group) >= nodes]
    return max(big, key=lambda group: _free(group, outside), default=[])


def _in_partition(
    request: Request, backend: str, hosts: Sequence[str], outside: Mapping[str, OutsideState], only: str
) -> Route | None:
    """The partition with the fewest nodes that must be kept out of it."""
    members: dict[str, list[str]] = defaultdict(list)
    for host, state in outside.items():
        if state.backend == backend:
            for name in state.partitions:
                members[name].append(host)
    mine = set(hosts)
    fits = [
        (sum(h not in mine for h in there), name, tuple(h for h in there if h in mine))
        for name, there in members.items()
        if only in ("", name)
    ]
    enough = [fit for fit in fits if len(fit[2]) >= request.shape.nodes]
    if not enough:
        return None
    _over, name, inside = min(enough, key=lambda fit: (fit[0], -len(fit[2]), fit[1]))
    return Route(backend, name, inside)


def _free(hosts: Sequence[str], outside: Mapping[str, OutsideState]) -> int:
    return sum((outside[h].cards or 0) - (outside[h].cards_used or 0) for h in hosts)
