"""What hosts said once is not lost because the store was busy when they said it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetctl.config import parse_config
from fleetctl.engine import engine as engine_module
from fleetctl.engine.engine import Engine
from fleetctl.errors import StoreBusyError
from fleetctl.model.report import HostReport
from fleetctl.model.states import Reach


@pytest.mark.parametrize(("refusals", "kept"), [(0, True), (2, True), (10_000, False)])
async def test_a_refused_batch_is_tried_again_and_given_up_in_the_end(
    refusals: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Engine(parse_config(f"[store]\npath = '{tmp_path}/fleet.db'\n".encode()))
    monkeypatch.setattr(engine_module, "_RETRY_S", 0.0)
    asked: list[int] = []

    def save(slot: int, reports: list[HostReport]) -> bool:
        asked.append(slot)
        if len(asked) <= refusals:
            raise StoreBusyError("another writer holds it")
        return True

    monkeypatch.setattr(one, "_save", save)
    await one._keep(60, [HostReport("gpu001", 61.0, Reach.FRESH)])
    assert len(asked) == (refusals + 1 if kept else engine_module.SAVE_TRIES)
    one._writer.shutdown()
