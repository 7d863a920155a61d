"""A node as a place for tasks: what it has, and its state - what of it is free."""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.scheduler.packing.task import WHOLE, TaskClass

UNKNOWN = 10**13  # CPU or memory of a node nobody told: it never binds


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """What a node has when nothing runs on it. power_cap_w: what it may draw, None without a cap."""

    name: str
    cpu_milli: int
    memory_mib: int
    cards: int
    model: str = ""
    site: str = ""
    rack: str = ""
    power_cap_w: float | None = None

    @property
    def kind(self) -> NodeKind:
        return NodeKind(self.cpu_milli, self.memory_mib, self.cards, self.model, self.power_cap_w)


@dataclass(frozen=True, slots=True)
class NodeKind:
    """Nodes that are alike but for name and place."""

    cpu_milli: int
    memory_mib: int
    cards: int
    model: str
    power_cap_w: float | None = None


class State:
    """What is free on a node: nodes of one kind with the same free parts share one object.

    cards: free milli of each, descending. fragments: milli-cards the next task is expected to have no use for, None
    until asked for. moves: by the packer's number of a task class and policy, what taking it would lead to.
    """

    __slots__ = ("cards", "cpu", "fragments", "free_milli", "kind", "memory", "moves", "power_w")

    def __init__(self, kind: NodeKind, cpu: int, memory: int, cards: tuple[int, ...], power_w: float) -> None:
        self.kind = kind
        self.cpu = cpu
        self.memory = memory
        self.cards = cards
        self.free_milli = sum(cards)
        self.power_w = power_w
        self.fragments: float | None = None
        self.moves: dict[int, Move | None] = {}

    @property
    def untouched(self) -> bool:
        """Nothing runs there."""
        kind = self.kind
        return self.cpu == kind.cpu_milli and self.memory == kind.memory_mib and self.free_milli == kind.cards * WHOLE


@dataclass(frozen=True, slots=True)
class Move:
    """Taking a task: score (lower is better), the state after it, and how much was free on each card it takes."""

    score: int
    after: State
    levels: tuple[int, ...]


def card_choices(state: State, kind: TaskClass) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(cards after, free milli of the cards taken) for every choice that differs; [] when the task does not fit.

    A share goes to any card with room, each level of free milli once, the fullest card first; several shares go to the fullest cards that
    have room, each on a card of its own; whole cards are untouched ones.
    """
    if kind.cpu_milli > state.cpu or kind.memory_mib > state.memory:
        return []
    if kind.models and state.kind.model not in kind.models:
        return []
    if kind.cards == 0:
        return [(state.cards, ())]
    room = [free for free in state.cards if free >= kind.milli]
    if len(room) < kind.cards:
        return []
    if kind.cards == 1:
        levels: list[tuple[int, ...]] = [(free,) for free in dict.fromkeys(reversed(room))]
    else:
        levels = [tuple(room[-kind.cards :])]
    return [(_without(state.cards, taken, kind.milli), taken) for taken in levels]


def _without(cards: tuple[int, ...], taken: tuple[int, ...], milli: int) -> tuple[int, ...]:
    left = list(cards)
    for level in taken:
        left.remove(level)
        left.append(level - milli)
    left.sort(reverse=True)
    return tuple(left)
