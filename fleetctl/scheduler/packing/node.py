"""A node as a place for tasks: what it has, and which of its free cards a task could take."""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.scheduler.packing.task import WHOLE, TaskClass

UNKNOWN = 10**13  # CPU or memory of a node nobody told: it never binds


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """What a node has when nothing runs on it. power_cap_w: what it may draw, None without a cap; leaf: switch."""

    name: str
    cpu_milli: int
    memory_mib: int
    cards: int
    model: str = ""
    site: str = ""
    rack: str = ""
    power_cap_w: float | None = None
    leaf: str = ""


CardChoice = tuple[tuple[int, ...], tuple[int, ...]]


def card_choices(cards: tuple[int, ...], kind: TaskClass) -> list[CardChoice]:
    """(free milli of the cards after, free milli of those taken) for every choice that differs; [] where none fits.

    A share goes to any card with room, each level of free milli once, the fullest card first; several shares go to the
    fullest cards that have room, each on a card of its own; whole cards are untouched ones. Who wants to be alone gets
    every card that works, and at least one where the node has any.
    """
    if kind.alone:
        taken = tuple(free for free in cards if free >= WHOLE)
        enough = len(taken) >= max(kind.cards, 1 if cards else 0)
        return [((0,) * len(cards), taken)] if enough else []
    if kind.cards == 0:
        return [(cards, ())]
    room = [free for free in cards if free >= kind.milli]
    if len(room) < kind.cards:
        return []
    levels: list[tuple[int, ...]]
    if kind.cards == 1:
        levels = [(free,) for free in dict.fromkeys(reversed(room))]
    else:
        levels = [tuple(room[-kind.cards :])]
    return [(_without(cards, taken, kind.milli), taken) for taken in levels]


def _without(cards: tuple[int, ...], taken: tuple[int, ...], milli: int) -> tuple[int, ...]:
    left = list(cards)
    for level in taken:
        left.remove(level)
        left.append(level - milli)
    left.sort(reverse=True)
    return tuple(left)
