"""Which devices there are: identity, host, when they were first named and whether their host still names them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetctl.model.reading import Device


@dataclass(frozen=True, slots=True)
class StoredDevice:
    """A device with its row id (what samples go by) and its host's name. gone_at: slot in which it was missing first."""

    id: int
    host: str
    device: Device
    first_at: int
    gone_at: int | None


def list_devices(
    conn: sqlite3.Connection, host: str | None = None, *, kind: str | None = None, gone: bool = True
) -> list[StoredDevice]:
    """Devices of one host or of all, of one kind or of all, by host and id; gone=False leaves out those that left."""
    where, values = ["1"], list[str]()
    if host is not None:
        where.append("h.name = ?")
        values.append(host)
    if kind is not None:
        where.append("d.kind = ?")
        values.append(kind)
    if not gone:
        where.append("d.gone_at IS NULL")
    rows = conn.execute(
        f"""
        SELECT d.id, h.name, d.first_at, d.gone_at, d.shares,
               d.kind, d.key, d.number, d.vendor, d.model, d.chip, d.serial, d.uuid, d.pci, d.slot, d.firmware,
               d.driver, d.parent, d.partition, d.quantity, d.unit, d.place
          FROM devices d
          JOIN hosts h ON h.id = d.host
         WHERE {" AND ".join(where)}
         ORDER BY d.host, d.id
        """,
        values,
    )
    return [_stored(row) for row in rows]


def _stored(row: tuple[Any, ...]) -> StoredDevice:
    number, name, first_at, gone_at, shares = row[:5]
    fields: list[Any] = [*row[5:19], tuple(shares.split(",")) if shares else (), *row[19:]]
    device = Device(*fields)
    return StoredDevice(number, name, device, first_at, gone_at)


def device_id(conn: sqlite3.Connection, host: str, kind: str, key: str) -> int | None:
    """Row id of one device; None when there is none. A host itself is the device of kind "host"."""
    row = conn.execute(
        """
        SELECT d.id
          FROM devices d
          JOIN hosts h ON h.id = d.host
         WHERE h.name = ? AND d.kind = ? AND d.key = ?
        """,
        (host, kind, key),
    ).fetchone()
    return None if row is None else int(row[0])


def list_device_states(conn: sqlite3.Connection, host: str | None = None) -> Mapping[int, Mapping[str, str]]:
    """Words per device id: health, throttle reasons, ECC mode ..."""
    rows = conn.execute(
        """
        SELECT s.device, s.name, s.word
          FROM device_states s
          JOIN devices d ON d.id = s.device
          JOIN hosts h   ON h.id = d.host
         WHERE h.name = ifnull(?, h.name)
        """,
        (host,),
    )
    found: dict[int, dict[str, str]] = {}
    for device, name, word in rows:
        found.setdefault(device, {})[name] = word
    return found
