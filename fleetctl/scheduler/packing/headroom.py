"""What racks, feeds and cooling zones still bear, in watts, and which nodes that leaves for a task.

Every limit is linear: a watt drawn on a node counts with a share of its own against each limit the node stands under
(its rack whole, each of two feeds half, the other feed whole should the first one fail).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fleetctl.scheduler.packing.limits import Limit
from fleetctl.scheduler.packing.state import Floats, Ints, Mask, Share
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

NEAR_W = 1e-6  # sums of halves and thirds of watts are not exact


class Headroom:
    """The limits over a fleet. card_w: rated watts of a node's cards, 0 where they are not known: those bind nothing.

    What began before `measured_at` is in the measured draw, and its cards still draw `idle_share` when it has ended;
    what began later was counted with its rated power, beside what its cards drew idle.
    """

    def __init__(
        self,
        names: Sequence[str],
        limits: Sequence[Limit],
        card_w: Floats,
        cards: Ints,
        *,
        idle_share: float = 0.0,
        measured_at: float = -np.inf,
    ) -> None:
        self._limits = tuple(limits)
        self._card_w, self._cards = card_w, cards
        self._idle_share, self._measured_at = idle_share, measured_at
        numbers = {name: number for number, name in enumerate(names)}
        under: list[list[tuple[int, float]]] = [[] for _ in names]
        for place, limit in enumerate(limits):
            for name, share in limit.shares.items():
                if name in numbers:
                    under[numbers[name]].append((place, share))
        widest = max((len(u) for u in under), default=0) or 1
        self.of = np.full((len(names), widest), len(limits), dtype=np.int64)  # the last one never binds
        self.share = np.zeros((len(names), widest))
        for number, found in enumerate(under):
            for column, (place, share) in enumerate(found):
                self.of[number, column], self.share[number, column] = place, share
        self.left = np.array([*(limit.left_w for limit in limits), np.inf])

    def need_w(self, kind: TaskClass) -> Floats:
        """What one member of such a task would draw on each node, at the rated power of its cards."""
        return self._card_w * (self._cards if kind.alone else kind.demand_milli / WHOLE)

    def bears(self, kind: TaskClass, left: Floats | None = None) -> Mask:
        """The nodes on which one member more breaks no limit. left: watts by limit, as they are now when None."""
        return _within(self.need_w(kind), self.share, (self.left if left is None else left)[self.of])

    def first(self, kind: TaskClass, ordered: Iterable[int], count: int, left: Floats | None = None) -> list[int]:
        """The first nodes, at most so many, that are borne all together."""
        need, left = self.need_w(kind), (self.left if left is None else left).copy()
        chosen: list[int] = []
        for node in ordered:
            if len(chosen) == count:
                break
            more = need[node] * self.share[node]
            if not need[node] or bool((more <= left[self.of[node]] + NEAR_W).all()):
                np.subtract.at(left, self.of[node], more)
                chosen.append(node)
        return chosen

    def freed_w(self, nodes: Ints, milli: Ints, begun: Floats) -> Floats:
        """What the ends of work give back: on these nodes, of so many milli-cards, begun then."""
        return self._card_w[nodes] * milli / WHOLE * np.where(begun < self._measured_at, 1.0 - self._idle_share, 1.0)

    def take(self, shares: Sequence[Share], sign: int = 1, left: Floats | None = None) -> None:
        """A task has begun (or, with sign -1, ended) on these nodes."""
        for share in shares:
            watts = self._card_w[share.node] * sum(milli for _, milli in share.devices) / WHOLE
            if watts:
                into = self.left if left is None else left
                np.subtract.at(into, self.of[share.node], sign * watts * self.share[share.node])

    def why_not(self, kind: TaskClass, node: int) -> str:
        """Which limit of a node one member more would break, in words; "" when none."""
        need = float(self.need_w(kind)[node])
        for place, share in zip(self.of[node].tolist(), self.share[node].tolist(), strict=True):
            if need * share > self.left[place] + NEAR_W:
                left = max(0.0, float(self.left[place]))
                return f"{self._limits[place].what} has {left:.0f} W left, this would add {need * share:.0f} W"
        return ""


@dataclass(slots=True)
class Forecast:
    """What the limits will bear as work ends: on `nodes`, at `ends`, this many `watts`. left: watts by limit before."""

    room: Headroom
    left: Floats
    nodes: Ints
    ends: Floats
    watts: Floats

    def left_at(self, moment: float) -> Floats:
        """Watts by limit when all that ends until then has ended."""
        past = self.ends <= moment
        nodes, watts, left = self.nodes[past], self.watts[past], self.left.copy()
        np.add.at(left, self.room.of[nodes], watts[:, None] * self.room.share[nodes])
        return left

    def moments(self, kind: TaskClass) -> Floats:
        """Per node, when its limits bear one member: 0 for now, infinite where no end will do."""
        room = self.room
        more = room.need_w(kind)[:, None] * room.share
        short = (more > self.left[room.of] + NEAR_W) & (more > 0)
        found = np.zeros(len(more))
        lacking = np.zeros(len(self.left), dtype=np.bool_)
        lacking[room.of[short]] = True
        events, columns = np.nonzero(lacking[room.of[self.nodes]])
        places = room.of[self.nodes[events], columns]
        order = np.lexsort((self.ends[events], places))
        events, columns, places = events[order], columns[order], places[order]
        freed = np.cumsum(self.watts[events] * room.share[self.nodes[events], columns])  # limit after limit
        nodes, columns = np.nonzero(short)
        wanted = room.of[nodes, columns]
        first, last = np.searchsorted(places, wanted), np.searchsorted(places, wanted, side="right")
        before = np.where(first > 0, freed[first - 1], 0.0) if len(freed) else np.zeros(len(wanted))
        lacks = more[nodes, columns] - self.left[wanted]
        event = np.maximum(np.searchsorted(freed, before + lacks - NEAR_W), first)
        at = np.full(len(wanted), np.inf)
        enough = event < last
        at[enough] = self.ends[events[event[enough]]]
        np.maximum.at(found, nodes, at)
        return found

    def first_borne(self, kind: TaskClass, ordered: Ints, at: Floats, count: int) -> tuple[list[int], float]:
        """The first so many nodes that are ready and borne all together, and when: ([], infinite) where never.

        ordered: nodes by `at`, when each is ready.
        """
        begin = float(at[ordered[count - 1]])
        moments = np.unique(np.concatenate((at[ordered[count - 1 :]], self.ends[self.ends > begin])))
        moments = moments[np.isfinite(moments)]
        low, high = 0, len(moments)
        best: tuple[list[int], float] = [], np.inf
        step = 0  # the first moment nearly always does
        while low < high:
            moment = float(moments[step])
            ready = ordered[at[ordered] <= moment].tolist()
            chosen = self.room.first(kind, ready, count, self.left_at(moment))
            if len(chosen) == count:
                best, high = (chosen, moment), step
            else:
                low = step + 1
            step = (low + high) // 2
        return best


def _within(need: Floats, share: Floats, left: Floats) -> Mask:
    more = need[:, None] * share
    return np.asarray(((more <= left + NEAR_W) | (more <= 0)).all(axis=1), dtype=np.bool_)
