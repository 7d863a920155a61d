"""A long list inside a JSON answer, read piece by piece: of 8 kB a job only the fields asked for are ever kept.

slurmrestd prints each element over many lines; where its end stands is seen by the indent, for a raw line end is never
inside a JSON string. With msgspec (extra `fast`) only those fields are decoded, for a third of the time. Another layout
is read by the standard library alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Generic, TypedDict, TypeVar

MAX_ELEMENT = 8 * 1024 * 1024  # a job over thousands of nodes, with its details
MAX_REST = 16 * 1024 * 1024  # what stands around the list
_END = b"\n    }"
_CLOSE = ord("]")
_BETWEEN = {*b" \t\r\n,", *" \t\r\n,"}
_scan = json.JSONDecoder().raw_decode

One = dict[str, Any]
T = TypeVar("T")


class Elements(Generic[T]):
    """Feed it the pieces of an answer; `kept` are what `keep` made of the elements of list `key`, `rest` all around them.

    keep gets the fields that are there, and gives None for what is of no use. Raises ValueError for what is no such list.
    """

    def __init__(self, key: str, fields: tuple[str, ...], keep: Callable[[One], T | None]) -> None:
        self._begin = re.compile(rb'"%s"\s*:\s*\[' % key.encode())
        self._fields, self._keep = fields, keep
        self._decode = _typed(fields)
        self._text = bytearray()
        self._before = b""
        self._inside = self._over = False
        self.kept: list[T] = []

    def feed(self, piece: bytes) -> None:
        self._text += piece
        if not self._inside and not self._over:
            begin = self._begin.search(self._text)
            if begin is not None:
                self._before = bytes(self._text[: begin.end()])
                del self._text[: begin.end()]
                self._inside = True
        if self._inside:
            self._take()
        if len(self._text) > (MAX_ELEMENT if self._inside else MAX_REST):
            raise ValueError("too long for one thing")

    @property
    def rest(self) -> bytes:
        """The answer with an empty list; as it came, where the list never began or never ended."""
        return self._before + bytes(self._text)

    def _take(self) -> None:
        """All whole elements there are."""
        text, at = self._text, 0
        while (at := _skip(text, at)) < len(text) and text[at] != _CLOSE:
            end = text.find(_END, at)
            try:
                one = self._decode(text[at : end + len(_END)]) if end >= 0 else None
            except (ValueError, TypeError, RecursionError):
                one = None
            if one is None:
                break
            self._note(one)
            at = end + len(_END)
        del text[:at]
        if text and text[0] != _CLOSE:
            self._take_any()
        self._inside, self._over = (False, True) if text and text[0] == _CLOSE else (True, False)

    def _take_any(self) -> None:
        """The same in any layout. An element that is not all there, or none at all, is left for later."""
        text = self._text.decode("utf-8", "surrogateescape")
        at = 0
        try:
            while (at := _skip(text, at)) < len(text) and text[at] != "]":
                one, at = _scan(text, at)
                self._note(_only(one, self._fields))
        except json.JSONDecodeError:
            pass
        except RecursionError:
            raise ValueError("nested too deep") from None
        self._text[:] = text[at:].encode("utf-8", "surrogateescape")

    def _note(self, one: One) -> None:
        made = self._keep(one)
        if made is not None:
            self.kept.append(made)


def _skip(text: bytearray | str, at: int) -> int:
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at


@cache
def _typed(fields: tuple[str, ...]) -> Callable[[Any], One]:
    """A decoder of just these fields. It raises ValueErrors."""
    try:
        import msgspec
    except ModuleNotFoundError:
        return lambda text: _only(json.loads(text), fields)
    kind = TypedDict("kind", dict.fromkeys(fields, Any), total=False)  # type: ignore[misc]
    decode: Callable[[Any], One] = msgspec.json.Decoder(kind).decode
    return decode


def _only(one: object, fields: Iterable[str]) -> One:
    if not isinstance(one, Mapping):
        raise ValueError("too strange: a list of no objects")
    return {field: one[field] for field in fields if field in one}
