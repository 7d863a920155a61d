"""The whole fleet at a glance: totals by the four axes, sites, what is worst, and how fresh all of it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.store.engine_row import EngineRow, engine_row
from fleetctl.store.summaries import fleet_figures
from fleetctl.views import findings, nodes
from fleetctl.views.findings import FindingGroup, FindingRow
from fleetctl.views.nodes import NodeRow
from fleetctl.views.sites import GroupRow, site_rows
from fleetctl.views.totals import Totals, total


@dataclass(frozen=True, slots=True)
class Overview:
    """nodes: all rows (states only, without figures of their own); open: firing findings; groups: the same folded."""

    fleet: str
    now: float
    totals: Totals
    sites: Sequence[GroupRow]
    nodes: Sequence[NodeRow]
    open: Sequence[FindingRow]
    groups: Sequence[FindingGroup]
    engine: EngineRow | None

    @property
    def stale(self) -> bool:
        """No host has answered lately: what is printed is history."""
        return self.totals.newest_at is None or not any(
            n for r, n in self.totals.reach.items() if r in ("fresh", "hung")
        )


def load(conn: sqlite3.Connection, inventory: Inventory, config: Config, now: float) -> Overview:
    """Everything from one snapshot. Utilisation, heat and power are those of the fleet's newest complete round."""
    rows = nodes.load(conn, inventory, now, config=config, figures=False)
    firing = findings.load(conn, inventory)
    figures = fleet_figures(conn, ("util_pct", "temp_c", "power_w"))
    cards, util, _highest = figures.get("util_pct", (0, 0.0, 0.0))
    told, power, _most = figures.get("power_w", (0, 0.0, 0.0))
    totals = replace(
        total(rows),
        util_pct=util / cards if cards else None,
        temp_c=figures["temp_c"][2] if "temp_c" in figures else None,
        power_w=power if told else None,
        power_nodes=0,
    )
    return Overview(
        fleet=config.name,
        now=now,
        totals=totals,
        sites=site_rows(rows, inventory),
        nodes=rows,
        open=firing,
        groups=findings.fold_findings(firing),
        engine=engine_row(conn),
    )
