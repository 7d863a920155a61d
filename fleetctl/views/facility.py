"""Endpoints of power and cooling: one row per BMC, PDU, cooler and meter, with how fresh it is and what it draws."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fleetctl.config.schema import Config
from fleetctl.facility.endpoints import endpoints
from fleetctl.facility.picture import Picture, build_picture
from fleetctl.inventory import Inventory
from fleetctl.store.facility import EndpointState, list_endpoints, list_point_states, list_readings
from fleetctl.views.column import Column, Table
from fleetctl.views.units import iso_moment, show_age, show_watts


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One declared endpoint. Moments are epoch seconds; state: ok, silent (last try failed), never (not asked yet)."""

    name: str
    kind: str
    site: str
    host: str | None
    url: str
    state: str
    power_w: float | None
    power_source: str
    power_at: float | None
    ok_at: float | None
    trouble: str
    device: str

    @property
    def reach(self) -> str:
        """As of nodes: what a silent endpoint said last is history, and is shown as such."""
        return "fresh" if self.state == "ok" else "stale"


COLUMNS: tuple[Column[EndpointRow], ...] = (
    Column("name", "endpoint", lambda r: r.name, width=18, doc="its name; bmc:HOST for BMCs"),
    Column("kind", "kind", lambda r: r.kind, width=8, doc="bmc, pdu, ups, ats, meter, cdu, crac, chiller, sensor"),
    Column("site", "site", lambda r: r.site or None, width=10, doc="site it stands in"),
    Column("state", "state", lambda r: r.state, width=8, role="state", doc="ok, silent or never asked"),
    Column("power_w", "power", lambda r: r.power_w, show_watts, 9, right=True, doc="what it draws, W"),
    Column("ok_at", "age", lambda r: r.ok_at, width=6, right=True, role="age", doc="when it last answered"),
    Column("trouble", "trouble", lambda r: r.trouble or None, width=30, doc="why the last try failed"),
    Column("device", "device", lambda r: r.device or None, width=24, wide=True, doc="vendor and model it tells"),
    Column(
        "power_source", "source", lambda r: r.power_source or None, width=30, wide=True, doc="where power comes from"
    ),
    Column("url", "address", lambda r: r.url, width=30, wide=True, doc="address"),
)


def load(conn: sqlite3.Connection | None, config: Config, inventory: Inventory) -> list[EndpointRow]:
    """Every endpoint that fleet.toml declares; conn None: nothing was asked yet."""
    known = {s.name: s for s in list_endpoints(conn)} if conn is not None else {}
    return [
        _row(a.name, a.kind, a.site, a.host, a.url, known.get(a.name)) for a in endpoints(config, inventory).values()
    ]


def _row(name: str, kind: str, site: str, host: str | None, url: str, state: EndpointState | None) -> EndpointRow:
    if state is None:
        return EndpointRow(name, kind, site, host, url, "never", None, "", None, None, "", "")
    device = " ".join(str(state.device[k]) for k in ("vendor", "model", "product") if state.device.get(k))
    return EndpointRow(
        name,
        kind,
        site,
        host,
        url,
        "silent" if state.trouble else "ok",
        state.total_power_w,
        state.total_source,
        state.total_at,
        state.ok_at,
        f"{state.trouble}: {state.trouble_text}" if state.trouble else "",
        device,
    )


def table(rows: Iterable[EndpointRow]) -> Table[EndpointRow]:
    return Table("endpoint", COLUMNS, list(rows), lambda r: r.name)


def endpoint_record(conn: sqlite3.Connection, name: str) -> dict[str, Any] | None:
    """Everything one endpoint said last: each value with its source, its raw form and its moment."""
    state = next((s for s in list_endpoints(conn) if s.name == name), None)
    if state is None:
        return None
    record = {key: value for key, value in asdict(state).items() if key != "id"}
    for key in ("tried_at", "ok_at", "trouble_since", "total_at"):
        record[key] = iso_moment(record[key])
    readings = list_readings(conn, state.id).get(state.id, [])
    states = list_point_states(conn).get(state.id, [])
    return record | {
        "readings": [r._asdict() | {"as_of": iso_moment(r.as_of)} for r in readings],
        "states": [s._asdict() | {"as_of": iso_moment(s.as_of)} for s in states],
    }


def wall_facts(conn: sqlite3.Connection, host: str, now: float) -> dict[str, str]:
    """What a node's BMC says of it, in words with their age: power at the wall, air, leaks."""
    out: dict[str, str] = {}
    for state in list_endpoints(conn, host):
        if state.total_power_w is not None and state.total_at is not None:
            age = show_age(state.total_at, now)
            out["bmc power"] = f"{show_watts(state.total_power_w)}, {age} ago, from {state.total_source}"
        if state.trouble:
            out["bmc"] = f"{state.trouble}: {state.trouble_text}"
        air = [r for r in list_readings(conn, state.id).get(state.id, []) if r.quantity == "temperature"]
        for word in ("inlet", "intake", "ambient"):
            found = sorted((r for r in air if word in r.where.lower()), key=lambda r: len(r.where))
            for r in found[:2]:
                out[f"bmc {r.where}"] = f"{r.value:g} {r.unit}, {show_age(r.as_of, now)} ago"
            if found:
                break
        for s in list_point_states(conn).get(state.id, []):
            if s.what == "leak" and s.bad:
                out[f"leak {s.where}"] = f"{s.word}, {show_age(s.as_of, now)} ago"
    return out


def load_picture(conn: sqlite3.Connection, config: Config, inventory: Inventory, now: float) -> Picture:
    """Power and cooling of the whole fleet at this moment."""
    states = list_endpoints(conn)
    zoned = {d for z in config.facility.zones for d in z.devices} | {m.device for m in config.facility.meters}
    readings = {s.id: list_readings(conn, s.id).get(s.id, []) for s in states if s.name in zoned}
    return build_picture(config, inventory, states, readings, list_point_states(conn, "leak"), now)
