"""The figures of a replay as a table: one line per figure, nested names joined by dots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleetctl.views.column import Cell, Column, Table

Figure = tuple[str, Cell]

COLUMNS: tuple[Column[Figure], ...] = (
    Column("figure", "Figure", lambda r: r[0], width=32),
    Column(
        "value",
        "Value",
        lambda r: r[1],
        lambda v: f"{v:,.3f}".rstrip("0").rstrip(".") if isinstance(v, float) else str(v),
        width=14,
        right=True,
    ),
)


def figures_table(figures: Mapping[str, Any]) -> Table[Figure]:
    """Rows in the order of the figures."""
    return Table("figure", COLUMNS, list(_flat(figures, "")), lambda r: r[0])


def _flat(value: Any, name: str) -> Iterator[Figure]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _flat(inner, f"{name}.{place}")
    else:
        yield (name, value)
