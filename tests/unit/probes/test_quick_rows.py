"""The line of values: numbers or nothing, the same with and without msgspec."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.probes import quick_rows as module
from fleetctl.probes.quick_rows import by_json, by_type, quick_rows

WAYS = {"json": by_json, "type": by_type()}  # by type only where the extra `fast` is installed


@pytest.fixture(params=[way for way, decode in WAYS.items() if decode], autouse=True, scope="module")
def way(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_decode", WAYS[request.param])
        yield


@pytest.mark.parametrize(
    "last",
    [
        "[[1,2]]", "[[1,2],[3]]", '[[1,2],["3",4]]', "[[1,2],[3,[4]]]", "[[1,2],[3,true]]", "[[1,2],[3,1e999]]",
        "[[1,2],[3,NaN]]", "[[1,2],[3,1000000000000000000000]]", "[[1,2],[3,4]] x", "[[1,[2]],3]", "", "[[1,2],[3,4",
    ],
)  # fmt: skip
def test_a_line_that_is_not_exactly_numbers_is_left_to_the_parser(last):
    assert quick_rows(last.encode(), 2, 2) is None


@given(st.binary(max_size=80), st.integers(0, 3), st.integers(0, 3))
def test_quick_rows_are_numbers_or_nothing(text, devices, columns):
    rows = quick_rows(text, devices, columns)
    assert rows is None or all(type(cell) in (int, float, type(None)) for row in rows for cell in row)


CELLS = st.none() | st.integers(-(10**17) + 1, 10**17 - 1) | st.decimals(-1e6, 1e6, places=2).map(float)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4)))
def test_what_a_reader_prints_is_read_as_it_is(rows):
    text = json.dumps(rows, separators=(",", ":")).encode() + b"\n"
    assert quick_rows(text, len(rows), len(rows[0])) == tuple(map(tuple, rows))
    assert quick_rows(text, len(rows) + 1, len(rows[0])) is None
