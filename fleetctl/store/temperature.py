"""The one temperature of a card: its core's; where its tool prints none (MI300X), that of the hottest point."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetctl.model.reading import Value

CORE, HOT_SPOT = "temp_c", "hotspot_temp_c"


def card_temp_c(values: Mapping[str, Value]) -> Value:
    """From a card's newest values by metric; None when it tells neither."""
    core = values.get(CORE)
    return core if core is not None else values.get(HOT_SPOT)


def sources(kind: str, metric: str, there: Collection[str]) -> Sequence[str]:
    """The stored metrics that answer for one, best first; there: those that have a column."""
    if kind == "card" and metric == CORE:
        return [name for name in (CORE, HOT_SPOT) if name in there]
    return [metric] if metric in there else []


def first_of(names: Sequence[str], alias: str) -> str:
    """SQL: the first of these columns that is known. names: at least one, as `sources` gives them."""
    found = ", ".join(f"{alias}.{name}" for name in names)
    return f"coalesce({found})" if len(names) > 1 else found
