"""JSON of a hostile host with one huge name over many leaves: no leaf carries it along."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from fleetctl_amd.amd_smi import _flat as amd
from fleetctl_metax.parsers import _flatten as metax
from fleetctl_mthreads.parsers import _flat as mthreads


@pytest.mark.parametrize("flat", [amd, metax, lambda d: mthreads(d).items()], ids=["amd", "metax", "mthreads"])
def test_leaves_below_a_huge_name_are_left_out(flat: Callable[[dict[str, Any]], Iterable[tuple[str, Any]]]) -> None:
    document = {"n" * 100_000: {f"k{i}": 1 for i in range(100)}, "asic": {"name": "x"}}
    assert [(path, value) for path, value in flat(document)] == [("asic/name", "x")]
