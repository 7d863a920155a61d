"""What racks, feeds and cooling zones still bear, as placement counts it, from the power and cooling picture.

A feed must bear what hangs on it now, within what a breaker carries for long, and what moves to it should the other feed
of its racks fail, up to its breaker. What is not measured, or has no limit, limits nothing: the screens of power say so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from fleetctl.config.schema import Config
from fleetctl.facility.electrical import Watts, what_if_feed_fails
from fleetctl.facility.picture import Picture, ZoneState, build_picture
from fleetctl.inventory.inventory import Inventory
from fleetctl.scheduler.packing.limits import Limit
from fleetctl.store.capacity import latest_power, latest_power_slot
from fleetctl.store.facility import list_endpoints, list_point_states, list_readings


def load_power(
    conn: sqlite3.Connection, inventory: Inventory, config: Config, now: int
) -> tuple[tuple[Limit, ...], int, dict[str, str]]:
    """(limits, when the oldest of their draws was measured, host -> why its cooling bears no more load)."""
    facility = config.facility
    if not facility.feeds and not facility.zones and not any(r.power_budget_w for r in inventory.racks.values()):
        return (), now, {}
    states = list_endpoints(conn)
    zoned = {d for zone in facility.zones for d in zone.devices}
    readings = {s.id: list_readings(conn, s.id).get(s.id, []) for s in states if s.name in zoned}
    slot = float(latest_power_slot(conn) or now)
    told = {host: Watts(watts, "host", slot, 1, 1) for host, watts in latest_power(conn).items()}
    leaks = list_point_states(conn, "leak")
    picture = build_picture(config, inventory, states, readings, leaks, now, told)
    limits = tuple(limit for limit in limits_of(picture, inventory) if limit.shares)
    draws = [*(rack.draw for rack in picture.racks.values()), *(feed.draw for feed in picture.feeds.values())]
    measured = [draw.at for draw in draws if draw.at is not None]
    return limits, int(min(measured, default=now)), warm_hosts(picture, inventory)


def limits_of(picture: Picture, inventory: Inventory) -> list[Limit]:
    """Every limit that is known: racks' budgets, feeds, each feed should another fail, cooling zones."""
    hosts = {name: inventory.rack_hosts(name) for name in inventory.racks}
    found: list[Limit] = []
    for rack in picture.racks.values():
        if rack.left_w is not None and rack.draw.is_complete:
            found.append(Limit(f"the budget of rack {rack.name}", rack.left_w, dict.fromkeys(hosts[rack.name], 1.0)))
    racks = picture.racks.values()
    for feed in picture.feeds.values():
        if feed.left_w is not None and feed.draw.is_complete:
            parts = {h: 1.0 / len(r.feeds) for r in racks if feed.name in r.feeds for h in hosts[r.name]}
            found.append(Limit(_side(feed.name, feed.side), feed.left_w, parts))
    for lost in picture.feeds:
        for effect in what_if_feed_fails(lost, picture.feeds, racks):
            if effect.after_w is None or effect.limit_w is None or effect.kind == "unknown":
                continue
            parts = {}
            for rack in racks:
                if effect.hits in rack.feeds:
                    left = len(rack.feeds) - (lost in rack.feeds)
                    parts.update(dict.fromkeys(hosts[rack.name], 1.0 / left))
            side = picture.feeds[effect.hits].side
            what = f"{_side(effect.hits, side)}, should feed {lost} fail,"
            found.append(Limit(what, effect.limit_w - effect.after_w, parts))
    for zone in picture.zones.values():
        if zone.left_kw is not None:
            inside = {h: 1.0 for rack in zone.racks for h in hosts.get(rack, ())}
            found.append(Limit(f"cooling zone {zone.name}", zone.left_kw * 1000.0, inside))
    return found


def _side(name: str, side: str) -> str:
    return f"feed {name} (side {side})" if side else f"feed {name}"


def warm_hosts(picture: Picture, inventory: Inventory) -> dict[str, str]:
    """Hosts in zones that must not get warmer: a leak, or coolant that comes warmer or slower than is allowed."""
    found = {}
    for zone in picture.zones.values():
        why = _why_warm(zone)
        if why:
            found.update({host: why for rack in zone.racks for host in inventory.rack_hosts(rack)})
    return found


def _why_warm(zone: ZoneState) -> str:
    for loop in zone.loops:
        if loop.is_leaking:
            return f"cooling zone {zone.name}: {loop.device} leaks"
        if zone.supply_max_c is not None and loop.supply_c is not None and loop.supply_c > zone.supply_max_c:
            return f"cooling zone {zone.name}: {loop.device} supplies {loop.supply_c:.1f} C of at most {zone.supply_max_c:g}"
        if zone.flow_min_lpm is not None and loop.flow_lpm is not None and loop.flow_lpm < zone.flow_min_lpm:
            return f"cooling zone {zone.name}: {loop.device} moves {loop.flow_lpm:.1f} l/min of at least {zone.flow_min_lpm:g}"
    return ""


def freed_by_feed(config: Config, inventory: Inventory, freed_w: Mapping[str, float]) -> dict[str, float]:
    """Feed -> watts that leave it when these hosts draw nothing. freed_w: host -> its draw now; even over its feeds."""
    feeds: dict[str, list[str]] = {}
    for feed in config.facility.feeds:
        for rack in feed.racks:
            feeds.setdefault(rack, []).append(feed.name)
    found: dict[str, float] = {}
    for host, watts in freed_w.items():
        place = inventory.hosts.get(host)
        hung_on = feeds.get(place.rack, ()) if place is not None and place.rack else ()
        for name in hung_on:
            found[name] = found.get(name, 0.0) + watts / len(hung_on)
    return dict(sorted(found.items()))
