"""Which nodes a gang could take: alike ones by the group, or the best of those in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.state import Ints
from fleetctl.scheduler.packing.task import TaskClass

GroupKey = tuple[str, str, int, int, int, float | None]


def groups_of(nodes: Sequence[NodeSpec]) -> dict[GroupKey, Ints]:
    """(site, model, cards, CPU, memory, cap) -> numbers of such nodes, rack by rack."""
    found: dict[GroupKey, list[int]] = {}
    for number, n in enumerate(nodes):
        key = (n.site, n.model, n.cards, n.cpu_milli, n.memory_mib, n.power_cap_w)
        found.setdefault(key, []).append(number)
    return {
        key: np.array(sorted(members, key=lambda n: (nodes[n].rack, n)), dtype=np.int64)
        for key, members in found.items()
    }


def accepts(kind: TaskClass, site: str, model: str) -> bool:
    return (not kind.site or kind.site == site) and (not kind.models or model in kind.models)


class Places:
    """Which rack, leaf switch or site each node stands in, as numbers; -1 where it stands in none."""

    def __init__(self, nodes: Sequence[NodeSpec]) -> None:
        self._of = {
            "rack": _number([n.rack for n in nodes]),
            "leaf": _number([n.leaf for n in nodes]),
            "site": _number([n.site for n in nodes], named=False),
        }

    def split(self, same: str, nodes: Ints, least: int) -> Iterator[Ints]:
        """These nodes by place, those places that hold at least so many, the tightest first."""
        of = self._of[same][nodes]
        nodes, of = nodes[of >= 0], of[of >= 0]
        counts = np.bincount(of)
        wide = np.flatnonzero(counts >= max(1, least))
        for place in wide[np.argsort(counts[wide], kind="stable")].tolist():
            yield nodes[of == place]

    def largest(self, same: str, nodes: Ints) -> int:
        """How many of these nodes stand in one place, at most."""
        of = self._of[same][nodes]
        of = of[of >= 0]
        return int(np.bincount(of).max()) if len(of) else 0


def _number(names: Sequence[str], *, named: bool = True) -> Ints:
    """named: a node without a name stands nowhere; else such nodes stand together."""
    numbers: dict[str, int] = {}
    found = [-1 if named and not name else numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(found, dtype=np.int64)
