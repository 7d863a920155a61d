"""What a node draws for what runs on it, estimated from its cards and CPUs.

The model of Lettich et al., "Power- and Fragmentation-aware Online Scheduling for GPU Datacenters", CCGrid 2025: a card
draws its idle power while untouched and its rated power as soon as anything runs on it; CPUs come in packages, each at
its rated power when any of it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetctl.scheduler.packing.node import UNKNOWN, NodeKind
from fleetctl.scheduler.packing.task import WHOLE

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


# openb hides two models; the paper takes G2 for A10 and G3 for A100. Idle watts as the paper has them.
OPENB_CARDS: Mapping[str, CardPower] = {
    "T4": CardPower(10.0, 70.0),
    "P100": CardPower(25.0, 250.0),
    "V100M16": CardPower(30.0, 300.0),
    "V100M32": CardPower(30.0, 300.0),
    "A10": CardPower(30.0, 150.0),
    "G2": CardPower(30.0, 150.0),
    "G3": CardPower(50.0, 400.0),
}


class PowerModel:
    """Watts by node kind and what is free there. Cards of an unknown model draw nothing here and are counted apart."""

    def __init__(self, cards: Mapping[str, CardPower]) -> None:
        self._cards = cards

    def knows(self, model: str) -> bool:
        return model in self._cards

    def watts(self, kind: NodeKind, cpu: int, cards: tuple[int, ...]) -> float:
        """Draw with that much CPU (milli) and of each card (milli) free."""
        draw = 0.0
        if kind.cpu_milli < UNKNOWN:
            draw = -(-(kind.cpu_milli - cpu) // PACKAGE_MILLI) * PACKAGE_W + (cpu // PACKAGE_MILLI) * PACKAGE_IDLE_W
        card = self._cards.get(kind.model)
        if card is not None and cards:
            idle = sum(1 for free in cards if free == WHOLE)
            draw += idle * card.idle_w + (len(cards) - idle) * card.rated_w
        return draw
