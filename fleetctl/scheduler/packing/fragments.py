"""How much of what is free the tasks to come cannot use: the measure of Weng et al., "Beware of Fragmentation".

USENIX ATC 2023. For a task class a node's free milli-cards are all lost where the task does not fit, else those of
cards too full for it; the expectation over the classes, weighted by how often they come, is the node's fragments.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.task import WHOLE, TaskClass

# Classes beyond the most frequent ones change the expectation by less than the step scores are rounded to.
MAX_CLASSES = 512
MAX_KNOWN = 200_000

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
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
        wanted = [kind.cards if n == 1 else max_cards for kind, n in sizes]
        # Classes that ask for the same cards lose the same ones where they fit; which fit is a matter of CPU and memory.
        asks = [(kind.milli, cards) for (kind, _), cards in zip(kept, wanted, strict=True)]
        self._asks = list(dict.fromkeys(asks))
        self._levels = sorted({milli for milli, _ in self._asks})
        self._ask_of = np.array([self._asks.index(ask) for ask in asks], dtype=np.int64)
        self._lost: dict[tuple[int, ...], Floats] = {}
        self._weights: dict[tuple[int, int], Floats] = {}
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

    def fragments(self, parts: FreeParts) -> float:
        """Milli-cards of these free parts that the next task is expected to have no use for."""
        found = self._known.get(parts)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[parts] = float(self._weigh(parts[0], parts[1]) @ self._lose(parts[2]))
        return found

    def _lose(self, cards: tuple[int, ...]) -> Floats:
        """Per ask the milli-cards lost where CPU and memory suffice; at the end all that are free."""
        lost = self._lost.get(cards)
        if lost is None:
            if len(self._lost) >= MAX_KNOWN // 4:
                self._lost.clear()
            total, small, room = sum(cards), {}, {}
            below, left = 0, len(cards)  # free milli on cards too full for a share, and how many are not
            for milli in self._levels:
                while left and cards[left - 1] < milli:  # cards are in descending order
                    left -= 1
                    below += cards[left]
                small[milli], room[milli] = below, left
            values = [small[milli] if room[milli] >= count else total for milli, count in self._asks]
            lost = self._lost[cards] = np.array([*values, total], dtype=np.float64)
        return lost

    def _weigh(self, cpu_step: int, memory_step: int) -> Floats:
        """Per ask the share of classes that CPU and memory suffice for; at the end that of all others."""
        weights = self._weights.get((cpu_step, memory_step))
        if weights is None:
            if len(self._weights) >= MAX_KNOWN // 8:
                self._weights.clear()
            cpu = self._cpu_list[cpu_step - 1] if cpu_step else -1
            memory = self._memory_list[memory_step - 1] if memory_step else -1
            fits = np.where((self._cpu <= cpu) & (self._memory <= memory), self.shares, 0.0)
            each = np.bincount(self._ask_of, fits, len(self._asks))
            rest = max(0.0, 1.0 - float(fits.sum())) if self else 0.0
            weights = self._weights[cpu_step, memory_step] = np.append(each, rest)
        return weights


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
