"""Readings of several probes -> one block per kind of device, with tuples that stay the same objects while they can.

Two probes may tell different things about one card (a quick one each round, a slow one now and then): their columns
are joined by device key, the first probe of the plan that knows a value wins, and gaps in the identity are filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from fleetctl.model.reading import Device, Reading, Value
from fleetctl.model.report import Block

Rows = tuple[tuple[Value, ...], ...]
_IDENTITY = tuple(f.name for f in fields(Device) if f.name not in ("kind", "key", "shares"))


@dataclass(slots=True)
class KindView:
    """What one probe last said about devices of one kind, as columns and rows."""

    kind: str
    columns: tuple[str, ...]
    devices: tuple[Device, ...]
    rows: Rows
    states: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def kind_views(
    readings: Sequence[Reading], old: Mapping[str, KindView], first_columns: tuple[str, ...] = ()
) -> dict[str, KindView]:
    """Readings by kind. `old` views lend their tuples where nothing changed; a key that repeats keeps its first reading.

    first_columns: columns that come first whether or not they hold something (the quick form's).
    """
    kinds: dict[str, list[Reading]] = {}
    for reading in readings:
        kinds.setdefault(reading.device.kind, []).append(reading)
    views: dict[str, KindView] = {}
    for kind, group in kinds.items():
        by_key: dict[str, Reading] = {}
        for reading in group:
            by_key.setdefault(reading.device.key, reading)
        group = list(by_key.values())
        names = dict.fromkeys(first_columns)
        for reading in group:
            names.update(dict.fromkeys(reading.values))
        columns, devices = tuple(names), tuple(reading.device for reading in group)
        before = old.get(kind)
        if before is not None:
            columns = before.columns if before.columns == columns else columns
            devices = before.devices if before.devices == devices else devices
        rows = tuple(tuple(map(reading.values.get, columns)) for reading in group)
        states = {reading.device.key: reading.states for reading in group if reading.states}
        views[kind] = KindView(kind, columns, devices, rows, states)
    return views


@dataclass(slots=True)
class Join:
    """How the views of one kind become one block; made once, used while devices and columns stay the same objects."""

    views: tuple[KindView, ...]
    columns: tuple[str, ...]
    devices: tuple[Device, ...]
    side_by_side: bool
    picks: tuple[tuple[tuple[int, int], ...], ...]  # per column: (view, its column)
    places: tuple[tuple[int | None, ...], ...]  # per device: its row in each view
    renamed: Mapping[str, str]  # key a later probe gave -> key the first one gave

    @classmethod
    def of(cls, views: tuple[KindView, ...], before: Join | None) -> Join:
        columns: dict[str, list[tuple[int, int]]] = {}
        order: dict[str, Device] = {}
        by_place: dict[str, str] = {}
        rows: list[dict[str, int]] = []
        renamed: dict[str, str] = {}
        for number, view in enumerate(views):
            for place, name in enumerate(view.columns):
                columns.setdefault(name, []).append((number, place))
            known = _known_as(view.devices, by_place)
            rows.append({key: n for n, key in enumerate(known)})
            for key, device in zip(known, view.devices, strict=True):
                if key != device.key:
                    renamed[device.key] = key
                first = order.get(key)
                order[key] = device if first is None else _filled(first, device)
        devices = tuple(order.values())
        if before is not None and before.devices == devices:
            devices = before.devices
        keys = [device.key for device in devices]
        return cls(
            views,
            tuple(columns),
            devices,
            all(len(found) == 1 for found in columns.values()) and all(list(row) == keys for row in rows),
            tuple(tuple(found) for found in columns.values()),
            tuple(tuple(row.get(key) for row in rows) for key in keys),
            renamed,
        )

    def fits(self, views: tuple[KindView, ...]) -> bool:
        """Were these views made of the same tuples? Then the join still holds."""
        if len(views) != len(self.views):
            return False
        return all(
            a is b or (a.devices is b.devices and a.columns is b.columns)
            for a, b in zip(views, self.views, strict=True)
        )

    def block(self, views: tuple[KindView, ...]) -> Block:
        kind = views[0].kind
        if len(views) == 1:
            view = views[0]
            return Block(kind, view.columns, self.devices, view.rows, view.states)
        rows: Rows
        if self.side_by_side:
            rows = tuple([sum(parts, ()) for parts in zip(*[view.rows for view in views], strict=True)])
        else:
            rows = tuple(self._row(views, places) for places in self.places)
        states: dict[str, Mapping[str, str]] = {}
        for view in reversed(views):
            for own, words in view.states.items():
                key = self.renamed.get(own, own)
                states[key] = {**states.get(key, {}), **words}
        return Block(kind, self.columns, self.devices, rows, states)

    def _row(self, views: tuple[KindView, ...], places: tuple[int | None, ...]) -> tuple[Value, ...]:
        cells: list[Value] = []
        for picks in self.picks:
            value: Value = None
            for number, column in picks:
                place = places[number]
                if place is not None:
                    value = views[number].rows[place][column]
                    if value is not None:
                        break
            cells.append(value)
        return tuple(cells)


def _known_as(devices: Sequence[Device], by_place: dict[str, str]) -> list[str]:
    """Their keys; for whole cards at a PCI address under which an earlier probe saw one, the key it gave. A tool that
    prints no serial and one that does speak of the same card. Notes new places in `by_place`."""
    places = [d.pci if d.kind == "card" and d.parent is None and d.partition is None else None for d in devices]
    once = {place for place in places if place is not None and places.count(place) == 1}
    known = []
    for device, place in zip(devices, places, strict=True):
        key = by_place.get(place, device.key) if place in once else device.key
        if place in once:
            by_place.setdefault(place, key)
        known.append(key)
    return known if len(set(known)) == len(known) else [device.key for device in devices]


def _filled(first: Device, second: Device) -> Device:
    """`first` with what only `second` knows."""
    gaps = {n: getattr(second, n) for n in _IDENTITY if getattr(first, n) is None and getattr(second, n) is not None}
    shares = tuple(dict.fromkeys((*first.shares, *second.shares)))
    return replace(first, shares=shares, **gaps) if gaps or shares != first.shares else first
