"""From fleet.toml and the newest readings to the power and cooling of racks, feeds, zones and sites. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleetctl.config.schema import Config, FacilityDevice, Feed, Rack
from fleetctl.facility.cooling import Loop, read_loop, zone_left_kw
from fleetctl.facility.electrical import FeedLoad, RackLoad, Watts, add_up, rack_draw
from fleetctl.inventory import Inventory
from fleetctl.model.facility import Measurement, PointState
from fleetctl.store.facility import EndpointState

FRESH_S = 900.0  # a power older than that is no power now


@dataclass(frozen=True, slots=True)
class ZoneState:
    """One cooling zone. left_kw None: a cooler is silent or the capacity is not declared."""

    name: str
    site: str
    loops: tuple[Loop, ...]
    capacity_kw: float | None
    left_kw: float | None
    supply_max_c: float | None
    flow_min_lpm: float | None
    racks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything electrical and thermal at one moment."""

    at: float
    racks: Mapping[str, RackLoad] = field(default_factory=dict)
    feeds: Mapping[str, FeedLoad] = field(default_factory=dict)
    zones: Mapping[str, ZoneState] = field(default_factory=dict)
    servers: Mapping[str, Watts] = field(default_factory=dict)  # host -> what its BMC says it draws
    meters: Mapping[str, Watts] = field(default_factory=dict)  # meter name -> power now


def build_picture(
    config: Config,
    inventory: Inventory,
    states: Sequence[EndpointState],
    readings: Mapping[int, Sequence[Measurement]],
    leaks: Mapping[int, Sequence[PointState]],
    now: float,
    host_power: Mapping[str, Watts] | None = None,
) -> Picture:
    """host_power: what hosts say of themselves, for those whose BMC tells nothing."""
    by_name = {s.name: s for s in states}
    servers = dict(host_power or {})
    for state in states:
        if state.host is not None:
            told = _watts(state, now)
            if told.value is not None or state.host not in servers:
                servers[state.host] = told
    devices = {d.name: d for d in config.facility.devices}
    power = {d.name: _watts(by_name.get(d.name), now) for d in config.facility.devices}
    feeds_of = {rack: [f.name for f in config.facility.feeds if rack in f.racks] for rack in inventory.racks}
    racks = {r.name: _rack(r, inventory, devices, power, servers, feeds_of[r.name]) for r in inventory.racks.values()}
    feeds = {f.name: _feed(f, devices, power, racks) for f in config.facility.feeds}
    zones: dict[str, ZoneState] = {}
    for zone in config.facility.zones:
        loops = []
        for name in zone.devices:
            known = by_name.get(name)
            fresh = [r for r in readings.get(known.id, ()) if now - r.as_of <= FRESH_S] if known else []
            loops.append(read_loop(name, fresh, leaks.get(known.id, ()) if known else ()))
        left = zone_left_kw(loops, zone.capacity_kw)
        zones[zone.name] = ZoneState(
            zone.name,
            zone.site,
            tuple(loops),
            zone.capacity_kw,
            left,
            zone.supply_max_c,
            zone.flow_min_lpm,
            zone.racks,
        )
    meters = {}
    for meter in config.facility.meters:
        known = by_name.get(meter.device)
        meters[meter.name] = (
            _point(known, readings, meter.point, now) if meter.point else power.get(meter.device, Watts(None))
        )
    return Picture(now, racks, feeds, zones, servers, meters)


def _watts(state: EndpointState | None, now: float) -> Watts:
    """An endpoint's total, or nothing where it is too old to be true now."""
    if state is None or state.total_power_w is None or state.total_at is None or now - state.total_at > FRESH_S:
        return Watts(None, parts=1)
    return Watts(state.total_power_w, state.total_source, float(state.total_at), 1, 1)


def _point(state: EndpointState | None, readings: Mapping[int, Sequence[Measurement]], point: str, now: float) -> Watts:
    for r in readings.get(state.id, ()) if state else ():
        if r.quantity == "power" and point in (r.where, r.source) and now - r.as_of <= FRESH_S:
            factor = 1000.0 if r.unit == "kW" else 1.0
            return Watts(r.value * factor, r.where, r.as_of, 1, 1)
    return Watts(None, parts=1)


def _rack(
    rack: Rack,
    inventory: Inventory,
    devices: Mapping[str, FacilityDevice],
    power: Mapping[str, Watts],
    servers: Mapping[str, Watts],
    feeds: Sequence[str],
) -> RackLoad:
    own = [d for d in devices.values() if d.kind in ("pdu", "shelf") and d.racks == (rack.name,)]
    hosts = inventory.rack_hosts(rack.name)
    draw = rack_draw([power[d.name] for d in own], [servers.get(h, Watts(None, parts=1)) for h in hosts])
    shares: dict[str, float | None] = {}
    for feed in feeds:
        mine = [power[d.name] for d in own if d.feed == feed]
        total = add_up(mine, feed)
        shares[feed] = total.value if mine and total.is_complete else None
    return RackLoad(rack.name, rack.site, rack.hall, draw, rack.power_budget_w, shares, len(hosts))


def _feed(
    feed: Feed, devices: Mapping[str, FacilityDevice], power: Mapping[str, Watts], racks: Mapping[str, RackLoad]
) -> FeedLoad:
    own = [d for d in devices.values() if d.feed == feed.name]
    kind = next((k for k in ("meter", "ups") if any(d.kind == k for d in own)), "")  # one level, never both
    if kind:
        draw = add_up([power[d.name] for d in own if d.kind == kind], kind)
    else:
        pdus = [power[d.name] for d in own if d.kind in ("pdu", "shelf")]
        draw = add_up(pdus, "pdu")
        if not pdus:  # no meter on this side: the racks' draw, split evenly over their feeds
            shares = [
                Watts(None if r.draw.value is None else r.draw.value / max(1, len(r.feeds)), "", r.draw.at, 1, 1)
                if r.draw.is_complete
                else Watts(None, parts=1)
                for r in (racks[name] for name in feed.racks if name in racks)
            ]
            draw = add_up(shares, "racks, split evenly")
    return FeedLoad(feed.name, feed.site, feed.side, draw, feed.limit_w, feed.racks)
