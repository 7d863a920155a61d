"""Whole numbers in rows and columns, packed into one blob: what chunks and rollups are made of.

The format is written down in docs/reference/store-format.md; a change of it needs a new magic. Neighbours in a row are
alike (one sensor over time), so a row is kept as its first number and differences, cut into planes of one byte and
deflated with run lengths and Huffman codes only: on such data that is both smaller and twice as fast as searching for
matches.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetctl.errors import StoreCorruptError

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

_MAGIC = b"FC1"
_FIXED = struct.Struct("<3sIH")  # magic, crc32 of all that follows it, length of the deflated header
_STEPS, _OFFSETS = 0, 1  # body: difference to the neighbour on the left, or to the first of the row
_MAX_HEADER = 1 << 20


def encode(header: Mapping[str, Any], columns: Mapping[str, tuple[Int64, Bool | None]]) -> bytes:
    """Pack matrices of one shape (R, S), S >= 1, each with a mask of known cells (None: all are).

    A matrix without any known cell is left out. Unknown cells come back as 0 and not known.
    """
    described, streams = [], []
    for name, (cells, known) in columns.items():
        mask = b""
        if known is not None:
            if not known.any():
                continue
            if not known.all():
                mask = _deflate(np.packbits(known).tobytes())
                cells = fill(cells, known)
        first = cells[:, 0]
        base = int(first.min())
        body = cells[:, 1:] - cells[:, :-1]
        mode = _STEPS
        if body.any():  # most limits and counters of errors never move
            offsets = cells[:, 1:] - first[:, None]
            if np.abs(offsets).sum(dtype=np.float64) < np.abs(body).sum(dtype=np.float64):
                body, mode = offsets, _OFFSETS
        first_width, firsts = _planes(first - base)
        width, packed = _planes(body)
        described.append([name, base, first_width, mode, width, len(mask), len(firsts), len(packed)])
        streams += [mask, firsts, packed]
    told = _deflate(json.dumps({**header, "c": described}, separators=(",", ":")).encode(), strategy=0)
    rest = struct.pack("<H", len(told)) + told + b"".join(streams)
    return _MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest


def decode_header(data: bytes) -> dict[str, Any]:
    """What was put beside the matrices. Raises StoreCorruptError for damaged data."""
    return _open(data)[0]


def decode(data: bytes, rows: int, width: int, only: set[str] | None = None) -> dict[str, tuple[Int64, Bool | None]]:
    """The matrices of shape (rows, width), all or those named. Raises StoreCorruptError for damaged data."""
    header, place = _open(data)
    found: dict[str, tuple[Int64, Bool | None]] = {}
    try:
        for name, base, first_width, mode, body_width, *lengths in header["c"]:
            ends = [place := place + length for length in lengths]
            if only is not None and name not in only:
                continue
            known: Bool | None = None
            if lengths[0]:
                bits = _inflate(data[ends[0] - lengths[0] : ends[0]], (rows * width + 7) // 8)
                known = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * width).reshape(rows, width).view(bool)
            first = _unplane(data[ends[1] - lengths[1] : ends[1]], first_width, rows) + np.int64(base)
            body = _unplane(data[ends[2] - lengths[2] : ends[2]], body_width, rows * (width - 1))
            cells = np.empty((rows, width), np.int64)
            cells[:, 0] = first
            cells[:, 1:] = body.reshape(rows, width - 1)
            if mode == _STEPS:
                np.cumsum(cells, axis=1, out=cells)
            else:
                cells[:, 1:] += first[:, None]
            if known is not None:
                cells[~known] = 0
            found[name] = (cells, known)
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise StoreCorruptError(f"a sealed block cannot be read: {error}") from error
    return found


def _open(data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < _FIXED.size or data[:3] != _MAGIC:
        raise StoreCorruptError("a sealed block of an unknown format", hint="`fleetctl db check` counts them")
    _, crc, length = _FIXED.unpack_from(data)
    if zlib.crc32(memoryview(data)[7:]) != crc:
        raise StoreCorruptError("a sealed block is damaged (wrong checksum)", hint="`fleetctl db check` counts them")
    header = json.loads(_inflate(data[9 : 9 + length], _MAX_HEADER))
    return header, 9 + length


def fill(cells: Int64, known: Bool) -> Int64:
    """Unknown cells take the value on their left (at the start: the first known one), which costs nothing to store."""
    width = cells.shape[1]
    where = np.where(known, np.arange(width), -1)
    np.maximum.accumulate(where, axis=1, out=where)
    first_known = np.argmax(known, axis=1)
    where = np.where(where < 0, first_known[:, None], where)
    filled = np.take_along_axis(cells, where, axis=1)
    filled[~known.any(axis=1)] = 0
    return filled


def _planes(numbers: Int64) -> tuple[int, bytes]:
    """Width in bytes (0: all are zero) and the deflated byte planes, lowest byte first."""
    low, high = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, 0)
    if low == high == 0:
        return 0, b""
    width = next(w for w in (1, 2, 4, 8) if -(1 << (8 * w - 1)) <= low and high < 1 << (8 * w - 1))
    cut = numbers.astype(f"<i{width}").reshape(-1, 1).view(np.uint8)
    return width, _deflate(cut.T.tobytes())


def _unplane(data: bytes, width: int, count: int) -> Int64:
    if width == 0:
        return np.zeros(count, np.int64)
    planes = np.frombuffer(_inflate(data, width * count), np.uint8)
    whole = np.ascontiguousarray(planes.reshape(width, count).T).view(f"<i{width}")
    return whole.reshape(count).astype(np.int64)


def _deflate(data: bytes, strategy: int = zlib.Z_RLE) -> bytes:
    packer = zlib.compressobj(1 if strategy else 6, zlib.DEFLATED, -12, 6, strategy)
    return packer.compress(data) + packer.flush()


def _inflate(data: bytes, limit: int) -> bytes:
    """At most `limit` bytes: damaged data must not fill the memory."""
    return zlib.decompressobj(-12).decompress(data, limit)
