"""Which row a host or a device is, remembered by the one writer so that a round asks the database nothing.

Devices travel as the same tuple object from round to round while nothing changed, so the ids of a whole block are found
by the identity of that tuple. Everything here can be thrown away at any time and is found again in the file; after a
rolled-back transaction it has to be.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetctl.model.reading import Device
from fleetctl.model.report import Block, HostReport
from fleetctl.store.words import clean_name

GROUP = 16  # devices of one kind with neighbouring ids; what one chunk holds
ROLLUP_GROUP = 16 * GROUP  # and one rollup: its four numbers are few
DEVICES_PER_HOST = 4096  # a host that names more is broken; further ones are not kept
_BLOCKS_PER_HOST = 16

_FIELDS = (
    "vendor", "model", "chip", "serial", "uuid", "pci", "slot", "firmware", "driver", "parent", "partition",
    "quantity", "unit",
)  # fmt: skip
_UPDATE = (
    "UPDATE devices SET number = ?, "
    + ", ".join(f"{name} = ?" for name in _FIELDS)
    + ", place = ?, shares = ? WHERE id = ?"
)
_INSERT = (
    "INSERT INTO devices (number, "
    + ", ".join(_FIELDS)
    + ", place, shares, id, host, kind, key, first_at) VALUES ("
    + ", ".join("?" * (len(_FIELDS) + 8))
    + ")"
)


@dataclass(slots=True)
class HostMemory:
    """What the writer knows about one host row. reach, error, error_text, failures: as stored."""

    id: int
    slot: int = -1
    report_at: int = -1
    reach: str = ""
    error: str | None = None
    error_text: str = ""
    failures: int = 0
    is_well: bool = False  # fresh, without an error, and stored so
    expected: int | None = None
    facts: Mapping[str, str] | None = None
    probes: dict[str, tuple[str, str]] = field(default_factory=dict)
    findings: object = None
    processes: object = None
    links: object = None
    states: dict[int, Mapping[str, str]] = field(default_factory=dict)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)
    described: dict[int, Device] = field(default_factory=dict)
    blocks: dict[int, tuple[tuple[Device, ...], list[int], frozenset[int]]] = field(default_factory=dict)
    here: dict[str, list[frozenset[int]]] = field(default_factory=dict)
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A device that came or went. key as stored."""

    device: int
    key: str
    came: bool
    first: bool  # the host never named it before


