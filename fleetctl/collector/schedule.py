"""When each host has its turn: spread over the interval by a stable hash, the same after every restart."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
SHARE = 0.9  # of the interval: the last tenth is left for answers, so that a round's frames come in its slot


def phase_s(name: str, interval_s: float) -> float:
    """Seconds after the start of a slot at which the host has its turn."""
    return crc32(name.encode()) / 2**32 * interval_s * SHARE


def slot_of(now: float, interval_s: float) -> int:
    """The slot a moment belongs to: whole epoch seconds, floored to the interval."""
    return int(now // interval_s * interval_s)


@dataclass
class Wheel(Generic[T]):
    """Hosts in buckets over one interval; `turn` gives those whose moment has come, each once per interval."""

    interval_s: float
    buckets: list[list[T]] = field(default_factory=list)
    width_s: float = 0.0
    _next: int | None = None  # number of the next bucket since the epoch

    @classmethod
    def of(cls, hosts: Iterable[tuple[str, T]], interval_s: float) -> Wheel[T]:
        """hosts: (name, what to hand back)."""
        count = max(1, min(600, round(interval_s * 10)))
        wheel: Wheel[T] = cls(interval_s, [[] for _ in range(count)], interval_s / count)
        for name, item in hosts:
            wheel.buckets[int(phase_s(name, interval_s) / wheel.width_s)].append(item)
        return wheel

    def turn(self, now: float) -> list[T]:
        """now: epoch seconds. After a gap (a sleeping laptop) every host has at most one turn: nothing is queued."""
        current = int(now / self.width_s)
        if self._next is None or self._next > current + 1 or current - self._next >= len(self.buckets):
            self._next = current
        due: list[T] = []
        while self._next <= current:
            due += self.buckets[self._next % len(self.buckets)]
            self._next += 1
        return due
