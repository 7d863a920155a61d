"""Bodies read strictly or by json: the same plain data, and what only json takes is still read."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl_redfish.session import decode

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def shape(value: Any) -> Any:
    """As it is, with types: 1 is not 1.0 is not true."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else (type(value), value)


@given(DATA, st.sampled_from(["utf-8", "utf-16"]))
def test_a_body_is_what_json_reads(data: Any, encoding: str) -> None:
    body = json.dumps(data).encode(encoding)
    assert shape(decode(body)) == shape(json.loads(body))


@given(st.binary())
def test_bytes_that_json_refuses_are_refused(data: bytes) -> None:
    try:
        wanted = json.loads(data)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the reader says
            decode(data)
    else:
        assert repr(decode(data)) == repr(wanted)


def test_not_a_number_is_read_as_firmware_writes_it() -> None:
    assert math.isnan(decode(b'{"PowerConsumedWatts": NaN}')["PowerConsumedWatts"])
    assert decode(b"[1e400]") == [math.inf]
