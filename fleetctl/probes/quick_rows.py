"""The line of values that a quick reader prints -> rows of numbers, or None when it is not exactly that.

Read for every host in every round, so it is half of what a frame costs: with msgspec (extra `fast`) the type is checked
while decoding; without it the text is checked first, in C, and then read by json.
"""

from __future__ import annotations

from collections.abc import Callable
from json import JSONDecoder
from typing import Annotated, Any

from fleetctl.probes.blocks import Rows

_SIGNS = b"0123456789.,-[]nul \n"  # whatever else stands there, the careful reader decides
_ALL_NINES = bytes.maketrans(b"0123456789", b"9999999999")
_TOO_LONG = b"9" * 18  # digits in a row: beyond what the store holds
_MAX_TEXT = 262_144
_MOST = 10**17
_read_json = JSONDecoder().raw_decode


def quick_rows(text: bytes, devices: int, columns: int) -> Rows | None:
    """`devices` rows of `columns` numbers or None each; None for every other text."""
    if len(text) > _MAX_TEXT:
        return None
    try:
        rows = _decode(text)
    except (ValueError, TypeError):
        return None
    return rows if len(rows) == devices and set(map(len, rows)) == {columns} else None


def by_json(text: bytes) -> Rows:
    """With those signs nothing but numbers, lists and null can be in it. Raises ValueError or TypeError."""
    if text.translate(None, _SIGNS) or _TOO_LONG in text.translate(_ALL_NINES):
        raise ValueError("not a line of numbers")
    read, end = _read_json(text.decode("ascii"))
    rows = tuple(map(tuple, read))
    if text[end:].strip() or text.count(b"[") != len(rows) + 1:
        raise ValueError("more than one list of rows")
    return rows


def by_type() -> Callable[[bytes], Rows] | None:
    """The decoder of that one type, where msgspec is installed. It raises ValueErrors."""
    try:
        import msgspec
    except ModuleNotFoundError:
        return None
    number = Annotated[int, msgspec.Meta(gt=-_MOST, lt=_MOST)]
    rows: Any = tuple[tuple[number | float | None, ...], ...]
    decode: Callable[[bytes], Rows] = msgspec.json.Decoder(rows).decode
    return decode


_decode = by_type() or by_json
