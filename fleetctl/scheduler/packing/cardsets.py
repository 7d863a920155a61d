"""Free cards of nodes as numbered sets: what they are worth, and what a task would leave of them.

Few sets are met again and again, so each is worked out once and the rest is arithmetic on numbers. Sets are never
forgotten here; whoever numbers forms of nodes (forms.py) begins anew when there are too many.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.fragments import ClassMix
from fleetctl.scheduler.packing.node import CardChoice, card_choices
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Ask = tuple[int, int, bool]  # cards, milli, alone

NONE = -1  # no such choice
_NEW = -2  # not worked out yet
MAX_ASKS = 1024  # tables of choices that are kept


class CardSets:
    """total, whole: free milli and untouched cards of each set."""

    def __init__(self, mix: ClassMix) -> None:
        self._mix = mix
        self._numbers: dict[tuple[int, ...], int] = {}
        self.sets: list[tuple[int, ...]] = []
        self.total: Ints = np.zeros(64, dtype=np.int64)
        self.whole: Ints = np.zeros(64, dtype=np.int64)
        self._useful: Floats = np.zeros((64, mix.asks))
        self._worked_out = 0  # sets of which that is known
        self._left: dict[Ask, Ints] = {}
        self._choices: dict[tuple[Ask, tuple[int, ...]], list[CardChoice]] = {}

    def __len__(self) -> int:
        return len(self.sets)

    def number(self, cards: tuple[int, ...]) -> int:
        """The number of these free milli, in descending order."""
        number = self._numbers.get(cards)
        if number is None:
            number = self._numbers[cards] = len(self.sets)
            self.sets.append(cards)
            if number == len(self.total):
                self.total, self.whole = grown(self.total, 0), grown(self.whole, 0)
                self._useful = np.concatenate([self._useful, np.zeros_like(self._useful)])
            self.total[number] = sum(cards)
            self.whole[number] = sum(1 for free in cards if free >= WHOLE)
        return number

    @property
    def useful(self) -> Floats:
        """What of each set each ask of the mix could use."""
        if self._worked_out < len(self.sets):
            self._useful[self._worked_out : len(self.sets)] = self._mix.useful(self.sets[self._worked_out :])
            self._worked_out = len(self.sets)
        return self._useful

    def choices(self, kind: TaskClass, cards: tuple[int, ...]) -> list[CardChoice]:
        """As card_choices, kept."""
        key = ((kind.cards, kind.milli, kind.alone), cards)
        found = self._choices.get(key)
        if found is None:
            if len(self._choices) >= MAX_ASKS * 64:
                self._choices.clear()
            found = self._choices[key] = card_choices(cards, kind)
        return found

    def left(self, kind: TaskClass, numbers: Ints) -> Ints:
        """The sets that each choice of cards would leave of these sets: a row per set, NONE beyond its choices."""
        ask = (kind.cards, kind.milli, kind.alone)
        table = self._left.get(ask)
        if table is None or len(table) < len(self.total):
            table = self._left[ask] = self._longer(table)
        found: Ints = table.take(numbers, axis=0)
        if found.min(initial=0) == _NEW:
            for number in set(numbers[found[:, 0] == _NEW].tolist()):
                table = self._work_out(kind, number, table)
            self._left[ask] = table
            found = table.take(numbers, axis=0)
        return found

    def _longer(self, table: Ints | None) -> Ints:
        """A row for every set there may be."""
        if table is None:
            if len(self._left) >= MAX_ASKS:
                self._left.clear()
            table = np.empty((0, 1), dtype=np.int64)
        more = np.full((len(self.total) - len(table), table.shape[1]), _NEW, dtype=np.int64)
        return np.concatenate([table, more])

    def _work_out(self, kind: TaskClass, number: int, table: Ints) -> Ints:
        """Fill the row of a set; wider, where it has more choices than any before it."""
        found = [self.number(left) for left, _ in self.choices(kind, self.sets[number])]
        if len(found) > table.shape[1]:
            more = np.full((len(table), len(found) - table.shape[1]), NONE, dtype=np.int64)
            table = np.concatenate([table, more], axis=1)
        table[number] = NONE
        table[number, : len(found)] = found
        return table


def grown(column: Ints, fill: int) -> Ints:
    """Twice as long, the rest of it filled."""
    return np.concatenate([column, np.full_like(column, fill)])
