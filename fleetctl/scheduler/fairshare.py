"""What each tenant used, the past counting less and less, and how that stands to its share."""

from __future__ import annotations

import sqlite3

from fleetctl.config.schema import Config
from fleetctl.store.leases import card_seconds

_WINDOWS = 8  # half-lives looked back; what lies before counts less than 0.4 %


def fair_use(conn: sqlite3.Connection, config: Config, now: int) -> dict[str, float]:
    """Tenant -> card-seconds; use of the last half-life counts whole, of the one before half, and so on."""
    step = max(1, int(config.scheduling.fair_half_life_s))
    used: dict[str, float] = {}
    for back in range(_WINDOWS):
        for tenant, seconds in card_seconds(conn, now - (back + 1) * step, now - back * step).items():
            used[tenant] = used.get(tenant, 0.0) + seconds * 0.5**back
    return used
