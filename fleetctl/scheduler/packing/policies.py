"""How much a policy dislikes a move, as one whole number: lower is better, equal scores go to the first node.

`fgd` takes the node whose expected fragments grow least. Two choices matter (measured on openb, ADR 0035): differences
are rounded to steps, and what is then equal goes to the node with the fewest free milli-cards, then the least free CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleetctl.scheduler.packing.node import State
from fleetctl.scheduler.packing.task import TaskClass

STEP_MILLI = 80  # differences of expected fragments below half of this count as equal
WATTS_PER_CARD = 150.0  # one watt weighs against fragments as 1/150 of a card

Score = Callable[[State, State, TaskClass], int]


@dataclass(frozen=True, slots=True)
class Policy:
    """score(before, after, task class); uses_mix: it asks for expected fragments; drawn: any node that fits, by lot.

    until_load: above this share of cards taken the policy `then` decides; 1.0 and None: never.
    """

    name: str
    score: Score
    uses_mix: bool = False
    drawn: bool = False
    until_load: float = 1.0
    then: Policy | None = None


def _packed(first: int, after: State) -> int:
    """first, then the fewest free milli-cards, then the least free CPU, in one number."""
    return (
        ((first + (1 << 18)) << 42)
        | (min(after.free_milli, (1 << 18) - 1) << 24)
        | min(after.cpu // 100, (1 << 24) - 1)
    )


def _grown(before: State, after: State) -> float:
    return (after.fragments or 0.0) - (before.fragments or 0.0)


def _fgd(before: State, after: State, kind: TaskClass) -> int:
    return _packed(round(_grown(before, after) / STEP_MILLI), after)


def _power(before: State, after: State, kind: TaskClass) -> int:
    watts = (after.power_w - before.power_w) * 1000.0 / WATTS_PER_CARD
    return _packed(round((watts + _grown(before, after) / 4) / STEP_MILLI), after)


def _first_fit(before: State, after: State, kind: TaskClass) -> int:
    return min(after.cards, default=0)  # among a node's cards the fullest; nodes alike


def _best_fit(before: State, after: State, kind: TaskClass) -> int:
    """The least left of everything, each part of what the node has."""
    has = after.kind
    left = after.free_milli / max(1, has.cards * 1000) + after.cpu / max(1, has.cpu_milli)
    left += after.memory / max(1, has.memory_mib)
    return (round(left * 1e6) << 20) | min(max(after.cards, default=0), (1 << 20) - 1)


def _tightest(before: State, after: State, kind: TaskClass) -> int:
    return _packed(0, after)


def _random(before: State, after: State, kind: TaskClass) -> int:
    return 0


FGD = Policy("fgd", _fgd, uses_mix=True)
POLICIES: Mapping[str, Policy] = {
    p.name: p
    for p in (
        FGD,
        Policy("power", _power, uses_mix=True, until_load=0.85, then=FGD),
        Policy("first-fit", _first_fit),
        Policy("best-fit", _best_fit),
        Policy("tightest", _tightest),
        Policy("random", _random, drawn=True),
    )
}
