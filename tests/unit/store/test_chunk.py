"""Chunks and rollups come back as they went in, and damaged ones say so."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.errors import StoreCorruptError
from fleetctl.model.metric import MetricKind
from fleetctl.store.catalogue import Steps
from fleetctl.store.chunk import Chunk, decode_chunk, encode_chunk
from fleetctl.store.rollup import Hour, decode_rollup, encode_rollup, roll

CELL = st.one_of(st.none(), st.integers(-3, 100), st.integers(-(2**62), 2**62))


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    devices = tuple(sorted(draw(st.sets(st.integers(0, 10**9), min_size=1, max_size=5))))
    slots = tuple(sorted(draw(st.sets(st.integers(0, 2**40), min_size=1, max_size=8))))
    columns, steps = {}, {}
    for name in draw(st.sets(st.sampled_from(["temp_c", "mem_used_bytes", "load1", "x"]), max_size=4)):
        line = st.lists(CELL, min_size=len(slots), max_size=len(slots))
        table = draw(st.lists(line, min_size=len(devices), max_size=len(devices)))
        cells = np.array([[0 if cell is None else cell for cell in row] for row in table], np.int64)
        known = np.array([[cell is not None for cell in row] for row in table])
        columns[name] = (cells, None if known.all() else known)
        steps[name] = Steps.of(draw(st.sampled_from([1.0, 2.0**20, 0.01, 0.3])))
    return Chunk(devices, slots, columns, steps)


@settings(deadline=None)
@given(chunks())
def test_a_chunk_comes_back(chunk: Chunk) -> None:
    back = decode_chunk(encode_chunk(chunk))
    assert (back.devices, back.slots) == (chunk.devices, chunk.slots)
    for name in chunk.columns:
        for device in chunk.devices:
            assert back.values(device, name) == chunk.values(device, name)
    assert set(back.columns) <= set(chunk.columns)


def test_only_the_metrics_asked_for_are_unpacked() -> None:
    cells = np.array([[1, 2, 3]], np.int64)
    data = encode_chunk(
        Chunk((7,), (0, 60, 120), {"a": (cells, None), "b": (cells, None)}, {"a": Steps(), "b": Steps()})
    )
    assert set(decode_chunk(data, {"b"}).columns) == {"b"}
    assert decode_chunk(data).values(8, "a") == []


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(StoreCorruptError):
        decode_chunk(b"FC1" + data)
    with pytest.raises(StoreCorruptError):
        decode_chunk(data)


def test_one_flipped_bit_is_noticed() -> None:
    cells = np.arange(60, dtype=np.int64).reshape(1, 60) ** 2
    data = encode_chunk(Chunk((7,), tuple(range(60)), {"a": (cells, None)}, {"a": Steps()}))
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1
        with pytest.raises(StoreCorruptError):
            decode_chunk(bytes(broken))


LINE = st.lists(st.one_of(st.none(), st.integers(0, 10**6)), min_size=1, max_size=10)


@settings(deadline=None)
@given(LINE, st.sampled_from(list(MetricKind)))
def test_a_rollup_says_what_the_values_say(line: list[int | None], kind: MetricKind) -> None:
    cells = np.array([[v or 0 for v in line], [5] * len(line)], np.int64)
    known = np.array([[v is not None for v in line], [True] * len(line)])
    four = roll(cells, None if known.all() else known, kind)
    data = encode_rollup((16, 17), {"m": (four, kind, Steps.of(0.01))})
    values = [v for v in line if v is not None]
    assert decode_rollup(data, 17, {"m"})["m"].value == pytest.approx(0.05)
    if not values:
        assert decode_rollup(data, 16, {"m"}) == {}
        return
    hour = decode_rollup(data, 16, {"m"})["m"]
    assert hour.n == len(values)
    if kind is MetricKind.GAUGE:
        assert hour.value == pytest.approx(sum(values) / len(values) / 100)
    else:
        assert hour.value == values[-1] / 100
    if kind is MetricKind.COUNTER:
        steps = [b - a if b >= a else b for a, b in pairwise(values)]
        assert hour.growth == sum(steps) / 100
    else:
        assert (hour.low, hour.high, hour.growth) == (min(values) / 100, max(values) / 100, None)


def test_an_hour_of_a_device_that_is_not_there() -> None:
    data = encode_rollup(
        (16,), {"m": (roll(np.array([[3, 4]], np.int64), None, MetricKind.GAUGE), MetricKind.GAUGE, Steps())}
    )
    assert decode_rollup(data, 99, {"m"}) == {}
    assert decode_rollup(data, 16, {"other"}) == {}
    assert decode_rollup(data, 16, {"m"}) == {"m": Hour(2, 3.5, 3, 4)}
