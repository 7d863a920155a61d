"""Who is next in a queue: the order of a line, and what of a blocked head's place others may use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fleetctl.scheduler.packing.task import Task, TaskClass

# Seconds of waiting that outweigh one second of expected run. A job with n cards that is thought to run t seconds is never
# overtaken by one that came more than WEIGHT * t * sqrt(n) later; for gangs, GANG_WEIGHT * t * sqrt(n). Measured on
# made-up traces of whole-card gangs (docs/performance.md): more weight shortens the mean and lengthens the longest wait.
WEIGHT = 8.0
GANG_WEIGHT = 4.0
# Less bounds the longest wait closer and costs the mean: at 2.5 a sixth on fleets of four nodes, at 4 nothing to be seen.
PATIENCE = 4.0
GANGS_HELD = 1  # gangs for which nodes are kept free at the same time


@dataclass(frozen=True, slots=True)
class Order:
    """How a queue is served.

    backfill: later jobs may start where that does not delay those with a promise; short_first: the smallest expected
    work first, with ageing, instead of who came first; moves: movable jobs may leave their site, and all sites share one
    line; gangs_held: promises to gangs beside the one to the first that is blocked; promises_all: one to everybody who
    is blocked; patience: who has waited so many times as long as all that was ahead when it came would have taken the
    fleet goes first, 0 for never; keeps_turn: who was first and was promised a time is not passed by later ones with a lower key.
    """

    name: str
    backfill: bool = False
    short_first: bool = False
    moves: bool = False
    gangs_held: int = 0
    promises_all: bool = False
    patience: float = 0.0
    keeps_turn: bool = False

    def kind(self, task: Task) -> TaskClass:
        """What the task asks for under this order."""
        return task.free if self.moves and task.free is not None else task.kind

    def line(self, task: Task) -> str:
        """The line it stands in."""
        return "" if self.moves else task.kind.site

    def key(self, submit_s: float, expected_s: float, cards: int, *, gang: bool) -> float:
        """Its place in the line: lower is earlier. Static, so nobody waits for ever: all who come later get higher."""
        if not self.short_first:
            return submit_s
        weight = GANG_WEIGHT if gang else WEIGHT
        return submit_s + weight * expected_s * math.sqrt(max(1, cards))


ORDERS: Mapping[str, Order] = {
    o.name: o
    for o in (
        Order("fleet", backfill=True, short_first=True, moves=True, gangs_held=GANGS_HELD, patience=PATIENCE),
        Order("easy", backfill=True),
        Order("fifo"),
    )
}
KEPT = "kept"  # what is added to the name of an order that keeps turns
