"""What a table shows, worked out away from the screen: filtered, sorted, with the place of every key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class Order:
    """By which column, and which end first. None leaves the table's own order."""

    column: str | None = None
    reverse: bool = False


AS_GIVEN = Order()


@dataclass(frozen=True, slots=True)
class Arranged:
    """Rows in the order they are shown. place: key -> line; total: rows before the filter."""

    rows: Sequence[Any] = ()
    keys: Sequence[str] = ()
    place: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    key_width: int = 0
    order: Order = AS_GIVEN


def arrange(
    table: Table[Any], order: Order, keep: Callable[[Any], bool] | None = None, before: Arranged | None = None
) -> Arranged:
    """Filter, sort (unknown last, whichever way), and index one table. Pure; runs in a worker for large fleets.

    before: how it was shown until now; where the keys are the same, its index serves again.
    """
    rows = list(table.rows) if keep is None else [row for row in table.rows if keep(row)]
    column = next((c for c in table.columns if c.name == order.column), None)
    if column is not None:
        rows = sort_rows(rows, column, order.reverse)
    keys = list(map(table.key, rows))
    if before is not None and before.keys == keys:
        return replace(before, rows=rows, total=len(table.rows), order=order)
    # Built by C loops: this runs for a whole fleet at every round.
    place = dict(zip(keys, range(len(keys)), strict=True))
    return Arranged(rows, keys, place, len(table.rows), max(map(len, keys), default=0), order)


_RANK = {"crit": 0, "unreachable": 0, "unknown": 1, "hung": 1, "stale": 2, "warn": 2, "ok": 3, "fresh": 3}


def sort_rows(rows: list[Any], column: Column[Any], reverse: bool) -> list[Any]:
    """Rows by one column. Words of health and reach sort worst first; unknown values stay at the end both ways."""
    value = column.value
    known: list[tuple[Any, Any]] = []
    unknown: list[Any] = []
    for row in rows:
        v = value(row)
        if v is None or v == "":
            unknown.append(row)
        else:
            known.append((_RANK.get(str(v), 9) if column.name in ("health", "reach") else v, row))
    try:
        known.sort(key=_first, reverse=reverse)
    except TypeError:  # words and numbers in one column
        known.sort(key=lambda pair: str(pair[0]), reverse=reverse)
    return [row for _, row in known] + unknown


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]
