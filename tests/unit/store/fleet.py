"""Fleets of a few hosts that report what a test says."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleetctl.model.reading import Device
from fleetctl.model.report import Block, HostReport
from fleetctl.model.states import Reach
from fleetctl.store import Database
from fleetctl.store.rounds import save_reports

COLUMNS = ("temp_c", "energy_j", "throttled", "mem_used_bytes", "util_pct")
HOUR = 1_700_002_800
HOUR_S = 3600


def cards(host: str, count: int = 8) -> tuple[Device, ...]:
    return tuple(Device("card", f"{host}-{n}", str(n), "nvidia") for n in range(count))


def save_round(db: Database, slot: int, hosts: Mapping[str, Sequence[tuple[Any, ...]]], columns: Any = COLUMNS) -> None:
    """One round in which every host of the dict sends these rows for its cards."""
    reports = [
        HostReport(name, slot + 1, Reach.FRESH, blocks=(Block("card", columns, cards(name, len(rows)), tuple(rows)),))
        for name, rows in hosts.items()
    ]
    save_reports(db, slot, reports)
