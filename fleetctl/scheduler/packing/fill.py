"""Filling a fleet: arrivals in order of the trace, nothing ends, what does not fit is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fleetctl.scheduler.packing.drain import Drain, DrainResult, displace
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.record import Decision, unwatched
from fleetctl.scheduler.packing.task import Task


@dataclass(frozen=True, slots=True)
class Mark:
    """The fleet when so many per cent of its cards had been asked for. watts: estimated draw."""

    asked_pct: int
    allocated_pct: float
    power_w: float


@dataclass
class FillResult:
    """asked_milli: what all arrivals wanted; lost: those that found no place; took_s: one entry per arrival."""

    asked_milli: int = 0
    lost: int = 0
    lost_milli: int = 0
    decisions: list[Decision] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    drains: list[DrainResult] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)


def fill(
    packer: Packer,
    tasks: Sequence[Task],
    clock: Callable[[], float],
    drains: Sequence[Drain] = (),
    watch: Callable[[int, int], None] = unwatched,
) -> FillResult:
    """Place every task at once or lose it; the clock of the replay counts arrivals. clock: for the speed only.

    A drain's moment is a number of arrivals, or a share of the cards that must be taken.
    """
    result = FillResult()
    total = packer.total_milli
    waiting = list(drains)
    running: dict[int, tuple[Task, Decision]] = {}  # only kept where a drain may move them
    step = 10
    for arrival, task in enumerate(tasks):
        watch(arrival, len(tasks))
        for drain in [d for d in waiting if d.is_due(arrival, packer.load)]:
            waiting.remove(drain)
            result.drains.append(displace(packer, drain, running, float(arrival), result.decisions))
        result.asked_milli += task.kind.demand_milli
        began = clock()
        shares = packer.choose(task.free or task.kind)
        if shares:
            packer.apply(shares)
        result.took_s.append(clock() - began)
        if shares:
            made = Decision(task.name, float(arrival), shares)
            result.decisions.append(made)
            if drains:
                running[arrival] = (task, made)
        else:
            result.lost += 1
            result.lost_milli += task.kind.demand_milli
        while total and result.asked_milli * 100 >= step * total:
            result.marks.append(Mark(step, 100.0 * packer.load, packer.power_w))
            step += 10
    for drain in waiting:
        result.drains.append(displace(packer, drain, running, float(len(tasks)), result.decisions))
    return result
