"""How much of what is free the tasks to come cannot use: the measure of Weng et al., "Beware of Fragmentation".

USENIX ATC 2023. For a task class a node's free milli-cards are all lost where the task does not fit, else those of
cards too full for it; the expectation over the classes, weighted by how often they come, is the node's fragments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fleetctl.scheduler.packing.node import State
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

# Classes beyond the most frequent ones change the expectation by less than the step scores are rounded to.
MAX_CLASSES = 512


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

    def __bool__(self) -> bool:
        """False where nothing is known of what comes."""
        return len(self.shares) > 0

    def measure(self, states: Sequence[State]) -> None:
        """Fill in `fragments` (milli-cards) of these states, all at once."""
        if not states or not self:
            for state in states:
                state.fragments = 0.0
            return
        widest = max(len(s.cards) for s in states) or 1
        free = np.zeros((len(states), widest), dtype=np.int64)
        for row, state in enumerate(states):
            free[row, : len(state.cards)] = state.cards
        total = free.sum(axis=1)
        cpu = np.array([s.cpu for s in states])[:, None]
        memory = np.array([s.memory for s in states])[:, None]
        # per distinct share: how many cards can give it, and the free milli of those that cannot
        usable = free[:, :, None] >= self._levels
        room = usable.sum(axis=1)[:, self._level_of]
        small = np.where(usable, 0, free[:, :, None]).sum(axis=1)[:, self._level_of]
        fits = (self._cpu <= cpu) & (self._memory <= memory) & (room >= self._cards)
        lost = np.where(fits, small, total[:, None]) @ self.shares
        for state, value in zip(states, lost.tolist(), strict=True):
            state.fragments = value


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
