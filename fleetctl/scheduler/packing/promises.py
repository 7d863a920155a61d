"""When a job that cannot start now could, by the expected ends of what runs, and on which nodes.

A promise keeps what its job needs and no more: cards, CPU and memory on its nodes, and the watts of their racks, feeds
and zones. Whoever ends before it may use everything; whoever stays longer may use what is left beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fleetctl.scheduler.packing.headroom import Forecast, Headroom
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.state import Floats, Ints, Mask, Share
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

OVERDUE_S = 1.0  # what runs longer than expected is expected to end at any moment
LOOKED_AT = 32  # nodes that are looked at one by one for when CPU, memory or a power cap lets a task in


@dataclass(slots=True)
class Free:
    """What is free on a node at some moment: milli by card, CPU, memory."""

    cards: list[int]
    cpu_milli: int
    memory_mib: int

    def take(self, share: Share) -> None:
        for index, milli in share.devices:
            self.cards[index] -= milli
        self.cpu_milli -= share.cpu_milli
        self.memory_mib -= share.memory_mib

    def leaves_room(self, kind: TaskClass, other: TaskClass) -> bool:
        """Is there room for `kind` whichever cards `other` is given?"""
        if other.alone or other.cards > len(self.cards):
            return False
        if self.cpu_milli - other.cpu_milli < kind.cpu_milli or self.memory_mib - other.memory_mib < kind.memory_mib:
            return False
        will_do = [free for free in self.cards if free >= kind.milli]
        would_not = sum(1 for free in will_do if free - other.milli < kind.milli)
        return len(will_do) - min(other.cards, would_not) >= kind.cards


@dataclass(slots=True, eq=False)
class Promise:
    """From `at` a job has its room on these nodes; infinite: nobody can say when. nodes: one mask over all.

    free: what there will be on nodes it shares; left: watts by limit beside what it draws; both less what began since
    and stays longer.
    """

    at: float
    nodes: Mask
    kind: TaskClass
    free: dict[int, Free] = field(default_factory=dict)
    room: Headroom | None = None
    left: Floats | None = None

    def bars(self, end: float) -> bool:
        """Must a job that ends then keep off what is promised? What ends at all is no harm where nobody knows a moment."""
        return end > self.at or end == np.inf

    def barred(self, kind: TaskClass) -> Mask:
        """The nodes on which one of this class, which `bars` holds back, would delay it."""
        mask = self.nodes
        beside = [node for node, free in self.free.items() if free.leaves_room(self.kind, kind)]
        if beside:
            mask = mask.copy()
            mask[beside] = False
        if self.room is not None and self.left is not None:
            mask = mask | ~self.room.bears(kind, self.left)
        return mask

    def take(self, shares: Sequence[Share]) -> None:
        """A job that stays longer has begun."""
        for share in shares:
            if share.node in self.free:
                self.free[share.node].take(share)
        if self.room is not None and self.left is not None:
            self.room.take(shares, left=self.left)


class Ends:
    """Expected end of what runs on every card. Unused cards end at 0, cards that are not there never."""

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        widest = max((n.cards for n in packer.nodes), default=0) or 1
        self._cards = np.full((len(packer.nodes), widest), np.inf)
        for number, node in enumerate(packer.nodes):
            self._cards[number, : node.cards] = 0.0
        self._hosts = np.zeros(len(packer.nodes))
        self._next = np.full(len(packer.nodes), np.inf)  # when the first of those on a node ends
        self._running: list[dict[int, tuple[Share, float, float]]] = [{} for _ in packer.nodes]

    def start(self, job: int, shares: Sequence[Share], end: float, begun: float = np.inf) -> None:
        """begun: only needed where power is measured."""
        for share in shares:
            self._running[share.node][job] = (share, end, begun)
            self.refresh(share.node)

    def stop(self, job: int, shares: Sequence[Share]) -> None:
        for share in shares:
            self._running[share.node].pop(job, None)
            self.refresh(share.node)

    def remaining(self, now: float) -> float:
        """Card-seconds still to run, as expected."""
        left = self._cards - now
        return float(left[(left > 0.0) & (left < np.inf)].sum())

    def unheld(self, nodes: Ints, cards: Ints) -> Mask:
        """Of these cards, those that nothing runs on, and those that take no new work, whatever runs on them."""
        ends = self._cards[nodes, cards]
        found: Mask = (ends == 0.0) | (ends == np.inf)
        return found

    def on(self, node: int) -> list[int]:
        """The jobs on a node."""
        return list(self._running[node])

    def promise(
        self,
        kind: TaskClass,
        now: float,
        free: Mask | None,
        ready: Callable[[Floats], None] | None = None,
        beside: Sequence[Promise] = (),
    ) -> Promise | None:
        """The earliest time and nodes for one of this class; None where no node will do.

        free: nodes it may be promised, all when None; ready: as `Asker.ready`; beside: promises whose watts are spoken for.
        """
        packer = self._packer
        able = packer.able(kind) & ~packer.closed
        if free is not None:
            able &= free
        if not kind.nodes and packer.is_gang(kind):
            return self._for_gang(kind, now, able)
        able &= (packer.has.cpu >= kind.cpu_milli) & (packer.has.memory >= kind.memory_mib)
        whole = self._for_nodes(now)
        at = whole.copy() if kind.alone else self._for_cards(kind, now, whole)
        power = self._forecast(now, beside)
        if power is not None:
            np.maximum(at, power.moments(kind), out=at)
        if ready is not None:
            ready(at)
        at[~able] = np.inf
        if max(1, kind.nodes) == 1:
            found, moment = self._one(kind, at, now, whole)
        else:
            found, moment = self._several(kind, at, power)
        if not found:
            return Promise(np.inf, able, kind) if able.any() else None
        nodes = np.zeros(len(at), dtype=np.bool_)
        nodes[found] = True
        promise = Promise(moment, nodes, kind)
        if not kind.alone:
            promise.free = {node: self._free_at(node, moment, now) for node in found}
        if power is not None:
            promise.room, promise.left = power.room, power.left_at(moment)
            for node in found:
                more = power.room.need_w(kind)[node] * power.room.share[node]
                np.subtract.at(promise.left, power.room.of[node], more)
        return promise

    def _one(self, kind: TaskClass, at: Floats, now: float, whole: Floats) -> tuple[list[int], float]:
        """The node that is ready first, looked at closely: `at` knows cards and watts, not CPU, memory and power caps."""
        rough = np.ones(len(at), dtype=np.bool_)
        for turn in range(len(at)):
            node = int(at.argmin()) if len(at) else 0
            moment = float(at[node])
            if moment == np.inf:
                break
            exact = self._when(kind, node, moment, now) if rough[node] else moment
            if exact <= moment:
                return [node], moment
            at[node], rough[node] = exact, False
            if turn == LOOKED_AT:  # no finer for the others than when all of the node is free
                at[rough] = np.maximum(at[rough], whole[rough])
        return [], np.inf

    def _several(self, kind: TaskClass, at: Floats, power: Forecast | None) -> tuple[list[int], float]:
        """The nodes that are ready first, as many as it needs, in one place where it wants one."""
        nodes = np.flatnonzero(np.isfinite(at))
        best: list[int] = []
        moment = np.inf
        if len(nodes) < kind.nodes:
            return best, moment
        for members in self._packer.places.split(kind.same, nodes, kind.nodes) if kind.same else (nodes,):
            ordered = members[np.argsort(at[members], kind="stable")]
            first, when = ordered[: kind.nodes].tolist(), float(at[ordered[kind.nodes - 1]])
            if when < moment and power is not None:
                first, when = power.first_borne(kind, ordered, at, kind.nodes)
            if when < moment:
                best, moment = first, when
        return best, moment

    def _for_cards(self, kind: TaskClass, now: float, whole: Floats) -> Floats:
        """Per node, when so many cards are free: at once where they are, for other things may be missing."""
        cards = kind.cards
        if cards > self._cards.shape[1]:
            return np.full(len(whole), np.inf)
        ready = np.partition(self._cards, cards - 1, axis=1)[:, cards - 1] if cards else np.zeros(len(whole))
        at = np.where(ready <= 0.0, now, np.maximum(ready, now + OVERDUE_S))
        if not kind.nodes:  # it did not start: where anything runs, something must end first
            waits = (ready <= 0.0) & ~self._packer.untouched & (self._hosts > 0.0)
            at[waits] = np.maximum(self._next[waits], now + OVERDUE_S)
        return np.where(self._packer.taken_alone, whole, at)

    def _for_nodes(self, now: float) -> Floats:
        """Per node, when all of it is free."""
        packer = self._packer
        at: Floats = np.where(packer.untouched, now, np.maximum(self._hosts, now + OVERDUE_S))
        at[packer.strayed] = np.inf  # nobody knows when that ends
        return at

    def _when(self, kind: TaskClass, node: int, since: float, now: float) -> float:
        """When one fits on a node, not before `since`; infinite when never."""
        ends = {max(end, now + OVERDUE_S) for _, end, _ in self._running[node].values()}
        for moment in (since, *sorted(end for end in ends if since < end < np.inf)):
            if self._fits(kind, node, moment, now):
                return moment
        return np.inf

    def _fits(self, kind: TaskClass, node: int, moment: float, now: float) -> bool:
        if kind.alone or self._packer.taken_alone[node]:
            return True  # `at` says when all of it is free
        free = self._free_at(node, moment, now)
        return self._packer.would_fit(kind, node, free.cards, free.cpu_milli, free.memory_mib)

    def _free_at(self, node: int, moment: float, now: float) -> Free:
        has = self._packer.nodes[node]
        free = Free([WHOLE] * has.cards, has.cpu_milli, has.memory_mib)
        for share, end, _ in self._running[node].values():
            if max(end, now + OVERDUE_S) > moment:
                free.take(share)
        for index in self._packer.off(node):
            free.cards[index] = 0
        return free

    def _forecast(self, now: float, beside: Sequence[Promise]) -> Forecast | None:
        room = self._packer.headroom
        if room is None:
            return None
        left = room.left.copy()
        for promise in beside:
            for node in np.flatnonzero(promise.nodes).tolist() if np.isfinite(promise.at) else ():
                np.subtract.at(left, room.of[node], room.need_w(promise.kind)[node] * room.share[node])
        runs = [
            (node, end, sum(milli for _, milli in share.devices), begun)
            for node in np.flatnonzero(np.isfinite(self._next)).tolist()
            for share, end, begun in self._running[node].values()
            if end < np.inf
        ]
        table = np.array(runs, dtype=np.float64).reshape(-1, 4)
        nodes, milli = table[:, 0].astype(np.int64), table[:, 2].astype(np.int64)
        freed = room.freed_w(nodes, milli, table[:, 3])
        return Forecast(room, left, nodes, np.maximum(table[:, 1], now + OVERDUE_S), freed)

    def _for_gang(self, kind: TaskClass, now: float, able: Mask) -> Promise | None:
        best: Promise | None = None
        ready = self._for_nodes(now)
        for members, need in self._packer.gang_groups(kind):
            members = members[able[members]]
            if len(members) < need:
                continue
            first = members[np.argsort(ready[members], kind="stable")[:need]]
            at = float(ready[first].max())
            if np.isfinite(at) and (best is None or at < best.at):
                nodes = np.zeros(len(ready), dtype=np.bool_)
                nodes[first] = True
                best = Promise(at, nodes, kind)
        return best

    def refresh(self, node: int) -> None:
        """What runs on a node, or which of its cards take work, has changed."""
        count = self._packer.nodes[node].cards
        ends = [0.0] * count
        latest, first = 0.0, np.inf
        for share, end, _ in self._running[node].values():
            latest, first = max(latest, end), min(first, end)
            for index, _milli in share.devices:
                ends[index] = max(ends[index], end)
        for index in self._packer.off(node):
            ends[index] = np.inf
        self._cards[node, :count] = ends
        self._hosts[node], self._next[node] = latest, first
