"""A small fleet that was polled a moment ago: six nodes of two vendors, one silent, one draining, one leased."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetctl.cli import context
from fleetctl.cli.app import run
from fleetctl.model.admin import Actor, ActorKind, NodeAdmin, Reason, Wish
from fleetctl.model.lease import Hold, Lease, LeaseState
from fleetctl.model.reading import Device, Fault, FaultAction
from fleetctl.model.report import Block, ErrorKind, HostReport
from fleetctl.model.states import Health, Reach, ReasonClass
from fleetctl.store.audit import append_audit
from fleetctl.store.database import Database
from fleetctl.store.engine_row import save_engine_start
from fleetctl.store.findings import open_finding
from fleetctl.store.leases import insert_lease
from fleetctl.store.nodes import save_admin
from fleetctl.store.rounds import save_reports

FLEET = """
name = "lab"
[[sites]]
name = "lingang"
title = "临港"
[[sites]]
name = "pudong"
[[racks]]
name = "r1"
site = "lingang"
nodes = "gpu[001-003]"
power_budget_w = 10000
[[pools]]
name = "train"
nodes = "gpu[001-004]"
[[hosts]]
nodes = "gpu[001-004]"
site = "lingang"
cards = 2
[[hosts]]
nodes = "npu[1-2]"
site = "pudong"
cards = 2
[store]
path = "fleet.db"
"""
OPERATOR = Actor(ActorKind.PERSON, "li")
CARD = ("util_pct", "temp_c", "power_w", "mem_used_bytes", "mem_total_bytes")


def cards(host: str, number: int) -> tuple[Device, ...]:
    vendor, model = ("nvidia", "H100 SXM5") if host.startswith("gpu") else ("ascend", "910B3")
    return tuple(Device("card", f"{host}-{i}", str(i), vendor, model, model, driver="1.0") for i in range(number))


def reports(at: float) -> Iterator[HostReport]:
    for n, host in enumerate(("gpu001", "gpu002", "gpu003", "npu1", "npu2")):
        rows = tuple((10 * n + i, 60 + n + i, 300 + n, 40 << 30, 80 << 30) for i in range(2))
        faults = (
            (Fault("nvidia", "xid", "79", "GPU has fallen off the bus", f"{host}-1", FaultAction.REPAIR),)
            if host == "gpu002"
            else ()
        )
        yield HostReport(
            host,
            at,
            Reach.FRESH,
            blocks=(
                Block("card", CARD, cards(host, 2), rows),
                Block("host", ("load1", "cpu_pct"), (Device("host", host),), ((1.5, 20 + n),)),
            ),
            faults=faults,
            facts={"kernel": "5.15.0"},
        )
    yield HostReport("gpu004", at, Reach.UNREACHABLE, ErrorKind.TIMED_OUT, "no answer in 15 s")


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET)
    now = int(time.time())
    with Database.open(tmp_path / "fleet.db", write=True) as db:
        for rounds_ago in (2, 1, 0):
            save_reports(db, (now - now % 60) - 60 * rounds_ago, reports(now - 60 * rounds_ago))
        with db.write() as conn:
            save_engine_start(conn, 1, "ops", "0.1.0", now)
            open_finding(conn, now, "xid", "xid 79 on card 1", severity=Health.CRIT, host="gpu002", device="gpu002-1")
            open_finding(conn, now, "disk_full", "disk 91 %", severity=Health.WARN, host="npu1")
            append_audit(conn, now - 30, OPERATOR, "drain", "gpu003", {"reason": "hw: fan", "to": "drain"})
            save_admin(
                conn,
                NodeAdmin(
                    "gpu003", Wish.DRAIN, 1, OPERATOR, Reason(ReasonClass.HW, "fan"), since_at=now - 30, observed_at=now
                ),
            )
            insert_lease(
                conn,
                Lease(
                    "l-1", "r-1", "acme", "li", LeaseState.ACTIVE, now - 600, None, (Hold("gpu001", "gpu001-0", 1000),)
                ),
            )
    monkeypatch.setenv("FLEETCTL_CONFIG", str(path))
    monkeypatch.delenv("FLEETCTL_LANG", raising=False)
    monkeypatch.setenv("LC_ALL", "C")
    yield path
    context.set_options(context.GlobalOptions())


@pytest.fixture
def call(fleet: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run one command line in this process: (exit code, stdout, stderr)."""

    def called(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return called
