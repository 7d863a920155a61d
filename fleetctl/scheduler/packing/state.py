"""What is free on every node of a fleet, and which nodes changed: taking, giving back, opening and closing.

What scores depend on is kept as numbers beside it: free cards as a signature (nodes with the same free parts have the
same one) and free CPU and memory as steps. The list of changes tells whoever keeps scores what to look at again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.fragments import ClassMix
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.policies import Sizes
from fleetctl.scheduler.packing.power import PowerModel, cpu_w, one_cpu_w
from fleetctl.scheduler.packing.task import WHOLE

MAX_KEPT = 200_000  # entries of each thing that is kept
KEEP_CHANGES = 4096  # beyond four per node
STEP_BITS = 10
STEPS = 1 << STEP_BITS  # more than CPU or memory has steps

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Share:
    """What a task holds on one node. node: its number; devices: (card, milli) in order of the card's number.

    alone: nobody else may be there meanwhile; sits: it is there, though on no card that the node names.
    """

    node: int
    devices: tuple[tuple[int, int], ...]
    cpu_milli: int = 0
    memory_mib: int = 0
    alone: bool = False
    sits: bool = False


class FreeState:
    """Free parts by node number. Not thread-safe."""

    def __init__(self, nodes: Sequence[NodeSpec], mix: ClassMix, power: PowerModel) -> None:
        self.nodes, self.mix, self.power = tuple(nodes), mix, power
        self.total_milli = sum(n.cards for n in nodes) * WHOLE
        self.used_milli = 0
        self._cards = [[WHOLE] * n.cards for n in nodes]
        self._off: dict[int, frozenset[int]] = {}  # cards that take nothing new
        self._sitting: dict[int, int] = {}  # shares that hold no card
        self.strayed: Mask = np.zeros(len(nodes), dtype=np.bool_)  # something runs there that holds nothing
        self.has = Sizes(
            np.array([n.cpu_milli for n in nodes], dtype=np.int64),
            np.array([n.memory_mib for n in nodes], dtype=np.int64),
            np.array([n.cards * WHOLE for n in nodes], dtype=np.int64),
        )
        self.cpu_milli = self.has.cpu.copy()
        self.memory_mib = self.has.memory.copy()
        self.free_milli = self.has.milli.copy()  # on cards that take new work
        self.untouched: Mask = np.ones(len(nodes), dtype=np.bool_)
        self.closed: Mask = np.zeros(len(nodes), dtype=np.bool_)
        self.taken_alone: Mask = np.zeros(len(nodes), dtype=np.bool_)
        self._signatures: dict[tuple[str, tuple[int, ...]], int] = {}
        self.signed: list[tuple[str, tuple[int, ...]]] = []  # signature number -> (model, free milli, descending)
        self.signature = np.array([self._sign(n.model, (WHOLE,) * n.cards) for n in nodes], dtype=np.int64)
        cards_w = [power.cards_w(n.model, (WHOLE,) * n.cards) for n in nodes]
        self.node_w = np.array(cards_w, dtype=np.float64) + cpu_w(self.has.cpu, self.cpu_milli)
        cpu_step, memory_step = mix.steps(self.cpu_milli, self.memory_mib)
        self.parts = (self.signature * STEPS + cpu_step) * STEPS + memory_step  # what fragments depend on
        self.numbered = 0  # grows when signatures are numbered anew
        self._changes: list[int] = []
        self._forgotten = 0  # changes dropped from the head of the list

    # ---- what happens

    def apply(self, shares: Sequence[Share]) -> None:
        """Take. Raises ValueError where that would take more than there is, and then takes nothing."""
        for share in shares:
            node, cards = share.node, self._cards[share.node]
            if share.cpu_milli > self.cpu_milli[node] or share.memory_mib > self.memory_mib[node]:
                raise ValueError(f"{self.nodes[node].name} has not that much CPU or memory left")
            if any(cards[index] < milli for index, milli in share.devices):
                raise ValueError(f"{self.nodes[node].name} has not that much of its cards left")
        for share in shares:
            self._change(share, -1)

    def release(self, shares: Sequence[Share]) -> None:
        """Give back what apply took."""
        for share in shares:
            self._change(share, 1)

    def close(self, nodes: Collection[int]) -> None:
        """These nodes take nothing new."""
        for node in nodes:
            self.closed[node] = True
            self._log(node)

    def open(self, nodes: Collection[int]) -> None:
        """These nodes take tasks again."""
        for node in nodes:
            self.closed[node] = False
            self._log(node)

    def set_off(self, node: int, cards: frozenset[int]) -> None:
        """These of a node's cards, and no others, take nothing new."""
        if cards != self._off.get(node, frozenset()):
            if cards:
                self._off[node] = cards
            else:
                del self._off[node]
            self._refresh(node)

    def set_strayed(self, node: int, is_so: bool) -> None:
        """Something runs on a node that holds nothing of it: nobody is alone there."""
        if is_so != bool(self.strayed[node]):
            self.strayed[node] = is_so
            self._refresh(node)

    # ---- figures

    def card_milli(self, node: int) -> tuple[int, ...]:
        """Milli of each card of a node that nobody holds, in order of the card's number."""
        return tuple(self._cards[node])

    def off(self, node: int) -> frozenset[int]:
        """The cards of a node that take nothing new."""
        return self._off.get(node, frozenset())

    def open_cards(self, node: int) -> list[int]:
        """As card_milli, 0 for cards that take nothing new."""
        off = self._off.get(node)
        cards = self._cards[node]
        return [0 if i in off else free for i, free in enumerate(cards)] if off else cards

    @property
    def load(self) -> float:
        """Share of all milli-cards that is taken."""
        return self.used_milli / self.total_milli if self.total_milli else 0.0

    # ---- changes

    @property
    def seen(self) -> int:
        """How many changes there were."""
        return self._forgotten + len(self._changes)

    def changed_since(self, seen: int) -> Ints | None:
        """The nodes that changed after so many changes, each once; None when that is forgotten: look at all."""
        start = seen - self._forgotten
        if start < 0:
            return None
        return np.array(list(set(self._changes[start:])), dtype=np.int64)

    # ---- inside

    def _change(self, share: Share, sign: int) -> None:
        node, cards = share.node, self._cards[share.node]
        for index, milli in share.devices:
            cards[index] += sign * milli
            self.used_milli -= sign * milli
        self.cpu_milli[node] += sign * share.cpu_milli
        self.memory_mib[node] += sign * share.memory_mib
        if share.alone:
            self.taken_alone[node] = sign < 0
        if share.sits:
            self._sitting[node] = self._sitting.get(node, 0) - sign
        self._refresh(node)

    def _refresh(self, node: int) -> None:
        """Bring everything that follows from a node's free parts up to date."""
        if len(self.signed) >= max(MAX_KEPT, 2 * len(self.nodes)):
            self._forget_signatures()
        has, cards = self.nodes[node], self.open_cards(node)
        cpu, memory = int(self.cpu_milli[node]), int(self.memory_mib[node])
        self.free_milli[node] = sum(cards)
        signature = self._sign(has.model, tuple(sorted(cards, reverse=True)))
        self.signature[node] = signature
        cpu_step, memory_step = self.mix.step(cpu, memory)
        self.parts[node] = (signature * STEPS + cpu_step) * STEPS + memory_step
        all_cards = self._cards[node]
        self.node_w[node] = self.power.cards_w(has.model, all_cards) + one_cpu_w(has.cpu_milli, cpu)
        free = cpu == has.cpu_milli and memory == has.memory_mib and sum(all_cards) == has.cards * WHOLE
        alone = not self.taken_alone[node] and not self._sitting.get(node) and not self.strayed[node]
        self.untouched[node] = free and alone
        self._log(node)

    def _log(self, node: int) -> None:
        self._changes.append(node)
        if len(self._changes) > 4 * len(self.nodes) + KEEP_CHANGES:
            drop = len(self._changes) // 2
            del self._changes[:drop]
            self._forgotten += drop

    def _sign(self, model: str, cards: tuple[int, ...]) -> int:
        """The number of these free cards of a model."""
        key = (model, cards)
        number = self._signatures.get(key)
        if number is None:
            number = self._signatures[key] = len(self.signed)
            self.signed.append(key)
        return number

    def _forget_signatures(self) -> None:
        """Number those in use anew; everything that goes by number is to be forgotten."""
        live = [self.signed[number] for number in self.signature.tolist()]
        self._signatures.clear()
        self.signed.clear()
        self.signature[:] = [self._sign(model, cards) for model, cards in live]
        self.parts = self.signature * STEPS**2 + self.parts % STEPS**2
        self.numbered += 1
