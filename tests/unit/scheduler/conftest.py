from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.fleet import SchedulerFleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SchedulerFleet]:
    made = SchedulerFleet.make(tmp_path / "fleet.db")
    with made.db:
        yield made
