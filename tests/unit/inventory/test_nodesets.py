"""Node sets read and written without ClusterShell are what ClusterShell makes of them."""

from __future__ import annotations

import sys

from ClusterShell.NodeSet import NodeSet, NodeSetParseError
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import UsageError
from fleetctl.inventory.nodesets import expand, fold

PREFIXES = st.sampled_from(["gpu", "r1-gpu", "a.b", "x_", "n-", "R01c", "gpu0x", "a1.", "a1.b2-", "12"])
NUMBERS = st.builds(lambda n, width: str(n).zfill(width), st.integers(0, 120), st.sampled_from([0, 0, 2, 3]))
RANGES = st.one_of(NUMBERS, st.builds(lambda low, high: f"{low}-{high}", NUMBERS, NUMBERS))
SETS = st.builds(
    lambda prefix, ranges: f"{prefix}[{','.join(ranges)}]", PREFIXES, st.lists(RANGES, min_size=1, max_size=3)
)


@given(st.one_of(SETS, st.builds(str.__add__, PREFIXES, NUMBERS)))
def test_a_set_names_what_clustershell_says(text: str) -> None:
    try:
        theirs = [str(name) for name in NodeSet(text)]
    except NodeSetParseError:
        theirs = None
    try:
        ours = expand(text)
    except UsageError:
        ours = None
    assert ours == theirs


@given(SETS, st.data())
def test_names_fold_as_clustershell_folds_them(text: str, data: st.DataObject) -> None:
    try:
        names = expand(text)
    except UsageError:
        return
    some = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=20))
    assert fold(some) == str(NodeSet.fromlist(some))


def test_a_plain_fleet_does_not_load_clustershell() -> None:
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("ClusterShell")}
    try:
        assert fold(expand("gpu[0001-0008,0017]")) == "gpu[0001-0008,0017]"
        assert expand("gpu7") == ["gpu7"]
        assert not any(name.startswith("ClusterShell") for name in sys.modules)
    finally:
        sys.modules.update(kept)
