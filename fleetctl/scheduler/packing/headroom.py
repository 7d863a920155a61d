"""What racks, feeds and cooling zones still bear, in watts, and which nodes that leaves for a task.

Every limit is linear: a watt drawn on a node counts with a share of its own against each limit the node stands under
(its rack whole, each of two feeds half, the other feed whole should the first one fail).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fleetctl.scheduler.packing.limits import Limit
from fleetctl.scheduler.packing.state import Floats, Ints, Mask, Share
from fleetctl.scheduler.packing.task import WHOLE, TaskClass


class Headroom:
    """The limits over a fleet. card_w: rated watts of a node's cards, 0 where they are not known: those bind nothing."""

    def __init__(self, names: Sequence[str], limits: Sequence[Limit], card_w: Floats, cards: Ints) -> None:
        self._limits = tuple(limits)
        self._card_w, self._cards = card_w, cards
        numbers = {name: number for number, name in enumerate(names)}
        under: list[list[tuple[int, float]]] = [[] for _ in names]
        for place, limit in enumerate(limits):
            for name, share in limit.shares.items():
                if name in numbers:
                    under[numbers[name]].append((place, share))
        widest = max((len(u) for u in under), default=0) or 1
        self._of = np.full((len(names), widest), len(limits), dtype=np.int64)  # the last one never binds
        self._share = np.zeros((len(names), widest))
        for number, found in enumerate(under):
            for column, (place, share) in enumerate(found):
                self._of[number, column], self._share[number, column] = place, share
        self._left = np.array([*(limit.left_w for limit in limits), np.inf])

    def need_w(self, kind: TaskClass) -> Floats:
        """What one member of such a task would draw on each node, at the rated power of its cards."""
        return self._card_w * (self._cards if kind.alone else kind.demand_milli / WHOLE)

    def bears(self, kind: TaskClass) -> Mask:
        """The nodes on which one member more breaks no limit."""
        return _within(self.need_w(kind), self._share, self._left[self._of])

    def first(self, kind: TaskClass, ordered: Iterable[int], count: int) -> list[int]:
        """The first nodes, at most so many, that are borne all together."""
        need, left = self.need_w(kind), self._left.copy()
        chosen: list[int] = []
        for node in ordered:
            if len(chosen) == count:
                break
            more = need[node] * self._share[node]
            if not need[node] or bool((more <= left[self._of[node]]).all()):
                np.subtract.at(left, self._of[node], more)
                chosen.append(node)
        return chosen

    def take(self, shares: Sequence[Share], sign: int = 1) -> None:
        """A task has begun (or, with sign -1, ended) on these nodes."""
        for share in shares:
            watts = self._card_w[share.node] * sum(milli for _, milli in share.devices) / WHOLE
            if watts:
                np.subtract.at(self._left, self._of[share.node], sign * watts * self._share[share.node])

    def why_not(self, kind: TaskClass, node: int) -> str:
        """Which limit of a node one member more would break, in words; "" when none."""
        need = float(self.need_w(kind)[node])
        for place, share in zip(self._of[node].tolist(), self._share[node].tolist(), strict=True):
            if need * share > self._left[place]:
                left = max(0.0, float(self._left[place]))
                return f"{self._limits[place].what} has {left:.0f} W left, this would add {need * share:.0f} W"
        return ""


def _within(need: Floats, share: Floats, left: Floats) -> Mask:
    more = need[:, None] * share
    return np.asarray(((more <= left) | (more <= 0)).all(axis=1), dtype=np.bool_)
