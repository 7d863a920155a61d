"""Forms of nodes: all that a score depends on. Nodes of one form have the same score for every class.

Few forms are met again and again on a large fleet: a task of a class that was never seen looks at some hundred forms
instead of at every node, and one that was seen only at forms it does not know yet.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.cardsets import CardSets
from fleetctl.scheduler.packing.fragments import ClassMix

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Rows of `facts`: free CPU (less than none where nothing new comes), memory and milli-cards, 1 where nothing runs, the
# group of nodes that are alike when empty, and the number of the set of free cards.
CPU, MEMORY, FREE, UNTOUCHED, GROUP, CARDS = range(6)
MAX_FORMS = 50_000  # beyond four per node


class Forms:
    """facts: a column of whole numbers per form; node_w: what a node draws; fragments: milli-cards that the next task is
    expected to have no use for. Not thread-safe.
    """

    def __init__(self, mix: ClassMix, nodes: int) -> None:
        self.mix, self.cards = mix, CardSets(mix)
        self._most = max(MAX_FORMS, 4 * nodes)
        self._numbers: dict[Hashable, int] = {}
        self.facts: Ints = np.zeros((6, 256), dtype=np.int64)
        self.node_w: Floats = np.zeros(256)
        self.fragments: Floats = np.zeros(256)

    @property
    def is_full(self) -> bool:
        """So many that numbering those in use anew is due."""
        return max(len(self._numbers), len(self.cards)) >= self._most

    @property
    def room(self) -> int:
        """Numbers are below this."""
        return len(self.node_w)

    def number(
        self, group: int, cards: tuple[int, ...], cpu: int, memory: int, node_w: float, *, untouched: bool, shut: bool
    ) -> int:
        """The number of this form. cards: free milli, descending; shut: nothing new comes."""
        key = (group, cards, cpu, memory, node_w, untouched, shut)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            if number == self.room:
                self._grow()
            set_of, steps, free = self.cards.number(cards), self.mix.step(cpu, memory), sum(cards)
            self.facts[:, number] = (-1 if shut else cpu, memory, free, untouched, group, set_of)
            self.node_w[number] = node_w
            self.fragments[number] = self.mix.fragments_of(*steps, free, self.cards.useful[set_of])
        return number

    def _grow(self) -> None:
        self.facts = np.concatenate([self.facts, np.zeros_like(self.facts)], axis=1)
        self.node_w = np.concatenate([self.node_w, np.zeros_like(self.node_w)])
        self.fragments = np.concatenate([self.fragments, np.zeros_like(self.fragments)])
