"""Jobs of another scheduler joined to what cards measure: their own cards where they are told, else a share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleetctl.model.outside import OutsideJob
from fleetctl.store import Database
from fleetctl.store.outside import replace_jobs
from fleetctl.views import devices, jobs, node_cards
from fleetctl.views.jobs import show_indices
from tests.fakes.stored_fleet import NOW, fill

JOB = OutsideJob("slurm@s", "7", "train", "ann", "", "running", "p", (), 2, 1, None, NOW - 60, None, "")


def test_a_job_burns_what_its_own_cards_burn(tmp_path: Path) -> None:
    _config, inventory = fill(tmp_path / "fleet.db", hosts=48, rounds=4)
    with Database.open(tmp_path / "fleet.db", write=True) as db:
        with db.read() as conn:
            rows = devices.load(conn, {h.name: h.site for h in inventory.hosts.values()})
            host = next(r.node for r in rows if r.values.get("power_w") is not None)
            cards = [r for r in rows if r.node == host]
        known = replace(JOB, hosts=(host,), places={host: (1, 2)})
        untold = replace(JOB, id="8", hosts=(host,))
        missing = replace(JOB, id="9", hosts=(host,), places={host: (99,)})
        with db.write() as conn:
            replace_jobs(conn, "slurm@s", [known, untold, missing])
        with db.read() as conn:
            first, second, third = jobs.load(conn, inventory, NOW, node=host)
    assert first.job.places == {host: (1, 2)}
    assert (first.by, first.cards_on) == ("cards", "1-2")
    assert first.power_w == pytest.approx(sum(float(c.values["power_w"] or 0) for c in cards[1:3]))
    assert first.util_pct == pytest.approx(sum(float(c.values["util_pct"] or 0) for c in cards[1:3]) / 2)
    assert (second.by, second.cards_on, second.power_w) == ("nodes", None, None), "nobody said what is given away there"
    assert (third.by, third.power_w) == ("cards", None), "a card nobody measures is unknown, not nothing"
    assert jobs.by_card([first, third], host) == {"1": "7 ann", "2": "7 ann", "99": "9 ann"}
    who, what = jobs.on_node(first, host)
    assert (who, what.split(", ")[0]) == ("7 ann", "cards 1-2")
    assert jobs.on_node(second, host)[1].startswith("cards not told")
    table = node_cards.table(cards, [], {}, now=NOW, stale_after_s=150.0, jobs=jobs.by_card([first], host))
    (column,) = [c for c in table.columns if c.name == "job"]
    assert [column.value(row) for row in table.rows] == [None, "7 ann", "7 ann", *[None] * (len(cards) - 3)]


def test_indices() -> None:
    assert show_indices((0, 1, 2, 5)) == "0-2,5"
    assert show_indices((3,)) == "3"
