"""One look at a line: who may start now, who is promised what, and who waits.

The live queue and the replay both serve their lines here. Whoever asks says what only it knows: how long a job is
thought to run, which nodes it may use, and what to do when one starts (`Asker`).
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fleetctl.scheduler.packing.orders import Order
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.promises import Ends, Promise
from fleetctl.scheduler.packing.state import Floats, Mask, Share
from fleetctl.scheduler.packing.task import TaskClass

LOOKED_AT = 64  # jobs of one class that are tried for a gap before a promise, in order of the line
LOOK_AHEAD = 500  # jobs that may be found without room in one look at a line; the rest wait for the next look

# (rank, turn, ...), of one shape within a line; lower is earlier. turn is 1; where the order keeps turns, it is 0 once a
# job was promised room as the first of its line: who comes later may be shorter or owed more, and yet does not pass.
Key = tuple[Any, ...]


class Asker(Protocol):
    """What a line must be told of its jobs, by number."""

    def expected(self, job: int) -> float:
        """Seconds it is thought to run; infinite where nobody knows an end."""

    def allowed(self, job: int) -> Mask | None:
        """Nodes it may use, None for all."""

    def ready(self, job: int) -> Callable[[Floats], None] | None:
        """Moves the moments at which nodes are ready to those at which this job could begin there; None: they are."""

    def start(self, job: int, shares: tuple[Share, ...], expected: float) -> None:
        """It starts: take the shares and note its end."""


@dataclass(slots=True)
class Look:
    """What one look found. refused: (job, whether room that is promised to others would have done) in order."""

    starts: int = 0
    promises: list[tuple[int, Promise]] = field(default_factory=list)
    refused: list[tuple[int, bool]] = field(default_factory=list)


@dataclass(slots=True)
class _Bucket:
    """Jobs of one class that wait, in order: (key, number)."""

    kind: TaskClass
    jobs: list[tuple[Key, int]] = field(default_factory=list)


class Line:
    """Those who wait, class by class: who cannot start bars its class."""

    def __init__(self, packer: Packer, ends: Ends, order: Order, look_ahead: int | None = None) -> None:
        self._packer, self._ends, self._order = packer, ends, order
        self._look_ahead = look_ahead
        self._buckets: dict[TaskClass, _Bucket] = {}

    def add(self, job: int, kind: TaskClass, key: Key) -> None:
        bucket = self._buckets.get(kind)
        if bucket is None:
            bucket = self._buckets[kind] = _Bucket(kind)
        bisect.insort(bucket.jobs, (key, job))

    def move(self, job: int, kind: TaskClass, key: Key, other: Key) -> None:
        """Give one who waits another place."""
        self.remove(job, kind, key)
        self.add(job, kind, other)

    def remove(self, job: int, kind: TaskClass, key: Key) -> None:
        """Take out one who waits."""
        jobs = self._buckets[kind].jobs
        place = bisect.bisect_left(jobs, (key, job))
        if place == len(jobs) or jobs[place][1] != job:  # its turn was kept
            place = next(n for n, (_, waiting) in enumerate(jobs) if waiting == job)
        del jobs[place]

    def waiting(self) -> list[tuple[Key, int]]:
        """Everybody, in order."""
        return sorted(entry for bucket in self._buckets.values() for entry in bucket.jobs)

    def serve(self, now: float, asker: Asker) -> Look:
        """Look at the line once, in order of the keys."""
        packer, order, look = self._packer, self._order, Look()
        look_ahead = LOOK_AHEAD if self._look_ahead is None else self._look_ahead
        buckets = list(self._buckets.values())
        heads = [(b.jobs[0], n, 0) for n, b in enumerate(buckets) if b.jobs]
        heapq.heapify(heads)
        promises: list[Promise] = []
        gangs = 0
        while heads and len(look.refused) < look_ahead:
            (_key, job), place, looked = heapq.heappop(heads)
            bucket = buckets[place]
            expected, may = asker.expected(job), asker.allowed(job)
            longer = [p for p in promises if p.bars(now + expected)]
            barred = [p.barred(bucket.kind) for p in longer]
            allowed = _without(may, barred)
            shares = packer.choose(bucket.kind, allowed)
            if shares:
                del bucket.jobs[looked]
                for promise in longer:
                    promise.take(shares)
                asker.start(job, shares, expected)
                look.starts += 1
            else:
                look.refused.append((job, bool(barred)))
                if not order.backfill:
                    break
                gang = packer.is_gang(bucket.kind)
                held = gang and gangs < order.gangs_held and looked == 0
                dated = [p for p in promises if np.isfinite(p.at)]
                if held or order.promises_all or not dated:
                    free = _without(may, [p.nodes for p in (*dated, *longer)])
                    made = self._ends.promise(bucket.kind, now, free, asker.ready(job), dated)
                    if made is not None:
                        promises.append(made)
                        look.promises.append((job, made))
                        if order.keeps_turn and not dated:
                            _keep_turn(bucket, looked)
                        gangs += gang and bool(np.isfinite(made.at))
                if allowed is None or (gang and may is None):
                    continue  # no room at all: nor for the others of its class
                looked += 1
            if looked < min(len(bucket.jobs), LOOKED_AT):
                heapq.heappush(heads, (bucket.jobs[looked], place, looked))
        for kind in [k for k, b in self._buckets.items() if not b.jobs]:
            del self._buckets[kind]
        return look


def _keep_turn(bucket: _Bucket, place: int) -> None:
    key, job = bucket.jobs.pop(place)
    bisect.insort(bucket.jobs, ((key[0], 0, *key[2:]), job))


def _without(may: Mask | None, barred: Sequence[Mask]) -> Mask | None:
    if not barred:
        return may
    free: Mask = ~np.logical_or.reduce(barred)
    return free if may is None else free & may
