"""What a node draws for what runs on it, estimated from its cards and CPUs.

The model of Lettich et al., "Power- and Fragmentation-aware Online Scheduling for GPU Datacenters", CCGrid 2025: a card
draws its idle power while untouched and its rated power as soon as anything runs on it; CPUs come in packages, each at
its rated power when any of it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.node import UNKNOWN
from fleetctl.scheduler.packing.task import WHOLE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Share of the rated power a card draws idle, where nothing better is known: T4 10 of 70, P100 25 of 250, V100 30 of 300.
IDLE_SHARE = 0.1
PACKAGE_MILLI = 32_000  # threads of one package, in 1/1000: Xeon E5-2682 v4 with 16 cores
PACKAGE_W = 120.0
PACKAGE_IDLE_W = 15.0


@dataclass(frozen=True, slots=True)
class CardPower:
    """Watts of one card, idle and at its rated power."""

    idle_w: float
    rated_w: float


# openb hides two models; PWR (CCGrid 2025) takes G2 for A10 and G3 for A100. Idle watts: unverified, from memory of that paper.
OPENB_CARDS: Mapping[str, CardPower] = {
    "T4": CardPower(10.0, 70.0),
    "P100": CardPower(25.0, 250.0),
    "V100M16": CardPower(30.0, 300.0),
    "V100M32": CardPower(30.0, 300.0),
    "A10": CardPower(30.0, 150.0),
    "G2": CardPower(30.0, 150.0),
    "G3": CardPower(50.0, 400.0),
}


_NO_POWER = CardPower(0.0, 0.0)


class PowerModel:
    """Watts by card model. Cards of an unknown model draw nothing here and are counted apart."""

    def __init__(self, cards: Mapping[str, CardPower]) -> None:
        self._cards = cards

    def knows(self, model: str) -> bool:
        return model in self._cards

    def card(self, model: str) -> CardPower:
        return self._cards.get(model, _NO_POWER)

    def cards_w(self, model: str, cards: Sequence[int]) -> float:
        """Draw of cards of which so many milli are free."""
        card = self.card(model)
        idle = cards.count(WHOLE)
        return idle * card.idle_w + (len(cards) - idle) * card.rated_w


def cpu_w(has_milli: Ints, free_milli: Ints) -> Floats:
    """Draw of CPUs, per node; nothing where it is not known how many there are."""
    taken = -(-(has_milli - free_milli) // PACKAGE_MILLI)
    return np.where(has_milli < UNKNOWN, taken * PACKAGE_W + (free_milli // PACKAGE_MILLI) * PACKAGE_IDLE_W, 0.0)


def one_cpu_w(has_milli: int, free_milli: int) -> float:
    """As cpu_w, of one node."""
    if has_milli >= UNKNOWN:
        return 0.0
    return -(-(has_milli - free_milli) // PACKAGE_MILLI) * PACKAGE_W + (free_milli // PACKAGE_MILLI) * PACKAGE_IDLE_W
