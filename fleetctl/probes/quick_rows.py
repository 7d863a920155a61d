"""The line of values that a quick reader prints -> rows of numbers, or None when it is not exactly that.

Read for every host in every round, so it is half of what a frame costs: with msgspec (extra `fast`) the types and bounds
are checked while decoding; without it the text is checked first, in C, and then read by json.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from json import JSONDecoder
from typing import Annotated, Any

from fleetctl.probes.blocks import Rows
from fleetctl.probes.text import limits

_SIGNS = b"0123456789.,-[]nul \n"  # whatever else stands there, the careful reader decides
_ALL_NINES = bytes.maketrans(b"0123456789", b"9999999999")
_TOO_LONG = b"9" * 18  # digits in a row: beyond what the store holds
_MAX_TEXT = 262_144
_MOST = 10**17
_read_json = JSONDecoder().raw_decode
_Decode = Callable[[bytes], Rows]


def quick_rows(text: bytes, devices: int, columns: tuple[str, ...]) -> Rows | None:
    """`devices` rows of one possible number or None for each of `columns` (metrics); None for every other text."""
    if len(text) > _MAX_TEXT:
        return None
    try:
        rows = _decoder(columns)(text)
    except (ValueError, TypeError):
        return None
    return rows if len(rows) == devices else None


def by_json(columns: tuple[str, ...]) -> _Decode:
    """Whatever stands there, with those signs nothing but numbers, lists and null can be in it."""
    bounds = tuple(_bounds(metric) for metric in columns)

    def decode(text: bytes) -> Rows:
        if text.translate(None, _SIGNS) or _TOO_LONG in text.translate(_ALL_NINES):
            raise ValueError("not a line of numbers")
        read, end = _read_json(text.decode("ascii"))
        rows = tuple(map(tuple, read))
        if text[end:].strip() or text.count(b"[") != len(rows) + 1:
            raise ValueError("more than one list of rows")
        for row in rows:
            for cell, (low, high) in zip(row, bounds, strict=True):
                if cell is not None and not low <= cell <= high:
                    raise ValueError("more than can be")
        return rows

    return decode


def by_type(columns: tuple[str, ...]) -> _Decode | None:
    """The decoder of that one type, where msgspec is installed."""
    try:
        import msgspec
    except ModuleNotFoundError:
        return None

    def cell(metric: str) -> Any:
        low, high = _bounds(metric)
        whole = Annotated[int, msgspec.Meta(ge=math.ceil(low), le=math.floor(high))]
        return whole | Annotated[float, msgspec.Meta(ge=low, le=high)] | None

    row: Any = tuple.__class_getitem__(tuple(map(cell, columns)))
    decode: _Decode = msgspec.json.Decoder(tuple.__class_getitem__((row, ...))).decode
    return decode


def _bounds(metric: str) -> tuple[float, float]:
    low, high = limits(metric)
    return max(low, -_MOST), min(high, _MOST)


@lru_cache(maxsize=1024)
def _decoder(columns: tuple[str, ...]) -> _Decode:
    """One for each list of metrics that plugins' probes print. It raises ValueErrors and TypeErrors."""
    return by_type(columns) or by_json(columns)
