"""Power, heat and flow of places and devices over time, as curves for plots. Reads the store; shapes nothing else.

A place's power over time comes from the same one level as its power now: the PDUs of a rack where it has any, else the
BMCs of its servers; the meters of a feed, else its UPSes, else its PDUs.
"""

from __future__ import annotations

import sqlite3

from fleetctl.config.schema import Config
from fleetctl.facility.cooling import pick_readings
from fleetctl.inventory import Inventory
from fleetctl.model.facility import Measurement
from fleetctl.store.facility import list_endpoints, list_readings
from fleetctl.store.facility_history import (
    MINUTE_S,
    SLOT_S,
    facility_series,
    list_series,
    newest_values,
    power_sums,
)
from fleetctl.views.node_history import Curve

LEAST_SHARE = 0.9  # of the parts that tell: with fewer, the sum of a moment would be a dip that never was
LONG_S = 2 * 86_400.0  # beyond, one value an hour
MOST_MINUTES = 100_000  # looked up for one curve: a fifth of a second
TITLES = ("power", "supply", "return", "flow", "heat taken away", "temperature")
_TITLE_OF = {"cooling_power": "heat taken away"}


def power_parts(config: Config, inventory: Inventory, kind: str, name: str) -> dict[str, float]:
    """Endpoint -> share, for a "site", "hall", "rack", "feed", "node" or "endpoint"; {}: nothing measures it."""
    if kind == "endpoint":
        return {name: 1.0}
    if kind == "node":
        return {f"bmc:{name}": 1.0}
    if kind == "feed":
        own = [d for d in config.facility.devices if d.feed == name]
        for kinds in (("meter",), ("ups",), ("pdu", "shelf")):
            if found := {d.name: 1.0 for d in own if d.kind in kinds}:
                return found
        return {}
    racks = [r for r in inventory.racks.values() if name == (r.site if kind == "site" else r.hall or r.site)]
    if kind == "rack":
        racks = [inventory.racks[name]] if name in inventory.racks else []
    pdus: dict[str, list[str]] = {}
    for device in config.facility.devices:
        if device.kind in ("pdu", "shelf") and len(device.racks) == 1:
            pdus.setdefault(device.racks[0], []).append(device.name)
    out: dict[str, float] = {}
    for rack in racks:
        own_names = pdus.get(rack.name) or [f"bmc:{host}" for host in inventory.rack_hosts(rack.name)]
        out |= dict.fromkeys(own_names, 1.0)
    return out


def limit_of(config: Config, inventory: Inventory, kind: str, name: str) -> float | None:
    """The line that power should stay under, W: a rack's budget, the sum of them, a feed's breaker."""
    if kind == "feed":
        return next((f.limit_w for f in config.facility.feeds if f.name == name), None)
    if kind == "rack":
        return inventory.racks[name].power_budget_w if name in inventory.racks else None
    if kind in ("site", "hall"):
        racks = [r for r in inventory.racks.values() if name == (r.site if kind == "site" else r.hall or r.site)]
        budgets = [r.power_budget_w for r in racks]
        return None if not budgets or None in budgets else sum(b for b in budgets if b is not None)
    return None


def power_curve(
    conn: sqlite3.Connection, config: Config, inventory: Inventory, kind: str, name: str, since: float, until: float
) -> Curve:
    """Power of one place or device over time with its limit. A moment at which a tenth of the parts is silent is a gap."""
    parts = power_parts(config, inventory, kind, name)
    step = _step(len(parts), until - since)
    sums = power_sums(conn, parts, since, until, step)
    most = max((count for _at, _w, count in sums), default=0)
    points = [(at, watts if count >= most * LEAST_SHARE else None) for at, watts, count in sums]
    limit = limit_of(config, inventory, kind, name)
    return Curve("power", "W", points, 0.0 if limit is not None else None, None, limit)


def _step(parts: int, span: float) -> int:
    """Seconds per value of a sum. Several endpoints are asked at different moments: five minutes bring all together."""
    if span > LONG_S:
        return 3600
    if parts * span / MINUTE_S > MOST_MINUTES:
        return SLOT_S
    return MINUTE_S if parts == 1 else 5 * MINUTE_S


def cooler_curves(conn: sqlite3.Connection, config: Config, name: str, since: float, until: float) -> list[Curve]:
    """Supply with return beside it, flow and heat of one cooler, each with the limit of its zone."""
    zone = next((z for z in config.facility.zones if name in z.devices), None)
    state = next((s for s in list_endpoints(conn) if s.name == name), None)
    picked = pick_readings(list_readings(conn, state.id).get(state.id, ()) if state is not None else ())

    def points(reading: Measurement | None) -> _Points:
        if reading is None:
            return []
        told = facility_series(conn, name, reading.source, since, until + 1, minutes=True)
        return _with_newest(told, (reading.as_of, reading.value), since, until)

    out: list[Curve] = []
    if picked.supply is not None or picked.back is not None:
        limit = zone.supply_max_c if zone else None
        out.append(Curve("supply", "C", points(picked.supply), None, None, limit, points(picked.back), "return"))
    for title, reading, limit in (
        ("flow", picked.flow, zone.flow_min_lpm if zone else None),
        ("heat taken away", picked.heat, None),
    ):
        if reading is not None:
            out.append(Curve(title, reading.unit, points(reading), 0.0, None, limit))
    return out


def quantity_curves(conn: sqlite3.Connection, name: str, since: float, until: float) -> list[Curve]:
    """Power of any endpoint, and what else is kept of it over time, at most three."""
    out = []
    for quantity in ("power", "flow", "cooling_power", "temperature"):
        for place, unit, points in _series(conn, name, quantity, since, until):
            out.append(Curve(place or _TITLE_OF.get(quantity, quantity), unit, points, None, None))
    return [curve for curve in out if curve.points][:3]


_Points = list[tuple[float, float | None]]
_Told = list[tuple[str, str, _Points]]


def _series(conn: sqlite3.Connection, name: str, quantity: str, since: float, until: float) -> _Told:
    """(place, unit, points) of what is kept of one quantity and what was told last."""
    newest = newest_values(conn, name, quantity)
    out: _Told = []
    for series, place, unit in list_series(conn, name, quantity):
        told = facility_series(conn, name, series, since, until + 1, minutes=True)
        out.append((place, unit, _with_newest(told, newest.get(series), since, until)))
    return out


def _with_newest(points: _Points, last: tuple[float, float] | None, since: float, until: float) -> _Points:
    """What is kept, a value per minute or quarter of an hour, and then what was told last."""
    if last is None or not since <= last[0] <= until or (points and points[-1][0] >= last[0]):
        return points
    return [*points, last]
