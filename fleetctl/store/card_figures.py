"""What single cards do now, by the index their host's tool prints: for joining them to jobs that name cards that way."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from fleetctl.store.card_places import list_card_places
from fleetctl.store.catalogue import sample_columns
from fleetctl.store.samples import latest_samples


class CardFigures(NamedTuple):
    """One card's newest values; None where it tells none."""

    util_pct: float | None
    power_w: float | None


def card_figures(conn: sqlite3.Connection, hosts: Collection[str]) -> dict[str, dict[int, CardFigures]]:
    """Host -> index -> figures, of whole cards that told any within the last quarter of an hour."""
    if not hosts:
        return {}
    there = [name for name in CardFigures._fields if name in sample_columns(conn, "card")]
    if not there:
        return {}  # nothing was ever measured
    values = {
        device: dict(zip(there, told, strict=True)) for device, _slot, told in latest_samples(conn, "card", there)
    }
    found: dict[str, dict[int, CardFigures]] = defaultdict(dict)
    wanted = set(hosts)
    for place in list_card_places(conn):
        if place.host in wanted and place.id in values and place.number is not None and place.number.isdecimal():
            told = values[place.id]
            found[place.host][int(place.number)] = CardFigures(told.get("util_pct"), told.get("power_w"))
    return found
