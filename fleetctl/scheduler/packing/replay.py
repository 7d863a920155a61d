"""One replay from start to end: nodes, jobs and choices in, figures and decisions out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetctl.errors import UsageError
from fleetctl.scheduler.packing.drain import Drain
from fleetctl.scheduler.packing.fill import fill
from fleetctl.scheduler.packing.fragments import ClassMix, count_classes
from fleetctl.scheduler.packing.measure import fill_figures
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.policies import POLICIES
from fleetctl.scheduler.packing.power import OPENB_CARDS, CardPower, PowerModel
from fleetctl.scheduler.packing.record import Decision
from fleetctl.scheduler.packing.task import Task


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator tries. power: by card model, beside what the openb models are known to draw."""

    mode: str = "fill"
    policy: str = ""
    estimate: str = "user"
    seed: int = 0
    drains: tuple[Drain, ...] = ()
    power: Mapping[str, CardPower] | None = None


def replay(
    nodes: Sequence[NodeSpec], jobs: Sequence[Task], choices: Choices, clock: Callable[[], float]
) -> tuple[dict[str, Any], list[Decision]]:
    """(figures, decisions). clock: seconds, for the speed only; everything else follows from the other arguments."""
    name = choices.policy or "fgd"
    if name not in POLICIES:
        raise UsageError(f"no policy named {name!r}", hint=f"one of {', '.join(POLICIES)}")
    mix = ClassMix(count_classes(t.free or t.kind for t in jobs), max_cards=max((n.cards for n in nodes), default=0))
    power = PowerModel({**(choices.power or {}), **OPENB_CARDS})
    packer = Packer(nodes, POLICIES[name], mix, power=power, seed=choices.seed)
    head = {
        "mode": choices.mode,
        "policy": name,
        "seed": choices.seed,
        "nodes": len(nodes),
        "cards": sum(n.cards for n in nodes),
    }
    result = fill(packer, jobs, clock, choices.drains)
    return {**head, **fill_figures(packer, result)}, result.decisions
