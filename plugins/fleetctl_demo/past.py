"""What a demo building did before the demo began: its power and cooling of the last days, so that plots and PUE have a past."""

from __future__ import annotations

import json
from pathlib import Path

from fleetctl.config import load_config
from fleetctl.facility.endpoints import endpoints
from fleetctl.inventory import build_inventory
from fleetctl.model.facility import EndpointReport, EndpointResult
from fleetctl.store import Database
from fleetctl.store.facility import save_endpoint_results
from fleetctl.store.facility_history import SLOT_S, TOTAL, save_facility_history
from fleetctl_demo.building import Building
from fleetctl_demo.bus import report_of

DAYS = 14  # by the hour, the last of them by the quarter, as the store keeps them
MOST_VALUES = 60_000  # a large fleet gets a shorter past instead of a late start
MOST_BMCS = 1_000  # beyond, only meters and coolers have a past
KEPT = ("energy", "temperature", "flow", "cooling_power")  # of meters and coolers, beside everyone's power


def write_past(config_path: Path, building: Building, now: float) -> None:
    """Fill the store of a new demo up to the slot before now; one that was used before keeps what it has."""
    config = load_config(config_path)
    if Path(config.store.path).exists():
        return
    asked = list(endpoints(config, build_inventory(config)).values())
    if len(building.machines) > MOST_BMCS:
        asked = [one for one in asked if one.host is None]
    moments = _moments(now, MOST_VALUES // max(1, len(asked)))
    values: dict[tuple[str, str], list[tuple[float, float]]] = {}
    last: dict[str, EndpointReport] = {}
    for at in moments:
        for one in asked:
            path = f"bmc/{one.host}" if one.host else one.name
            told = building.tell(path, at)
            if told is None:
                continue
            readings = told["readings"]
            values.setdefault((one.name, TOTAL), []).append((at, float(readings[told["total"]][2])))
            if one.kind != "bmc":
                for quantity, where, value, _unit in readings:
                    if quantity in KEPT:
                        values.setdefault((one.name, f"{quantity}/{where}"), []).append((at, float(value)))
            if at == moments[-1]:
                last[one.name] = report_of(one.url, path, json.dumps(told), at)
    with Database.open(config.store.path, write=True) as db, db.write() as conn:
        results = [EndpointResult(a.name, a.kind, a.url, moments[-1], a.host, a.site, last.get(a.name)) for a in asked]
        save_endpoint_results(conn, results)
        for (name, series), told_at in values.items():
            save_facility_history(conn, name, series, told_at)


def _moments(now: float, most: int) -> list[float]:
    """The slots of the past, oldest first, the newest `most` of them: hours, and quarters on the last day."""
    newest = now // SLOT_S * SLOT_S - SLOT_S
    quarters = [newest - n * SLOT_S for n in range(int(86_400 / SLOT_S))]
    first_hour = quarters[-1] // 3600 * 3600 - 3600
    return sorted([*quarters, *(first_hour - n * 3600 for n in range((DAYS - 1) * 24))][: max(1, most)])
