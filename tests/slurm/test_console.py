"""The console drives the real Slurm: drain by keys, wait for the job, drained, resume by keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleetctl.model.states import Admin
from fleetctl.tui.app import Console
from fleetctl.tui.store_source import StoreSource
from tests.tui.conftest import press, settle, text_of

from .conftest import Bed, Desk

pytestmark = pytest.mark.peers


async def test_drain_wait_drained_resume_by_keys(bed: Bed, desk: Desk, tmp_path: Path) -> None:
    job = bed.job("osl-h100-01")
    await desk.until(lambda: desk.node("osl-h100-01").jobs == (f"{job} root",))
    config = replace(desk.config, store=replace(desk.config.store, path=str(tmp_path / "fleet.db")))
    source = StoreSource(config, desk.inventory)
    app = Console(source, watch=False)
    try:
        async with app.run_test(size=(100, 30)) as pilot:
            await settle(app, pilot)

            async def see() -> str:
                app.screen.reload()  # type: ignore[attr-defined]
                await settle(app, pilot)
                return text_of(app)

            await press(app, pilot, ":", "=osl-h100-01", "enter")
            shown = await see()
            assert "slurm@osl: allocated" in shown or "slurm@osl: mixed" in shown
            assert f"job {job} root" in shown
            assert "cards 0-7" in shown

            await press(app, pilot, "d", "=hw: fan 3", "enter", "enter", "escape")
            await desk.until(lambda: "drain" in bed.state("osl-h100-01"))
            await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.DRAINING)
            assert "draining" in await see()

            bed("scancel", job)
            await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.DRAINED)
            shown = await see()
            assert "drained" in shown
            assert "slurm@osl: idle+drain" in shown

            await press(app, pilot, "r", "enter", "enter", "escape")
            await desk.until(lambda: bed.takes_work("osl-h100-01"))
            await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.IN_SERVICE)
            assert "in service" in await see()
    finally:
        source.close()
