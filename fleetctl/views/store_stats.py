"""The store in figures: one row per quantity."""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.store.upkeep import Stats
from fleetctl.views.column import Column, Table
from fleetctl.views.units import iso_moment, show_bytes


@dataclass(frozen=True, slots=True)
class StatRow:
    """One quantity: value as a number (bytes, counts) or a moment in ISO form, and as people read it."""

    name: str
    value: int | str | None
    shown: str | None


COLUMNS: tuple[Column[StatRow], ...] = (
    Column("name", "WHAT", lambda row: row.name, width=18),
    Column("value", "VALUE", lambda row: row.shown, width=24),
    Column("raw", "RAW", lambda row: row.value, width=20, wide=True),
)


def table(stats: Stats) -> Table[StatRow]:
    """A store's figures as a table; raw values with -o wide, json, yaml and csv."""
    rows = []
    for name in Stats.__dataclass_fields__:
        value = getattr(stats, name)
        if name.endswith("_bytes"):
            rows.append(StatRow(name, value, show_bytes(value)))
        elif name.endswith("_slot"):
            moment = iso_moment(value)
            rows.append(StatRow(name, moment, moment))
        else:
            rows.append(StatRow(name, value, str(value)))
    return Table("store", COLUMNS, rows, lambda row: row.name)
