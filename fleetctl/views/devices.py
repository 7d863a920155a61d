"""Accelerators: one row per card, or folded to one row per kind of card, so that eight equal cards are one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fleetctl.model.metric import CORE_METRICS, metrics_of
from fleetctl.model.reading import Device, Value
from fleetctl.store.catalogue import sample_columns
from fleetctl.store.devices import StoredDevice, list_device_states, list_devices
from fleetctl.store.samples import latest_of, latest_samples
from fleetctl.store.temperature import card_temp_c
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_bytes, show_pct, show_temp, show_unit, show_watts


@dataclass(slots=True)
class DeviceRow:
    """One card (or part of one) that its host names now. values: newest by metric; states: words of its tool, by name;
    slot: round of the newest values, epoch seconds, None when it told nothing lately."""

    node: str
    site: str | None
    id: int
    device: Device
    values: Mapping[str, Value]
    states: Mapping[str, str] = field(default_factory=dict)
    slot: float | None = None

    @property
    def key(self) -> str:
        return self.device.key


@dataclass(frozen=True, slots=True)
class FoldedRow:
    """Cards of one kind on several nodes. util_pct: mean; temp_c: hottest; power_w: sum; None where no card told."""

    nodes: tuple[str, ...]
    cards: int
    vendor: str | None
    chip: str | None
    model: str | None
    partition: str | None
    driver: str | None
    firmware: str | None
    mem_total_bytes: float | None
    util_pct: float | None
    temp_c: float | None
    power_w: float | None


def _metric(name: str) -> Callable[[DeviceRow], Value]:
    return lambda row: row.values.get(name)


def _temp(row: DeviceRow) -> Value:
    return card_temp_c(row.values)


def _mem(row: DeviceRow) -> float | None:
    used, whole = row.values.get("mem_used_bytes"), row.values.get("mem_total_bytes")
    return None if used is None or not whole else 100.0 * used / whole


def _show(unit: str) -> Callable[[float], str]:
    return lambda value: show_unit(value, unit)


_FIRST = ("util_pct", "temp_c", "power_w")  # stand in the narrow table, with titles of their own
COLUMNS: tuple[Column[DeviceRow], ...] = (
    Column("node", "node", lambda r: r.node, width=8, doc="node it sits in"),
    Column("site", "site", lambda r: r.site, width=6, wide=True, doc="site of the node"),
    Column("index", "card", lambda r: r.device.index, width=4, right=True, doc="number its tool prints"),
    Column("vendor", "vendor", lambda r: r.device.vendor, width=8, wide=True, doc="who made it"),
    Column("chip", "chip", lambda r: r.device.chip or r.device.model, width=12, doc="as the catalogue calls it"),
    Column("partition", "partition", lambda r: r.device.partition, width=8, wide=True, doc="what part of a card it is"),
    Column("util_pct", "util", _metric("util_pct"), show_pct, 4, True, doc="share of time a kernel ran, %"),
    Column("mem_pct", "mem", _mem, show_pct, 4, True, doc="device memory in use, %"),
    Column(
        "temp_c", "temp", _temp, show_temp, 4, True, doc="core temperature, of the hot spot where no core is told, C"
    ),
    Column("power_w", "power", _metric("power_w"), show_watts, 6, True, doc="draw, W"),
    Column(
        "health", "said", lambda r: r.states.get("health"), width=8, doc="what the vendor's own tool says of its health"
    ),
    Column("slot", "age", lambda r: r.slot, width=4, right=True, role="age", doc="age of its values"),
    *(
        Column(m.name, m.name, _metric(m.name), _show(m.unit), 6, True, wide=True, doc=m.doc)
        for m in metrics_of("card", CORE_METRICS)
        if m.name not in _FIRST
    ),
    Column("model", "model", lambda r: r.device.model, width=12, wide=True, doc="as its tool prints it"),
    Column("serial", "serial", lambda r: r.device.serial, width=12, wide=True, doc="serial number"),
    Column("uuid", "uuid", lambda r: r.device.uuid, width=12, wide=True, doc="unique id"),
    Column("pci", "pci", lambda r: r.device.pci, width=12, wide=True, doc="PCI address"),
    Column("driver", "driver", lambda r: r.device.driver, width=8, wide=True, doc="driver version"),
    Column("firmware", "firmware", lambda r: r.device.firmware, width=8, wide=True, doc="firmware version"),
    Column("key", "key", lambda r: r.device.key, width=12, wide=True, doc="what it is known by over time"),
    Column("parent", "parent", lambda r: r.device.parent, width=12, wide=True, doc="card this is a part of"),
)
FOLDED_COLUMNS: tuple[Column[FoldedRow], ...] = (
    Column("chip", "chip", lambda r: r.chip or r.model, width=14, doc="as the catalogue calls it"),
    Column("vendor", "vendor", lambda r: r.vendor, width=8, doc="who made it"),
    Column("model", "model", lambda r: r.model, width=12, wide=True, doc="as its tool prints it"),
    Column("partition", "partition", lambda r: r.partition, width=8, wide=True, doc="what part of a card it is"),
    Column("cards", "cards", lambda r: r.cards, width=6, right=True, doc="how many"),
    Column("node_count", "on", lambda r: len(r.nodes), width=5, right=True, doc="nodes they sit in"),
    Column("mem_total_bytes", "memory", lambda r: r.mem_total_bytes, show_bytes, 6, True, doc="of one card, B"),
    Column("util_pct", "util", lambda r: r.util_pct, show_pct, 4, True, doc="mean utilisation, %"),
    Column("temp_c", "temp", lambda r: r.temp_c, show_temp, 4, True, doc="hottest (hot spot where no core is told), C"),
    Column("power_w", "power", lambda r: r.power_w, show_watts, 6, True, doc="sum, W"),
    Column("driver", "driver", lambda r: r.driver, width=8, wide=True, doc="driver version"),
    Column("firmware", "firmware", lambda r: r.firmware, width=8, wide=True, doc="firmware version"),
    Column("nodes", "nodes", lambda r: _folded(r.nodes), width=12, doc="node set"),
)


def _folded(names: Iterable[str]) -> str:
    from fleetctl.inventory.nodesets import fold

    return fold(names)


def load(
    conn: sqlite3.Connection, sites: Mapping[str, str], *, node: str | None = None, kind: str = "card"
) -> list[DeviceRow]:
    """Cards that hosts name now, by host and id. sites: node -> site, for nodes that are to be listed."""
    devices = [d for d in list_devices(conn, node, kind=kind, gone=False) if d.host in sites]
    if node is not None or len(sites) < 50:
        few = latest_of(conn, kind, [d.id for d in devices])
        values: dict[int, tuple[int, Mapping[str, Value]]] = {**few}
    else:
        names = sample_columns(conn, kind)
        values = {
            number: (slot, dict(zip(names, row, strict=True))) for number, slot, row in latest_samples(conn, kind)
        }
    states = list_device_states(conn, node)
    return [_row(d, sites.get(d.host), values.get(d.id), states.get(d.id, {})) for d in devices]


def _row(
    stored: StoredDevice, site: str | None, told: tuple[int, Mapping[str, Value]] | None, states: Mapping[str, str]
) -> DeviceRow:
    slot, values = told or (None, {})
    return DeviceRow(stored.host, site, stored.id, stored.device, values, states, slot)


def fold_devices(rows: Iterable[DeviceRow]) -> list[FoldedRow]:
    """One row per kind of card (maker, chip, model, part, driver, firmware), most cards first."""
    groups: dict[tuple[str | None, ...], list[DeviceRow]] = {}
    for row in rows:
        d = row.device
        groups.setdefault((d.vendor, d.chip, d.model, d.partition, d.driver, d.firmware), []).append(row)
    folded = []
    for (vendor, chip, model, partition, driver, firmware), members in groups.items():
        utils, memory = (_known(members, name) for name in ("util_pct", "mem_total_bytes"))
        temps = [float(v) for member in members if (v := _temp(member)) is not None]
        powers = _known([m for m in members if "power_w" not in m.device.shares], "power_w")
        folded.append(
            FoldedRow(
                nodes=tuple(dict.fromkeys(m.node for m in members)),
                cards=len(members),
                vendor=vendor,
                chip=chip,
                model=model,
                partition=partition,
                driver=driver,
                firmware=firmware,
                mem_total_bytes=max(memory, default=None),
                util_pct=sum(utils) / len(utils) if utils else None,
                temp_c=max(temps, default=None),
                power_w=sum(powers) if powers else None,
            )
        )
    return sorted(folded, key=lambda r: (-r.cards, r.chip or r.model or ""))


def _known(rows: Iterable[DeviceRow], name: str) -> list[float]:
    return [float(v) for row in rows if (v := row.values.get(name)) is not None]


def table(rows: list[DeviceRow]) -> Table[DeviceRow]:
    return Table("device", COLUMNS, rows, lambda r: f"{r.node}/{r.device.index or r.device.key}")


def folded_table(rows: list[FoldedRow]) -> Table[FoldedRow]:
    return Table("kind", FOLDED_COLUMNS, rows, lambda r: r.chip or r.model or "-")
