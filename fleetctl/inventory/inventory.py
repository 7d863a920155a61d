"""Which hosts exist, where each stands, and which of them a node set names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeVar

from fleetctl.config.schema import Config, Group, Hall, HostGroup, Pool, Rack, Site
from fleetctl.errors import ConfigError, NotFoundError, nearest
from fleetctl.inventory.nodesets import expand, fold
from fleetctl.model.host import Host


@dataclass(frozen=True)
class Inventory:
    """The fleet as declared. `hosts` keeps the order of the file; `groups` maps @name to a node set."""

    hosts: Mapping[str, Host]
    sites: Mapping[str, Site]
    halls: Mapping[str, Hall]
    racks: Mapping[str, Rack]
    pools: Mapping[str, Pool]
    groups: Mapping[str, str]
    _by_rack: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def select(self, nodeset: str) -> list[Host]:
        """The hosts a node set names, in the set's order.

        Raises UsageError (no node set), NotFoundError (a name or group this fleet does not have).
        """
        if nodeset in self.hosts:
            return [self.hosts[nodeset]]
        names = expand(nodeset, self.groups)
        unknown = [name for name in names if name not in self.hosts]
        if unknown:
            near = nearest(unknown[0], list(self.hosts)[:20_000], cutoff=0.6)
            hint = f"did you mean {near}? " if near else ""
            raise NotFoundError(f"not in this fleet: {fold(unknown)}", hint=f"{hint}`fleetctl nodes -o name` lists all")
        return [self.hosts[name] for name in names]

    def fold(self, names: Iterable[str]) -> str:
        """Names -> folded node set."""
        return fold(names)

    def rack_hosts(self, rack: str) -> tuple[str, ...]:
        """Names of the hosts in a rack, () when it has none or does not exist."""
        return self._by_rack.get(rack, ())


Partitions = Mapping[str, Mapping[str, tuple[str, ...]]]  # scheduler -> partition -> hosts


def build_inventory(config: Config, partitions: Partitions = MappingProxyType({})) -> Inventory:
    """The inventory a config declares. Raises ConfigError naming duplicates, unknown sites, racks and hosts.

    partitions: what schedulers beside ours said last; each is a group @name, unless fleet.toml has one of that name, and
    fills the pools that are made of it.
    """
    problems: list[str] = []
    sites = _unique("site", config.sites, problems)
    halls = _unique("hall", config.halls, problems)
    racks = _unique("rack", config.racks, problems)
    pools = _unique("pool", config.pools, problems)
    hosts = _hosts(config, sites, problems)
    groups = {"*": ",".join(g.nodes for g in config.hosts if g.nodes)}
    node_groups: list[Group | Pool | Rack] = [*config.groups, *config.pools, *config.racks]
    for named in node_groups:
        if named.nodes and groups.setdefault(named.name, named.nodes) != named.nodes:
            what = f"{type(named).__name__.lower()} {named.name!r}"
            problems.append(f"{what}: another group has this name; names after @ are shared")
    for site in config.sites:
        groups.setdefault(site.name, ",".join(g.nodes for g in config.hosts if g.site == site.name))
    for hall in config.halls:
        if members := ",".join(r.nodes for r in config.racks if r.hall == hall.name and r.nodes):
            groups.setdefault(hall.name, members)

    by_rack = _members("rack", racks.values(), groups, hosts, problems)
    by_pool = _members("pool", pools.values(), groups, hosts, problems)
    by_pool |= _pools_of_partitions(config, partitions, hosts, problems)
    declared = set(groups)
    for of in partitions.values():
        for name, names in of.items():
            known = fold(n for n in names if n in hosts)
            if known and name not in declared:  # two clusters may have one of the same name: then it is both
                groups[name] = f"{groups[name]},{known}" if name in groups else known
    for pool in config.pools:
        if pool.partition and by_pool[pool.name]:
            groups.setdefault(pool.name, fold(by_pool[pool.name]))
    places: list[Hall | Rack] = [*config.halls, *config.racks]
    for place in places:
        if place.site not in sites:
            what = f"{type(place).__name__.lower()} {place.name!r}"
            problems.append(f"{what}: no site named {place.site!r}{_near(place.site, sites)}")
    for rack in config.racks:
        if rack.hall and rack.hall not in halls:
            problems.append(f"rack {rack.name!r}: no hall named {rack.hall!r}{_near(rack.hall, halls)}")
    if problems:
        shown = "\n".join(problems[:20]) + (f"\n... and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise ConfigError(shown, hint="`fleetctl config check` reads fleet.toml again")
    placed = _placed(hosts, racks, by_rack, by_pool)
    return Inventory(placed, sites, halls, racks, pools, groups, by_rack)


def _pools_of_partitions(
    config: Config, partitions: Partitions, hosts: Mapping[str, _Draft], problems: list[str]
) -> dict[str, tuple[str, ...]]:
    """Empty until the scheduler answered for the first time."""
    known = {scheduler.endpoint for scheduler in config.schedulers}
    found = {}
    for pool in config.pools:
        if bool(pool.nodes) == bool(pool.partition):
            problems.append(f"pool {pool.name!r}: say nodes or partition, one of them")
        if pool.partition:
            endpoint, _, name = pool.partition.rpartition("/")
            if endpoint not in known:
                text = f"pool {pool.name!r}: no scheduler {endpoint!r} in {pool.partition!r}, write SCHEDULER/NAME"
                problems.append(text + _near(endpoint, known))
            members = partitions.get(endpoint, {}).get(name, ())
            found[pool.name] = tuple(host for host in members if host in hosts)
    return found


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Placed(_Named, Protocol):
    @property
    def nodes(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


def _unique(kind: str, things: Iterable[_T], problems: list[str]) -> dict[str, _T]:
    found: dict[str, _T] = {}
    for thing in things:
        if thing.name in found:
            problems.append(f"{kind} {thing.name!r} is declared twice")
        found[thing.name] = thing
    return found


_Draft = tuple[HostGroup, str | None, str]  # its [[hosts]], its address, its jump host


def _hosts(config: Config, sites: Mapping[str, Site], problems: list[str]) -> dict[str, _Draft]:
    """What each [[hosts]] says of its hosts, by name. A Host is made once its place is known: 12,500 cost time."""
    hosts: dict[str, _Draft] = {}
    for index, group in enumerate(config.hosts):
        if group.site not in sites:
            problems.append(f"hosts[{index}] {group.nodes!r}: no site named {group.site!r}{_near(group.site, sites)}")
        jump = group.jump or (sites[group.site].jump if group.site in sites else "")
        names = expand(group.nodes, limit=config.poll.expected_hosts)
        doubles = [name for name in names if name in hosts]
        if doubles:
            problems.append(f"hosts[{index}]: {fold(doubles)} named in another [[hosts]] already")
        for name in names:
            hosts[name] = (group, _address(group, name, index, problems) if group.address else None, jump)
        if len(hosts) > config.poll.expected_hosts:
            raise ConfigError(
                f"hosts[{index}]: more than {config.poll.expected_hosts:,} hosts",
                hint="raise poll.expected_hosts if meant",
            )
    return hosts


def _address(group: HostGroup, name: str, index: int, problems: list[str]) -> str | None:
    digits = re.findall(r"\d+", name)
    try:
        return group.address.format(name=name, number=int(digits[-1]) if digits else 0)
    except (KeyError, IndexError, ValueError) as error:
        message = (
            f"hosts[{index}].address: {group.address!r} is no pattern ({error}); {{name}} and {{number}} are known"
        )
        if message not in problems:
            problems.append(message)
        return None


def _members(
    kind: str, things: Iterable[_Placed], groups: Mapping[str, str], hosts: Mapping[str, _Draft], problems: list[str]
) -> dict[str, tuple[str, ...]]:
    members: dict[str, tuple[str, ...]] = {}
    for thing in things:
        names = expand(thing.nodes, groups) if thing.nodes else []
        unknown = [name for name in names if name not in hosts]
        if unknown:
            problems.append(f"{kind} {thing.name!r}: {fold(unknown)} in no [[hosts]]")
        members[thing.name] = tuple(names)
    return members


def _placed(
    hosts: Mapping[str, _Draft],
    racks: Mapping[str, Rack],
    by_rack: Mapping[str, tuple[str, ...]],
    by_pool: Mapping[str, tuple[str, ...]],
) -> dict[str, Host]:
    """Hosts with the rack, hall, row and pools that name them."""
    rack_of = {name: racks[rack] for rack, names in by_rack.items() for name in names}
    pools_of: defaultdict[str, list[str]] = defaultdict(list)
    for pool, names in by_pool.items():
        for name in names:
            pools_of[name].append(pool)
    placed = {}
    for name, (group, address, jump) in hosts.items():
        rack = rack_of.get(name)
        hall, row = (rack.hall or None, rack.row or None) if rack else (None, None)
        # By position, in the order of the class: 12,500 hosts by keyword take twice as long.
        placed[name] = Host(
            name, group.site, hall, row, rack.name if rack else None, tuple(pools_of.get(name, ())),
            address, group.port, group.user or None, jump or None, group.transport,
            group.model or None, group.chip or None, group.cards,
        )  # fmt: skip
    return placed


def _near(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""
