"""How much a policy dislikes a move, as one whole number: lower is better, equal scores go to the first node.

`fgd` takes the node whose expected fragments grow least. Two choices matter (measured on openb, ADR 0038): differences
are rounded to steps, and what is then equal goes to the node with the fewest free milli-cards, then the least free CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.power import cpu_w

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STEP_MILLI = 30  # differences of expected fragments below half of this count as equal
MILLI_PER_WATT = 1000.0 / 150.0  # a watt weighs as much as 1/150 of a card, four times what it does as a fragment


@dataclass(frozen=True, slots=True)
class Sizes:
    """What nodes, or groups of nodes that are alike, have when empty."""

    cpu: Ints
    memory: Ints
    milli: Ints


@dataclass(slots=True)
class After:
    """Nodes as they would be with the task, one entry per node. cost: of the best choice of cards, by `Policy.cost`.

    taken_cpu: what the task takes; groups: which of those that has describes each node is one of.
    """

    cost: Floats
    cpu: Ints
    memory: Ints
    free_milli: Ints
    taken_cpu: int
    groups: Ints
    has: Sizes

    @property
    def more_cpu_w(self) -> Floats:
        """What CPUs would draw above what they do now."""
        has = self.has.cpu[self.groups]
        return cpu_w(has, self.cpu) - cpu_w(has, self.cpu + self.taken_cpu)


@dataclass(frozen=True, slots=True)
class Policy:
    """rank(after): one whole number per node, at least 0 and below 1 << 62. cost(grown, watts): of choices of cards.

    grown: milli-cards of fragments, and watts of cards, above what they were; uses_mix, uses_watts: which of them are
    wanted, the other is 0; drawn: any node that fits, by lot; until_load: above this share of cards taken the policy
    `then` decides; 1.0 and None: never.
    """

    name: str
    rank: Callable[[After], Ints]
    cost: Callable[[Floats, Floats], Floats]
    uses_mix: bool = False
    uses_watts: bool = False
    drawn: bool = False
    until_load: float = 1.0
    then: Policy | None = None


def _packed(first: Ints, after: After) -> Ints:
    """first, then the fewest free milli-cards, then the least free CPU, in one number."""
    cpu = np.minimum(after.cpu // 100, (1 << 24) - 1)  # a node has fewer than 1 << 18 milli-cards
    return ((first + (1 << 18)) << 42) + (after.free_milli << 24) + cpu


def _steps(cost: Floats) -> Ints:
    return np.rint(cost / STEP_MILLI).astype(np.int64)


def _best_fit(after: After) -> Ints:
    """The least left of everything, each as a share of what the node has."""
    has, groups = after.has, after.groups
    left = after.free_milli / np.maximum(1, has.milli[groups]) + after.cpu / np.maximum(1, has.cpu[groups])
    left = left + after.memory / np.maximum(1, has.memory[groups])
    return np.rint(left * 1e9).astype(np.int64)


def _alike(after: After) -> Ints:
    return np.zeros(len(after.cpu), dtype=np.int64)


def _nothing(grown: Floats, watts: Floats) -> Floats:
    return np.zeros_like(grown)


FGD = Policy("fgd", lambda a: _packed(_steps(a.cost), a), lambda grown, watts: grown, uses_mix=True)
POLICIES: Mapping[str, Policy] = {
    p.name: p
    for p in (
        FGD,
        Policy(
            "power",
            lambda a: _packed(_steps(a.cost + a.more_cpu_w * MILLI_PER_WATT), a),
            lambda grown, watts: watts * MILLI_PER_WATT + grown / 4,
            uses_mix=True,
            uses_watts=True,
            until_load=0.85,
            then=FGD,
        ),
        Policy("first-fit", _alike, _nothing),
        Policy("best-fit", _best_fit, _nothing),
        Policy("tightest", lambda a: _packed(_alike(a), a), _nothing),
        Policy("random", _alike, _nothing, drawn=True),
    )
}
