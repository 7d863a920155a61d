"""When a job that cannot start now could, by the expected ends of what runs, and on which nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.state import Floats, Ints, Mask, Share
from fleetctl.scheduler.packing.task import TaskClass

OVERDUE_S = 1.0  # what runs longer than expected is expected to end at any moment


@dataclass(frozen=True, slots=True)
class Promise:
    """From `at` these nodes are a job's; infinite: nobody can say when. nodes: one mask over all."""

    at: float
    nodes: Mask

    def bars(self, end: float) -> bool:
        """Must a job that ends then keep off these nodes? What ends at all is no harm where nobody knows a moment."""
        return end > self.at or end == np.inf


class Ends:
    """Expected end of what runs on every card. Unused cards end at 0, cards that are not there never."""

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        widest = max((n.cards for n in packer.nodes), default=0) or 1
        self._cards = np.full((len(packer.nodes), widest), np.inf)
        for number, node in enumerate(packer.nodes):
            self._cards[number, : node.cards] = 0.0
        self._hosts = np.zeros(len(packer.nodes))
        self._running: list[dict[int, tuple[Share, float]]] = [{} for _ in packer.nodes]

    def start(self, job: int, shares: Sequence[Share], end: float) -> None:
        for share in shares:
            self._running[share.node][job] = (share, end)
            self.refresh(share.node)

    def stop(self, job: int, shares: Sequence[Share]) -> None:
        for share in shares:
            self._running[share.node].pop(job, None)
            self.refresh(share.node)

    def remaining(self, now: float) -> float:
        """Card-seconds still to run, as expected."""
        left = self._cards - now
        return float(left[(left > 0.0) & (left < np.inf)].sum())

    def on(self, node: int) -> list[int]:
        """The jobs on a node."""
        return list(self._running[node])

    def promise(
        self, kind: TaskClass, now: float, free: Mask | None, ready: Callable[[Floats], None] | None = None
    ) -> Promise | None:
        """The earliest time and nodes for one of this class; None where no node will do.

        free: nodes it may be promised, all when None; ready: as `Asker.ready`.
        """
        packer = self._packer
        able = packer.able(kind) & ~packer.closed
        if free is not None:
            able &= free
        if packer.headroom is not None:
            able &= packer.headroom.bears(kind)
        if not kind.nodes and packer.is_gang(kind):
            return self._for_gang(kind, now, able)
        at = self._for_nodes(now) if kind.alone else self._for_cards(kind, now)
        if ready is not None:
            ready(at)
        at[~able] = np.inf
        found = self._earliest(kind, at)
        if found is None:
            return Promise(np.inf, able) if able.any() else None
        nodes = np.zeros(len(at), dtype=np.bool_)
        nodes[found] = True
        return Promise(float(at[found].max()), nodes)

    def _earliest(self, kind: TaskClass, at: Floats) -> Ints | None:
        """The nodes that are ready first, as many as it needs, in one place where it wants one."""
        need = max(1, kind.nodes)
        nodes = np.flatnonzero(np.isfinite(at))
        if len(nodes) < need:
            return None
        if need == 1:
            return nodes[[int(at[nodes].argmin())]]
        best: Ints | None = None
        for members in self._packer.places.split(kind.same, nodes, need) if kind.same else (nodes,):
            ordered = members[np.argsort(at[members], kind="stable")]
            room = self._packer.headroom
            first = ordered[:need] if room is None else np.array(room.first(kind, ordered.tolist(), need), dtype=int)
            if len(first) == need and (best is None or at[first].max() < at[best].max()):
                best = first
        return best

    def _for_cards(self, kind: TaskClass, now: float) -> Floats:
        """Per node, when so many cards are free. Where they are now: at once for a member of a gang, which waits for the
        others; else CPU or memory is missing, and it is when all of the node is free."""
        whole, cards = self._for_nodes(now), kind.cards
        if not cards:
            return whole
        if cards > self._cards.shape[1]:
            return np.full(len(whole), np.inf)
        ready = np.partition(self._cards, cards - 1, axis=1)[:, cards - 1]
        return np.where(ready <= 0.0, now if kind.nodes else whole, np.maximum(ready, now + OVERDUE_S))

    def _for_nodes(self, now: float) -> Floats:
        """Per node, when all of it is free."""
        return np.where(self._packer.untouched, now, np.maximum(self._hosts, now + OVERDUE_S))

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
                best = Promise(at, nodes)
        return best

    def refresh(self, node: int) -> None:
        """What runs on a node, or which of its cards take work, has changed."""
        ends = [0.0] * self._packer.nodes[node].cards
        latest = 0.0
        for share, end in self._running[node].values():
            latest = max(latest, end)
            for index, _milli in share.devices:
                ends[index] = max(ends[index], end)
        for index in self._packer.off(node):
            ends[index] = np.inf
        self._cards[node, : len(ends)] = ends
        self._hosts[node] = latest
