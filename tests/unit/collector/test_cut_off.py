"""A site cut off: what its hosts said before and after is kept once, what lies between stays unknown."""

from __future__ import annotations

from pathlib import Path

from fleetctl.model.report import HostReport
from fleetctl.model.states import Reach
from fleetctl.store import Database
from fleetctl.store.rounds import recorder_of
from tests.unit.collector.test_collector import INTERVAL_S, Bed

# A day is twelve of these, minute by minute the same; the collector has long been at its slowest pace by then.
CUT_S = 7200.0


class Night(Bed):
    """Keeps what was handed over batch by batch, as the engine stores it."""

    def __init__(self, *modes: str) -> None:
        super().__init__(*modes, quiet_interval_s=600.0)
        self.batches: list[tuple[int, list[HostReport]]] = []

    async def take(self, slot: int, reports: list[HostReport]) -> None:
        await super().take(slot, reports)
        self.batches.append((slot, list(reports)))


async def test_a_site_that_was_cut_off_leaves_a_gap_and_nothing_twice(tmp_path: Path) -> None:
    async with Night("ok", "ok").running() as bed:
        await bed.clock.advance(5 * INTERVAL_S)
        cut_at = bed.clock.now()
        bed.hosts["n1"].mode = "dark"
        bed.hosts["n1"].lose()
        await bed.clock.advance(CUT_S)
        back_at = bed.clock.now()
        bed.hosts["n1"].mode = "ok"
        await bed.clock.advance(1300.0)
        assert bed.of("n1")[-1].reach is Reach.FRESH

    with Database.open(tmp_path / "fleet.db", write=True) as db:
        for slot, batch in bed.batches:
            for _ in range(2):  # a batch told again, as after a refused write, changes nothing
                recorder_of(db).save(slot, batch)
        with db.read() as conn:
            rows = conn.execute(
                "SELECT h.name, s.slot FROM host_samples s JOIN devices d ON d.id = s.device JOIN hosts h ON h.id = d.host"
                " WHERE s.load1 IS NOT NULL"
            ).fetchall()
    assert len(rows) == len(set(rows))
    kept = {slot for name, slot in rows if name == "n1"}
    assert not [slot for slot in kept if cut_at + INTERVAL_S < slot < back_at - INTERVAL_S]
    heard = {slot for slot, batch in bed.batches for r in batch if r.host == "n1" and r.error is None and r.blocks}
    assert heard == kept, "a round that was heard is not kept"
    assert min(kept) <= cut_at < back_at <= max(kept)
    beside = {slot for name, slot in rows if name == "n0"}
    assert len(beside) > len(kept) + CUT_S / INTERVAL_S * 0.9, "the other site missed rounds"
