"""`fleetctl history` of a facility endpoint: total power, and heat and flow of coolers."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetctl.model.facility import EndpointReport, EndpointResult, Measurement
from fleetctl.store.database import Database
from fleetctl.store.facility import save_endpoint_results

Call = Callable[..., tuple[int, str, str]]
URL = "modbus://10.0.2.3:502/1"


@pytest.fixture
def cdu(fleet: Path) -> None:
    with fleet.open("a") as file:
        file.write(f'[[facility.devices]]\nname = "cdu-1"\nkind = "cdu"\nurl = "{URL}"\n')
    now = time.time()
    with Database.open(fleet.parent / "fleet.db", write=True) as db, db.write() as conn:
        for hours_ago in (3, 2, 1):
            at = now - 3600 * hours_ago
            readings = (
                Measurement("temperature", "supply", 30.0 + hours_ago, "C", "r1", "", at),
                Measurement("voltage", "L1", 230.0, "V", "r2", "", at),
            )
            report = EndpointReport(URL, "modbus", at, readings, total_power_w=1000.0 * hours_ago)
            save_endpoint_results(conn, [EndpointResult("cdu-1", "cdu", URL, at, report=report)])


@pytest.mark.usefixtures("cdu")
def test_power_and_heat_of_a_cooler(call: Call) -> None:
    code, out, _err = call("history", "cdu-1", "power", "-o", "csv")
    assert code == 0
    assert [float(r["power"]) for r in csv.DictReader(io.StringIO(out))] == [3000, 2000, 1000]
    code, out, _err = call("history", "cdu-1", "temperature")
    assert code == 0
    assert out.startswith("cdu-1 supply temperature: 31")
    assert out.count("*") == 3
    code, out, err = call("history", "cdu-1", "voltage")  # not kept over time
    assert (code, out) == (0, "")
    assert "no values of voltage" in err
    assert call("history", "cdu-2", "power")[0] != 0


@pytest.mark.usefixtures("cdu")
def test_what_was_told_since_the_last_quarter_is_the_last_value(call: Call, fleet: Path) -> None:
    at = time.time() - 3600 + 1  # the slot is taken
    report = EndpointReport(URL, "modbus", at, (Measurement("temperature", "supply", 55.0, "C", "r1", "", at),))
    with Database.open(fleet.parent / "fleet.db", write=True) as db, db.write() as conn:
        save_endpoint_results(conn, [EndpointResult("cdu-1", "cdu", URL, at, report=report)])
    code, out, _err = call("history", "cdu-1", "temperature", "-o", "csv")
    assert code == 0
    assert [float(r["temperature"]) for r in csv.DictReader(io.StringIO(out))] == [33, 32, 31, 55]
