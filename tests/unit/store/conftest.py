"""A small store to write into, and reports to write."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetctl.store import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "fleet.db", write=True) as opened:
        yield opened
