"""How much of what is free the tasks to come cannot use: the measure of Weng et al., "Beware of Fragmentation".

USENIX ATC 2023. For a task class a node's free milli-cards are all lost where the task does not fit, else those of
cards too full for it; the expectation over the classes, weighted by how often they come, is the node's fragments.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.task import WHOLE, TaskClass

# Classes beyond the most frequent ones change the expectation by less than the step scores are rounded to.
MAX_CLASSES = 512
MAX_KNOWN = 200_000
BATCH = 256  # measured at once

Ints = npt.NDArray[np.int64]
FreeParts = tuple[int, int, tuple[int, ...]]  # steps of CPU and of memory, free milli of each card


class ClassMix:
    """Task classes with their shares. CPU-only classes are left out: for them every free card would be a fragment."""

    def __init__(self, counts: Mapping[TaskClass, float], *, max_cards: int = 0) -> None:
        """counts: how often each class comes. max_cards: of the largest node; a gang counts as a task that fills it."""
        usual = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
        kept = [(kind, count) for kind, count in usual if kind.cards > 0 and count > 0][:MAX_CLASSES]
        total = sum(count for _, count in kept)
        self.shares = np.array([count / total for _, count in kept])
        sizes = [(kind, _nodes(kind, max_cards)) for kind, _ in kept]
        self._cpu = np.array([-(-kind.cpu_milli // n) for kind, n in sizes])
        self._memory = np.array([-(-kind.memory_mib // n) for kind, n in sizes])
        self._cards = np.array([kind.cards if n == 1 else max_cards for kind, n in sizes])
        milli = np.array([kind.milli for kind, _ in kept], dtype=np.int64)
        self._levels, self._level_of = np.unique(milli, return_inverse=True)
        # Between two demands more or less CPU or memory changes nothing, so nodes are told apart by steps only.
        self.cpu_steps: Ints = np.unique(self._cpu).astype(np.int64)
        self.memory_steps: Ints = np.unique(self._memory).astype(np.int64)
        self._cpu_list, self._memory_list = self.cpu_steps.tolist(), self.memory_steps.tolist()
        self._known: dict[FreeParts, float] = {}

    def __bool__(self) -> bool:
        """False where nothing is known of what comes."""
        return len(self.shares) > 0

    def steps(self, cpu: Ints, memory: Ints) -> tuple[Ints, Ints]:
        """What of free CPU and memory makes a difference, per node."""
        return self.cpu_steps.searchsorted(cpu, "right"), self.memory_steps.searchsorted(memory, "right")

    def step(self, cpu: int, memory: int) -> tuple[int, int]:
        """As steps, of one node."""
        return bisect_right(self._cpu_list, cpu), bisect_right(self._memory_list, memory)

    def expect(self, wanted: Collection[FreeParts]) -> dict[FreeParts, float]:
        """Fragments (milli-cards) of these parts and of all asked for lately."""
        known = self._known
        new = [parts for parts in wanted if parts not in known]
        if new:
            if len(known) + len(new) > MAX_KNOWN:
                known.clear()
                new = list(wanted)
            new = list(dict.fromkeys(new))
            for start in range(0, len(new), BATCH):
                batch = new[start : start + BATCH]
                known.update(zip(batch, self._measure(batch), strict=True))
        return known

    def _measure(self, wanted: Sequence[FreeParts]) -> list[float]:
        if not self:
            return [0.0] * len(wanted)
        widest = max(len(cards) for _, _, cards in wanted) or 1
        free = np.array([cards + (0,) * (widest - len(cards)) for _, _, cards in wanted], dtype=np.int64)
        total = free.sum(axis=1)
        cpu = np.concatenate(([-1], self.cpu_steps))[[step for step, _, _ in wanted]][:, None]
        memory = np.concatenate(([-1], self.memory_steps))[[step for _, step, _ in wanted]][:, None]
        # per distinct share: how many cards can give it, and the free milli of those that cannot
        usable = free[:, :, None] >= self._levels
        room = usable.sum(axis=1)[:, self._level_of]
        small = np.where(usable, 0, free[:, :, None]).sum(axis=1)[:, self._level_of]
        fits = (self._cpu <= cpu) & (self._memory <= memory) & (room >= self._cards)
        lost: list[float] = (np.where(fits, small, total[:, None]) @ self.shares).tolist()
        return lost


def count_classes(kinds: Iterable[TaskClass]) -> dict[TaskClass, float]:
    """How often each class comes."""
    counts: dict[TaskClass, float] = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0.0) + 1.0
    return counts


def _nodes(kind: TaskClass, max_cards: int) -> int:
    """Nodes a class takes: 1, or for a gang as many as it fills."""
    if kind.milli < WHOLE or max_cards <= 0 or kind.cards <= max_cards:
        return 1
    return -(-kind.cards // max_cards)
