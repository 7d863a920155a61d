"""How much of what is free the tasks to come cannot use: the measure of Weng et al., "Beware of Fragmentation".

USENIX ATC 2023. For a task class a node's free milli-cards are all lost where the task does not fit, else those of
cards too full for it; the expectation over the classes, weighted by how often they come, is the node's fragments.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.task import WHOLE, TaskClass

# Classes beyond the most frequent ones change the expectation by less than the step scores are rounded to.
MAX_CLASSES = 512
MAX_ENTRIES = 8_000_000  # of the table of shares, 64 MB; fewer classes are weighed where it would need more

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class ClassMix:
    """Task classes with their shares. CPU-only classes are left out: for them every free card would be a fragment.

    An ask is what classes want of cards: (milli, cards). Classes with the same ask lose the same cards where they fit;
    which of them fit is a matter of CPU and memory, and between two demands more of either changes nothing: steps.
    """

    def __init__(self, counts: Mapping[TaskClass, float], *, max_cards: int = 0) -> None:
        """counts: how often each class comes. max_cards: of the largest node; a gang counts as a task that fills it."""
        usual = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
        kept = [(kind, count) for kind, count in usual if kind.cards > 0 and count > 0][:MAX_CLASSES]
        sizes = [_member(kind, max_cards) for kind, _ in kept]
        while _entries(sizes) > MAX_ENTRIES:
            del kept[len(kept) * 9 // 10 :], sizes[len(sizes) * 9 // 10 :]
        total = sum(count for _, count in kept)
        self.shares = np.array([count / total for _, count in kept])
        cpu = np.array([size[0] for size in sizes], dtype=np.int64)
        memory = np.array([size[1] for size in sizes], dtype=np.int64)
        self.cpu_steps: Ints = np.unique(cpu)
        self.memory_steps: Ints = np.unique(memory)
        self._cpu_list, self._memory_list = self.cpu_steps.tolist(), self.memory_steps.tolist()
        self._asks = list(dict.fromkeys(size[2:] for size in sizes))
        self._wanted = np.array([cards for _, cards in self._asks], dtype=np.int64)
        levels = np.array([milli for milli, _ in self._asks], dtype=np.int64)
        free = np.arange(WHOLE + 1)[:, None]
        self._usable = np.where(free >= levels, free, 0)  # of a card with so many milli free, per ask
        numbers = {ask: number for number, ask in enumerate(self._asks)}
        # Per step of CPU and of memory, and per ask: the share of classes that so much suffices for.
        table = np.zeros((len(self.cpu_steps) + 1, len(self.memory_steps) + 1, len(self._asks)))
        asks = np.array([numbers[size[2:]] for size in sizes], dtype=np.int64)
        np.add.at(table, (*self.steps(cpu, memory), asks), self.shares)
        table.cumsum(axis=0, out=table)
        self._suffices: Floats = table.cumsum(axis=1, out=table)

    def __bool__(self) -> bool:
        """False where nothing is known of what comes."""
        return len(self.shares) > 0

    @property
    def asks(self) -> int:
        """How many asks there are."""
        return len(self._asks)

    def steps(self, cpu: Ints, memory: Ints) -> tuple[Ints, Ints]:
        """What of free CPU and memory makes a difference, per node."""
        return self.cpu_steps.searchsorted(cpu, "right"), self.memory_steps.searchsorted(memory, "right")

    def step(self, cpu: int, memory: int) -> tuple[int, int]:
        """As steps, of one node."""
        return bisect_right(self._cpu_list, cpu), bisect_right(self._memory_list, memory)

    def useful(self, sets: Sequence[tuple[int, ...]]) -> Ints:
        """Per set of free cards and ask, the milli of them that it can use where CPU and memory suffice."""
        widest = max((len(cards) for cards in sets), default=0)
        free = np.array([(*cards, *(0,) * (widest - len(cards))) for cards in sets], dtype=np.int64)
        each = self._usable[free.reshape(len(sets), widest)]
        found: Ints = each.sum(axis=1) * (np.count_nonzero(each, axis=1) >= self._wanted)
        return found

    def fragments_of(self, cpu_step: int, memory_step: int, free: int, useful: Ints | Floats) -> float:
        """As fragments, of one node."""
        return float(free - self._suffices[cpu_step, memory_step] @ useful) if self else 0.0

    def fragments(self, cpu_step: Ints, memory_step: Ints, free: Ints, useful: Ints | Floats) -> Floats:
        """Milli-cards that the next task is expected to have no use for, one entry per node.

        free: milli of all cards; useful: as `useful`, one row per node. Without any class nothing is a fragment.
        """
        if not self:
            return np.zeros(len(free))
        return np.asarray(free - (self._suffices[cpu_step, memory_step] * useful).sum(axis=1))


def count_classes(kinds: Iterable[TaskClass]) -> dict[TaskClass, float]:
    """How often each class comes."""
    counts: dict[TaskClass, float] = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0.0) + 1.0
    return counts


def _member(kind: TaskClass, max_cards: int) -> tuple[int, int, int, int]:
    """CPU, memory, milli and cards of a class on one node; a gang fills several."""
    if kind.milli < WHOLE or max_cards <= 0 or kind.cards <= max_cards:
        return kind.cpu_milli, kind.memory_mib, kind.milli, kind.cards
    nodes = -(-kind.cards // max_cards)
    return -(-kind.cpu_milli // nodes), -(-kind.memory_mib // nodes), kind.milli, max_cards


def _entries(sizes: list[tuple[int, int, int, int]]) -> int:
    """Entries of the table of shares."""
    cpu, memory, asks = ({size[0] for size in sizes}, {size[1] for size in sizes}, {size[2:] for size in sizes})
    return (len(cpu) + 1) * (len(memory) + 1) * len(asks)