class Identities:
    """Host and device rows by name and key; creates what is new. Use it inside the writer's transaction."""

    def __init__(self) -> None:
        self._hosts: dict[str, HostMemory] = {}
        self._next: dict[str, int] = {}
        self._top = -1

    def forget(self) -> None:
        """Drop everything: after a roll-back, or when somebody else changed the rows."""
        self.__init__()  # type: ignore[misc]

    def host(self, conn: sqlite3.Connection, report: HostReport, slot: int) -> HostMemory:
        """The memory of the report's host; its row is made if need be."""
        memory = self._hosts.get(report.host)
        if memory is None:
            memory = self._hosts[report.host] = _find_host(conn, report, slot)
        return memory

    def block(
        self, conn: sqlite3.Connection, host: HostMemory, block: Block, slot: int, changes: list[Change]
    ) -> list[int]:
        """Row ids of the block's devices, in order; -1 for one that is not kept. Appends who came and who went."""
        known = host.blocks.get(id(block.devices))
        if known is not None and known[0] is block.devices:
            return known[1]
        if not host.loaded:
            self._load_devices(conn, host)
        ids = [self._device(conn, host, block.kind, device, slot, changes) for device in block.devices]
        if slot < host.slot:
            return ids  # a late report says nothing about who is here now
        now = frozenset(i for i in ids if i >= 0)
        for replaced in _note_presence(conn, host, block.kind, now, slot, changes):
            host.blocks = {key: held for key, held in host.blocks.items() if held[2] != replaced}
        if len(host.blocks) >= _BLOCKS_PER_HOST:
            host.blocks.clear()  # the caller makes new tuples each round; slower, not wrong
        if block.devices:  # () is the same object everywhere
            host.blocks[id(block.devices)] = (block.devices, ids, now)
        return ids

    def _load_devices(self, conn: sqlite3.Connection, host: HostMemory) -> None:
        here: dict[tuple[str, str | None], set[int]] = {}  # which source named them is not stored; the vendor stands in
        for number, kind, key, vendor, gone_at in conn.execute(
            "SELECT id, kind, key, vendor, gone_at FROM devices WHERE host = ?", (host.id,)
        ):
            host.ids[kind, key] = number
            if gone_at is None:
                here.setdefault((kind, vendor), set()).add(number)
        for (kind, _), ids in here.items():
            host.here.setdefault(kind, []).append(frozenset(ids))
        for device, name, word in conn.execute(
            "SELECT s.device, s.name, s.word FROM device_states s JOIN devices d ON d.id = s.device WHERE d.host = ?",
            (host.id,),
        ):
            states = host.states.setdefault(device, {})
            assert isinstance(states, dict)
            states[name] = word
        host.loaded = True

    def _device(
        self, conn: sqlite3.Connection, host: HostMemory, kind: str, device: Device, slot: int, changes: list[Change]
    ) -> int:
        key = clean_name(device.key) or "?"
        number = host.ids.get((kind, key))
        if number is not None and host.described.get(number) == device:
            return number
        if number is None and (number := self._same_card(conn, host, kind, device)) is not None:
            host.ids[kind, key] = number
            if device.chip is None:  # a poorer source: the description that stands is better
                return number
        fields = (
            clean_name(device.index),
            *(clean_name(getattr(device, name)) for name in _FIELDS),
            clean_name(device.where),
            clean_name(",".join(device.shares)) or "",
        )
        if number is None:
            if len(host.ids) >= DEVICES_PER_HOST:
                return -1
            number = self._new_id(conn, kind)
            conn.execute(_INSERT, (*fields, number, host.id, kind, key, slot))
            host.ids[kind, key] = number
            changes.append(Change(number, key, came=True, first=True))
        elif slot >= host.slot:
            conn.execute(_UPDATE, (*fields, number))
        host.described[number] = device
        return number

    def _same_card(self, conn: sqlite3.Connection, host: HostMemory, kind: str, device: Device) -> int | None:
        """The card that stands under another key: sources name cards by what each of them prints, and the one that gave
        the key may hang while another goes on. Only a whole card with the same serial number at the same address."""
        if device.parent is not None or not device.serial or not device.pci:
            return None
        found = conn.execute(
            "SELECT id FROM devices WHERE host = ? AND kind = ? AND gone_at IS NULL AND parent IS NULL"
            " AND serial = ? AND pci = ?",
            (host.id, kind, clean_name(device.serial), clean_name(device.pci)),
        ).fetchall()
        return int(found[0][0]) if len(found) == 1 else None

    def _new_id(self, conn: sqlite3.Connection, kind: str) -> int:
        if not self._next:
            self._top = conn.execute("SELECT ifnull(max(id), -1) FROM devices").fetchone()[0]
            for one, last in conn.execute("SELECT kind, max(id) FROM devices GROUP BY kind"):
                self._next[one] = last + 1
        number = self._next.get(kind, 0)
        if number % GROUP == 0:  # the group is full, or there is none yet: open one behind all others
            number = (self._top // GROUP + 1) * GROUP
        self._top = max(self._top, number)
        self._next[kind] = number + 1
        return number


def _note_presence(
    conn: sqlite3.Connection, host: HostMemory, kind: str, now: frozenset[int], slot: int, changes: list[Change]
) -> list[frozenset[int]]:
    """Devices that the same source named before and names no more are gone; one that is named again is back.

    A host has several sources of one kind (two vendors' tools), so a new set replaces only the sets it overlaps; an
    empty set replaces all. Returns the sets that were replaced.
    """
    sets = host.here.get(kind, [])
    replaced = [one for one in sets if not now or one & now]
    kept = [one for one in sets if now and not one & now]
    before = frozenset[int]().union(*sets)
    host.here[kind] = [*kept, now] if now else kept
    after = frozenset[int]().union(*host.here[kind])
    keys = {number: key for (_, key), number in host.ids.items()} if replaced or now - before else {}
    new = {change.device for change in changes if change.first}
    for number in sorted(before - after):
        conn.execute("UPDATE devices SET gone_at = ? WHERE id = ?", (slot, number))
        changes.append(Change(number, keys[number], came=False, first=False))
    for number in sorted(now - before - new):
        conn.execute("UPDATE devices SET gone_at = NULL WHERE id = ?", (number,))
        changes.append(Change(number, keys[number], came=True, first=False))
    return [one for one in replaced if one != now]


def _find_host(conn: sqlite3.Connection, report: HostReport, slot: int) -> HostMemory:
    name = report.host
    row = conn.execute(
        "SELECT id, slot, report_at, reach, error, error_text, failures FROM hosts WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        number = conn.execute(
            "INSERT INTO hosts (name, reach, reach_since, report_at, slot) VALUES (?, ?, ?, ?, ?)",
            (name, report.reach.value, slot, int(report.at), -1),
        ).lastrowid
        assert number is not None
        return HostMemory(number)
    memory = HostMemory(*row)
    for probe, outcome, text in conn.execute(
        "SELECT probe, outcome, text FROM probe_states WHERE host = ?", (memory.id,)
    ):
        memory.probes[probe] = (outcome, text)
    return memory
