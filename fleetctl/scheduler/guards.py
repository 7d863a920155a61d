"""How much may leave service at once: per plan, pool, site, rack and power domain. Asked when a plan is made and again
just before it is carried out.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.host import Host
from fleetctl.model.plan import GuardTouch


def check_guards(
    inventory: Inventory, config: Config, out_now: Collection[str], leaving: Collection[str]
) -> tuple[GuardTouch, ...]:
    """Every limit that `leaving` comes under; refusals first. out_now: hosts out of service for any reason.

    A limit in percent is rounded down, but a group that allows anything at all allows one node.
    """
    fresh = [h for h in leaving if h not in out_now]
    touches = [GuardTouch("plan", "nodes", 0, len(leaving), len(inventory.hosts), config.guards.max_nodes, True)]
    total: Counter[tuple[str, str]] = Counter()
    out: Counter[tuple[str, str]] = Counter()
    after: Counter[tuple[str, str]] = Counter()
    out_set, fresh_set = frozenset(out_now), frozenset(fresh)
    touched: dict[tuple[str, str], None] = {}
    for host in inventory.hosts.values():
        for group in groups_of(host, inventory):
            total[group] += 1
            if host.name in out_set:
                out[group] += 1
            elif host.name in fresh_set:
                after[group] += 1
                touched[group] = None
    for group in touched:
        limit = _limit(group, total[group], inventory, config)
        if limit is not None:
            now = out[group]
            touches.append(GuardTouch(*group, now, now + after[group], total[group], limit, True))
    judged = [
        GuardTouch(t.scope, t.name, t.out_now, t.out_after, t.total, t.limit, t.out_after <= t.limit) for t in touches
    ]
    return tuple(sorted(judged, key=lambda t: (t.ok, t.limit - t.out_after)))


def groups_of(host: Host, inventory: Inventory) -> Iterator[tuple[str, str]]:
    """(scope, name) of everything a host counts in."""
    yield "site", host.site
    for pool in host.pools:
        yield "pool", pool
    if host.rack is not None:
        yield "rack", host.rack
        rack = inventory.racks.get(host.rack)
        if rack is not None and rack.power_domain:
            yield "power", rack.power_domain


def _limit(group: tuple[str, str], total: int, inventory: Inventory, config: Config) -> int | None:
    """Nodes of a group that may be out at once; None when it has no limit."""
    scope, name = group
    pct: float | None = None
    most: int | None = None
    if scope == "site" and name in inventory.sites:
        pct = inventory.sites[name].max_drain_pct
        most = inventory.sites[name].max_drain_nodes
    elif scope == "pool" and name in inventory.pools:
        pct, most = inventory.pools[name].max_drain_pct, inventory.pools[name].max_drain_nodes
    elif scope == "rack":
        pct, most = config.guards.max_rack_pct, config.guards.max_rack_nodes
    elif scope == "power":
        pct, most = config.guards.max_power_pct, config.guards.max_power_nodes
    limits = []
    if pct is not None and pct < 100:
        share = math.floor(total * pct / 100 + 1e-9)
        limits.append(max(share, 1) if pct > 0 else 0)
    if most is not None:
        limits.append(most)
    return min(limits) if limits else None


def confirm_count(inventory: Inventory, config: Config, leaving: Collection[str]) -> int | None:
    """The number a person must type, when the plan takes more than the set share of any site; else None."""
    by_site: dict[str, int] = defaultdict(int)
    for name in leaving:
        if name in inventory.hosts:
            by_site[inventory.hosts[name].site] += 1
    sizes = Counter(h.site for h in inventory.hosts.values())
    # One node of a small site is no blast radius: a plain yes will do.
    over = any(n > 1 and 100.0 * n / sizes[site] > config.guards.confirm_above_pct for site, n in by_site.items())
    return len(leaving) if over else None
