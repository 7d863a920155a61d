"""Processes and links of one node: card numbers as tools print them, unknown stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetctl.model.reading import Device, Link, Process
from fleetctl.model.report import Block, HostReport
from fleetctl.model.states import Reach
from fleetctl.store.database import Database
from fleetctl.store.rounds import save_reports
from fleetctl.views import links, processes

T = 1_700_000_040
CARDS = tuple(Device("card", f"GPU-{n}", index=str(n)) for n in range(2))


@pytest.fixture
def stored(tmp_path: Path) -> Database:
    report = HostReport(
        "a",
        T,
        Reach.FRESH,
        blocks=(Block("card", ("temp_c",), CARDS, ((50.0,), (51.0,))),),
        processes=(Process(9, "GPU-1", "python", "ann", 2**30), Process(7, "GPU-0"), Process(8, "GPU-1")),
        links=(
            Link("GPU-0", "0", "nvlink", True, 50.0, 3, "GPU-1"),
            Link("GPU-0", "1", "nvlink", False, 25.0, 4, "GPU-1"),
            Link("GPU-0", "2", "roce", None),
            Link("GPU-1", "0", "nvlink", True, 50.0, None, "GPU-0"),
        ),
    )
    db = Database.open(tmp_path / "fleet.db", write=True).__enter__()
    save_reports(db, T, [report])
    return db


def test_processes_stand_card_by_card(stored: Database) -> None:
    with stored.read() as conn:
        rows = processes.load(conn, "a")
    assert [(r.card, r.process.pid, r.process.user) for r in rows] == [("0", 7, None), ("1", 8, None), ("1", 9, "ann")]


def test_links_are_one_row_per_card_and_kind(stored: Database) -> None:
    with stored.read() as conn:
        told = {(r.card, r.kind): r for r in links.load(conn, "a")}
    assert told["0", "nvlink"] == links.LinkRow("0", "nvlink", 2, 1, "1", 25.0, 7, "GPU-1")
    assert told["0", "roce"] == links.LinkRow("0", "roce", 1, None, "", None, None, "")
    assert told["1", "nvlink"].errors is None
