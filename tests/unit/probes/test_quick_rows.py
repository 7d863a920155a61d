"""The line of values: numbers or nothing, the same with and without msgspec."""

from __future__ import annotations

import json
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.probes import quick_rows as module
from fleetctl.probes.quick_rows import by_json, by_type, quick_rows

WAYS = {"json": by_json, "type": by_type}  # by type only where the extra `fast` is installed
COUNTS = ("errors", "resets", "parts", "tries")  # of no dimension: any count can be


@pytest.fixture(params=[way for way, decoder in WAYS.items() if decoder(COUNTS)], autouse=True, scope="module")
def way(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_decoder", lru_cache(WAYS[request.param]))
        yield


@pytest.mark.parametrize(
    "last",
    [
        "[[1,2]]", "[[1,2],[3]]", '[[1,2],["3",4]]', "[[1,2],[3,[4]]]", "[[1,2],[3,true]]", "[[1,2],[3,1e999]]",
        "[[1,2],[3,NaN]]", "[[1,2],[3,1000000000000000000000]]", "[[1,2],[3,4]] x", "[[1,[2]],3]", "", "[[1,2],[3,4",
        "[[1,2],[3,4,5]]", "[[1,2],[3,-1]]",
    ],
)  # fmt: skip
def test_a_line_that_is_not_exactly_numbers_is_left_to_the_parser(last):
    assert quick_rows(last.encode(), 2, COUNTS[:2]) is None


@pytest.mark.parametrize("temp", ["4294967295", "-300", "1001.5", "-32768"])
def test_a_number_that_no_card_can_say_is_left_to_the_parser(temp):
    assert quick_rows(b"[[73,512.5]]", 1, ("temp_c", "power_w")) == ((73, 512.5),)
    assert quick_rows(f"[[{temp},512.5]]".encode(), 1, ("temp_c", "power_w")) is None


@given(st.binary(max_size=80), st.integers(0, 3), st.integers(0, 3))
def test_quick_rows_are_numbers_or_nothing(text, devices, columns):
    rows = quick_rows(text, devices, COUNTS[:columns])
    assert rows is None or all(type(cell) in (int, float, type(None)) for row in rows for cell in row)


CELLS = st.none() | st.integers(0, 2**53) | st.decimals(0, 1e6, places=2).map(float)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4)))
def test_what_a_reader_prints_is_read_as_it_is(rows):
    text = json.dumps(rows, separators=(",", ":")).encode() + b"\n"
    assert quick_rows(text, len(rows), COUNTS[: len(rows[0])]) == tuple(map(tuple, rows))
    assert quick_rows(text, len(rows) + 1, COUNTS[: len(rows[0])]) is None
