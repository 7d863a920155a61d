"""One replay from start to end: nodes, jobs and choices in, figures and decisions out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fleetctl.errors import UsageError
from fleetctl.scheduler.packing.drain import Drain
from fleetctl.scheduler.packing.estimates import ESTIMATORS
from fleetctl.scheduler.packing.fill import fill
from fleetctl.scheduler.packing.fragments import ClassMix, count_classes
from fleetctl.scheduler.packing.measure import fill_figures, queue_figures
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.orders import KEPT, ORDERS, Order
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.policies import POLICIES, Policy
from fleetctl.scheduler.packing.power import OPENB_CARDS, CardPower, PowerModel
from fleetctl.scheduler.packing.queueing import Queue
from fleetctl.scheduler.packing.record import Decision, unwatched
from fleetctl.scheduler.packing.task import Task
from fleetctl.scheduler.packing.tenancy import Quota, Tenancy


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator tries. power: by card model, beside what the openb models are known to draw.

    quotas: of tenants, which then hold in a queue, and fair share orders it as it does live; None: tenants are all one.
    """

    mode: str = "fill"
    policy: str = ""
    estimate: str = "user"
    seed: int = 0
    drains: tuple[Drain, ...] = ()
    power: Mapping[str, CardPower] | None = None
    quotas: Mapping[str, Quota] | None = None
    half_life_s: float = 604_800.0
    known_tenants_only: bool = False


def replay(
    nodes: Sequence[NodeSpec],
    jobs: Sequence[Task],
    choices: Choices,
    clock: Callable[[], float],
    watch: Callable[[int, int], None] = unwatched,
) -> tuple[dict[str, Any], list[Decision]]:
    """(figures, decisions). clock: seconds, for the speed only; everything else follows from the other arguments.

    watch: is told now and then how many jobs are dealt with, of how many.
    """
    where, order = parse_policy(choices.policy, choices.mode)
    moves = order is None or order.moves
    mix = ClassMix(
        count_classes(t.free if moves and t.free else t.kind for t in jobs),
        max_cards=max((n.cards for n in nodes), default=0),
    )
    power = PowerModel({**(choices.power or {}), **OPENB_CARDS})
    packer = Packer(nodes, where, mix, power=power, seed=choices.seed)
    head = {
        "mode": choices.mode,
        "policy": where.name if order is None else f"{order.name}+{where.name}",
        "seed": choices.seed,
        "nodes": len(nodes),
        "cards": sum(n.cards for n in nodes),
    }
    if order is None:
        filled = fill(packer, jobs, clock, choices.drains, watch)
        return {**head, **fill_figures(packer, filled)}, filled.decisions
    head["estimate"] = choices.estimate
    estimator = ESTIMATORS[choices.estimate]()
    tenancy = None
    if choices.quotas:
        tenancy = Tenancy(choices.quotas, choices.half_life_s, known_only=choices.known_tenants_only)
        head["quotas"] = sorted(choices.quotas)
    queued = Queue(packer, jobs, order, estimator, clock, choices.drains, tenancy).run(watch)
    return {**head, **queue_figures(packer, jobs, queued)}, queued.decisions


def parse_policy(text: str, mode: str) -> tuple[Policy, Order | None]:
    """Where jobs go and, in a queue, who is next: `fgd`, `easy`, `easy+best-fit`, `fleet+kept`; "" is `fleet+fgd`."""
    where, order = POLICIES["fgd"], ORDERS["fleet"] if mode == "queue" else None
    kept = False
    for name in filter(None, text.split("+")):
        if name in POLICIES:
            where = POLICIES[name]
        elif name in ORDERS and mode == "queue":
            order = ORDERS[name]
        elif name == KEPT and order is not None:
            kept = True
        elif name in ORDERS:
            raise UsageError(f"{name!r} orders a queue, and filling has none", hint="--mode queue")
        else:
            known = [*POLICIES, *((*ORDERS, KEPT) if mode == "queue" else ())]
            raise UsageError(f"no policy named {name!r}", hint=f"one of {', '.join(known)}, or several joined by +")
    if kept and order is not None:
        order = replace(order, name=f"{order.name}+{KEPT}", keeps_turn=True)
    return where, order
