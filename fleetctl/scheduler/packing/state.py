"""What is free on every node of a fleet: taking, giving back, opening and closing, and the form each node has by that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.forms import Forms
from fleetctl.scheduler.packing.fragments import ClassMix
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.policies import Sizes
from fleetctl.scheduler.packing.power import PowerModel, one_cpu_w
from fleetctl.scheduler.packing.task import WHOLE

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


KEEP_CHANGES = 4096  # beyond eight per node

Alike = tuple[str, int, int, int, float | None]  # model, cards, CPU, memory, power cap of nodes that score alike


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
        self.untouched: Mask = np.ones(len(nodes), dtype=np.bool_)
        self.closed: Mask = np.zeros(len(nodes), dtype=np.bool_)
        self.taken_alone: Mask = np.zeros(len(nodes), dtype=np.bool_)
        self.node_w: Floats = np.zeros(len(nodes))
        alike: dict[Alike, int] = {}
        self._group = [alike.setdefault(_alike(node), len(alike)) for node in nodes]
        self.alike = tuple(alike)  # by number of the group
        self.numbered = 0  # grows when forms are numbered anew
        self.form: Ints = np.zeros(len(nodes), dtype=np.int64)  # number of each node's form
        self._log: Ints = np.zeros(KEEP_CHANGES + 8 * len(nodes), dtype=np.int64)  # nodes that changed, in order
        self._logged = self._forgotten = 0
        self._number()

    # ---- what happens

    def apply(self, shares: Sequence[Share]) -> None:
        """Take. Raises ValueError where that would take more than there is, and then takes nothing."""
        for share in shares:
            node, cards = share.node, self._cards[share.node]
            if share.cpu_milli > self.cpu_milli[node] or share.memory_mib > self.memory_mib[node]:
                raise ValueError(f"{self.nodes[node].name} has not that much CPU or memory left")
            for index, milli in share.devices:
                if cards[index] < milli:
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
            self._refresh(node)

    def open(self, nodes: Collection[int]) -> None:
        """These nodes take tasks again."""
        for node in nodes:
            self.closed[node] = False
            self._refresh(node)

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
        return self._forgotten + self._logged

    def changed_since(self, seen: int) -> Ints | None:
        """The nodes that changed after so many changes; None when that is forgotten: look at all."""
        start = seen - self._forgotten
        return None if start < 0 else self._log[start : self._logged].copy()

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
        if self.forms.is_full:
            self._number()
        self.form[node] = self._form(node)
        self._log[self._logged] = node
        self._logged += 1
        if self._logged == len(self._log):
            half = self._logged // 2  # is forgotten
            self._log[: self._logged - half] = self._log[half:].copy()
            self._logged -= half
            self._forgotten += half

    def _form(self, node: int) -> int:
        has, cards, all_cards = self.nodes[node], self.open_cards(node), self._cards[node]
        cpu, memory = int(self.cpu_milli[node]), int(self.memory_mib[node])
        node_w = self.power.cards_w(has.model, all_cards) + one_cpu_w(has.cpu_milli, cpu)
        self.node_w[node] = node_w
        alone = bool(self.taken_alone[node])
        free = cpu == has.cpu_milli and memory == has.memory_mib and sum(all_cards) == has.cards * WHOLE
        free = free and not (alone or self._sitting.get(node) or self.strayed[node])
        self.untouched[node] = free
        shut = alone or bool(self.closed[node])
        ordered = tuple(sorted(cards, reverse=True))
        return self.forms.number(self._group[node], ordered, cpu, memory, node_w, untouched=free, shut=shut)

    def _number(self) -> None:
        """Number the forms in use anew; everything that goes by number is to be forgotten."""
        self.forms = Forms(self.mix, len(self.nodes))
        self.form[:] = [self._form(node) for node in range(len(self.nodes))]
        self.numbered += 1


def _alike(node: NodeSpec) -> Alike:
    return node.model, node.cards, node.cpu_milli, node.memory_mib, node.power_cap_w
