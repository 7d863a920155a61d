"""Bytes of one channel -> whole, checked frames, whatever else the host prints in between.

Fed by callbacks as data arrives. Login banners, noise, half frames and wrong lengths cost the frame they hit, never
the next one: the start mark cannot occur inside a frame, so a second one means that the first was cut.
Format: docs/reference/frame-format.md.
"""

from __future__ import annotations

import re
from binascii import crc32
from dataclasses import dataclass, field
from typing import NamedTuple

START = b"\x1eF"
END = b"\x1f\n"
MAX_FRAME = 16 * 1024 * 1024
_HEAD = re.compile(rb"\x1eF([HRLX]) (\d{1,12}) (\d{1,8}) ([0-9a-f]{8}|-)\n")
_HEAD_BYTES = 48  # longer than any head
_NOISE_KEPT = 512


class Frame(NamedTuple):
    """kind: H(ello), R(ound), L(ate answers), X (the loop ended); body as in the format."""

    kind: str
    seq: int
    body: bytes


@dataclass(slots=True)
class FrameDecoder:
    """Holds what has arrived of the next frame, at most `max_frame` bytes.

    damaged: frames that were cut or did not match their check; noise_bytes: bytes outside of frames; noise: the first
    of them, for the error message.
    """

    max_frame: int = MAX_FRAME
    damaged: int = 0
    noise_bytes: int = 0
    noise: bytes = b""
    _parts: list[bytes] = field(default_factory=list)
    _held: int = 0
    _need: int = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that are whole now. Never raises."""
        if self._parts:
            if self._held + len(data) < self._need and b"\x1e" not in data:
                self._parts.append(data)  # joined once, when it can be whole or a new start shows
                self._held += len(data)
                return []
            data = b"".join((*self._parts, data))
            self._parts = []
        frames: list[Frame] = []
        at = 0
        while True:
            start = data.find(START, at)
            if start < 0:
                tail = len(data) - 1 if data.endswith(b"\x1e") else len(data)
                self._skip(data, at, tail)
                return self._keep(data, tail, 0, frames)
            if start > at:
                self._skip(data, at, start)
            head = _HEAD.match(data, start)
            if head is None:
                if len(data) - start < _HEAD_BYTES and b"\n" not in data[start:] and data.find(b"\x1e", start + 1) < 0:
                    return self._keep(data, start, 0, frames)
                at = self._cut(data, start)
                continue
            body, size = head.end(), int(head[3])
            if size > self.max_frame:
                at = self._cut(data, start)
                continue
            end = body + size
            if len(data) < end + 2:
                if data.find(b"\x1e", body) >= 0:
                    at = self._cut(data, start)
                    continue
                return self._keep(data, start, end + 2 - start, frames)
            text = data[body:end]
            if data[end : end + 2] != END or (head[4] != b"-" and int(head[4], 16) != crc32(text)):
                at = self._cut(data, start)
                continue
            if head[4] == b"-" and b"\x1e" in text:
                at = self._cut(data, start)
                continue
            frames.append(Frame(head[1].decode(), int(head[2]), text))
            at = end + 2
            if at == len(data):
                return frames

    def _keep(self, data: bytes, start: int, need: int, frames: list[Frame]) -> list[Frame]:
        self._held, self._need = len(data) - start, need
        self._parts = [data[start:]] if self._held else []
        return frames

    def _cut(self, data: bytes, start: int) -> int:
        self.damaged += 1
        self._skip(data, start, start + 2)
        return start + 2

    def _skip(self, data: bytes, start: int, end: int) -> None:
        self.noise_bytes += end - start
        if len(self.noise) < _NOISE_KEPT:
            self.noise += data[start : min(end, start + _NOISE_KEPT - len(self.noise))]
