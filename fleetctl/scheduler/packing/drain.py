"""Draining nodes in a replay: what runs there is given back and placed again elsewhere, the hardest to place first."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field

from fleetctl.errors import NotFoundError, UsageError
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.record import Decision
from fleetctl.scheduler.packing.task import Task, TaskClass

_MOMENT = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)([smhd%]?)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Drain:
    """Nodes (by number) that leave service at a moment (seconds, or arrivals when filling), or at a share of load."""

    nodes: frozenset[int]
    at: float | None = None
    at_load: float | None = None

    def is_due(self, now: float, load: float) -> bool:
        if self.at is not None:
            return now >= self.at
        return self.at_load is not None and load >= self.at_load


def parse_drain(text: str, nodes: Sequence[NodeSpec], expand: Callable[[str], list[str]]) -> Drain:
    """`NODES@TIME`: TIME in seconds, as 2h or 30m, or as 90% of the cards. Raises UsageError, NotFoundError.

    expand: from a node set to names.
    """
    names, at, moment = text.rpartition("@")
    match = _MOMENT.fullmatch(moment.strip())
    if not at or not names or match is None:
        raise UsageError(
            f"{text!r} is no NODES@TIME", hint="--drain gpu[001-060]@3600, @2h, or @90% of the cards taken"
        )
    numbers = {node.name: number for number, node in enumerate(nodes)}
    found = expand(names)
    missing = [name for name in found if name not in numbers]
    if missing:
        raise NotFoundError(f"--drain: no node {missing[0]} in this replay", hint=f"it begins with {nodes[0].name}")
    drained, value = frozenset(numbers[name] for name in found), float(match[1])
    if match[2] == "%":
        return Drain(drained, at_load=value / 100.0)
    return Drain(drained, at=value * _SECONDS[match[2]])


@dataclass(slots=True)
class DrainResult:
    """at: when it began. Milli-cards that had to leave, and those of them that found another place at once.

    homeless: (number, when it would have ended) of the tasks that found none.
    """

    at: float
    nodes: int
    tasks: int = 0
    displaced_milli: int = 0
    placed_again_milli: int = 0
    homeless: list[tuple[int, float | None]] = field(default_factory=list)


def _hardest(kind: TaskClass) -> tuple[int, int, int, int]:
    """Sorts what is hardest to place again first: several whole cards of one node, then the most CPU, then memory.

    On a full fleet it is CPU beside a free card that is short: shares of cards that came last, after all whole cards,
    found none (95 % of the displaced cards placed again on openb, 100 % in this order).
    """
    return (-kind.cards if kind.cards > 1 else 0, -kind.cpu_milli, -kind.memory_mib, -kind.demand_milli)


def displace(
    packer: Packer,
    drain: Drain,
    running: MutableMapping[int, tuple[Task, Decision]],
    now: float,
    decisions: list[Decision],
) -> DrainResult:
    """Close the nodes and move what runs there. running: by number; those without a new place are taken out of it."""
    packer.close(drain.nodes)
    leaving = [n for n, (_, made) in running.items() if any(s.node in drain.nodes for s in made.shares)]
    leaving.sort(key=lambda n: (*_hardest(running[n][0].kind), n))
    result = DrainResult(now, len(drain.nodes), len(leaving))
    for number in leaving:
        packer.release(running[number][1].shares)
    for number in leaving:
        task, made = running[number]
        result.displaced_milli += task.kind.demand_milli
        end_s, made.end_s = made.end_s, now
        shares = packer.choose(task.free or task.kind)
        if shares:
            packer.apply(shares)
            again = Decision(task.name, now, shares, end_s)
            decisions.append(again)
            running[number] = (task, again)
            result.placed_again_milli += task.kind.demand_milli
        else:
            del running[number]
            result.homeless.append((number, end_s))
    return result
