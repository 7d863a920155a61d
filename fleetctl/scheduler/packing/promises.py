"""When a job that cannot start now could, by the expected ends of what runs, and on which nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.packer import Mask, Packer, Share
from fleetctl.scheduler.packing.task import TaskClass

OVERDUE_S = 1.0  # what runs longer than expected is expected to end at any moment


@dataclass(frozen=True, slots=True)
class Promise:
    """From `at` these nodes are a job's. nodes: one mask over all."""

    at: float
    nodes: Mask


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
            self._refresh(share.node)

    def stop(self, job: int, shares: Sequence[Share]) -> None:
        for share in shares:
            self._running[share.node].pop(job, None)
            self._refresh(share.node)

    def promise(self, kind: TaskClass, now: float, taken: Mask) -> Promise | None:
        """The earliest time and nodes for one of this class. taken: nodes promised to others, left out; None: never."""
        able = self._packer.able(kind) & ~taken & ~self._packer.closed
        if self._packer.is_gang(kind):
            return self._for_gang(kind, now, able)
        ready = self._for_cards(kind.cards, now)
        ready[~able] = np.inf
        node = int(ready.argmin()) if len(ready) else 0
        if not len(ready) or not np.isfinite(ready[node]):
            return None
        nodes = np.zeros(len(ready), dtype=np.bool_)
        nodes[node] = True
        return Promise(float(ready[node]), nodes)

    def _for_cards(self, cards: int, now: float) -> npt.NDArray[np.float64]:
        """Per node, when so many cards are free; where they are now but CPU or memory is not, when all of it is."""
        whole = np.where(self._packer.untouched, now, np.maximum(self._hosts, now + OVERDUE_S))
        if not cards:
            return whole
        if cards > self._cards.shape[1]:
            return np.full(len(whole), np.inf)
        ready = np.partition(self._cards, cards - 1, axis=1)[:, cards - 1]
        return np.where(ready <= 0.0, whole, np.maximum(ready, now + OVERDUE_S))

    def _for_gang(self, kind: TaskClass, now: float, able: Mask) -> Promise | None:
        best: Promise | None = None
        ready = np.where(self._packer.untouched, now, np.maximum(self._hosts, now + OVERDUE_S))
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

    def _refresh(self, node: int) -> None:
        ends = [0.0] * self._packer.nodes[node].cards
        latest = 0.0
        for share, end in self._running[node].values():
            latest = max(latest, end)
            for index, _milli in share.devices:
                ends[index] = max(ends[index], end)
        self._cards[node, : len(ends)] = ends
        self._hosts[node] = latest
