"""The packer: the best node or nodes for a task among those that will do, and what happens on them.

feasible -> rank -> select: `able`, free parts, closed nodes and headroom say which nodes will do; the policy's kept
scores rank them; select takes the best one, or a whole gang. Both `fleetctl simulate` and the live queue ask here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from fleetctl.scheduler.packing.forms import CARDS
from fleetctl.scheduler.packing.fragments import ClassMix
from fleetctl.scheduler.packing.gangs import Places, accepts, groups_of
from fleetctl.scheduler.packing.headroom import Headroom
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.policies import Policy
from fleetctl.scheduler.packing.power import OPENB_CARDS, PowerModel, one_cpu_w
from fleetctl.scheduler.packing.scores import NO, Row, Scores
from fleetctl.scheduler.packing.state import FreeState, Ints, Mask, Share
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

MAX_MASKS = 256


class Packer(FreeState):
    """Places tasks on nodes and remembers. Not thread-safe; the same calls give the same answers."""

    def __init__(
        self,
        nodes: Sequence[NodeSpec],
        policy: Policy,
        mix: ClassMix,
        *,
        power: PowerModel | None = None,
        seed: int = 0,
        accepted: Callable[[TaskClass], Mask] | None = None,
        green_rank: Ints | None = None,
    ) -> None:
        """accepted: for classes with `rules`, the nodes that are right; green_rank: per node, 0 for the greenest."""
        super().__init__(nodes, mix, power or PowerModel(OPENB_CARDS))
        self._rng = random.Random(seed)
        self._accepted = accepted
        self._green_rank = green_rank
        self._able: dict[TaskClass | tuple[tuple[str, ...], str], Mask] = {}
        self._scores = Scores(self, policy, self.able)
        self._groups = groups_of(nodes)
        self._largest: dict[tuple[tuple[str, ...], str], int] = {}
        self.places = Places(nodes)
        self.headroom: Headroom | None = None

    # ---- feasible

    def is_gang(self, kind: TaskClass) -> bool:
        """Several nodes at once: it says so, or asks for more whole cards than any node it accepts has."""
        if kind.nodes:
            return kind.nodes > 1
        return kind.cards > 1 and kind.milli >= WHOLE and kind.cards > self.largest(kind)

    def largest(self, kind: TaskClass) -> int:
        """Cards of the largest node of the models and site it accepts; 0 when there is none."""
        key = (kind.models, kind.site)
        if key not in self._largest:
            sizes = (cards for (site, model, cards, *_) in self._groups if accepts(kind, site, model))
            self._largest[key] = max(sizes, default=0)
        return self._largest[key]

    def can_ever(self, kind: TaskClass, gone: Mask | None = None) -> bool:
        """Would it fit an empty fleet? gone: nodes that never come back."""

        def there(members: Ints) -> Ints:
            return members if gone is None else members[~gone[members]]

        if kind.nodes:
            return self.could(kind) >= kind.nodes
        if self.is_gang(kind):
            return any(len(there(members)) >= need for members, need in self.gang_groups(kind))
        return any(
            accepts(kind, site, model)
            and len(there(members))
            and kind.cpu_milli <= cpu
            and kind.memory_mib <= memory
            and self.forms.cards.choices(kind, (WHOLE,) * cards)
            and self._cap_allows(int(members[0]), kind.cpu_milli, kind.cards)
            for (site, model, cards, cpu, memory, _cap), members in self._groups.items()
        )

    def could(self, kind: TaskClass, there: Mask | None = None) -> int:
        """How many nodes could ever take a member of it, in the one place that has most where it wants one.

        there: nodes that count, all when None.
        """
        right = np.flatnonzero(self.able(kind) if there is None else self.able(kind) & there)
        return self.places.largest(kind.same, right) if kind.same else len(right)

    def able(self, kind: TaskClass) -> Mask:
        """Nodes of the right model and site, whatever is free on them."""
        key = (kind.models, kind.site) if kind.rules is None else kind
        found = self._able.get(key)
        if found is None:
            if len(self._able) >= MAX_MASKS:
                self._able.clear()
            if kind.rules is None or self._accepted is None:
                found = np.array([accepts(kind, n.site, n.model) for n in self.nodes], dtype=np.bool_)
            else:
                found = self._accepted(kind)
            self._able[key] = found
        return found

    def gang_groups(self, kind: TaskClass) -> list[tuple[Ints, int]]:
        """(numbers of alike nodes, how many of them a gang needs) wherever it could run."""
        found = []
        for (site, model, cards, cpu, memory, _cap), members in self._groups.items():
            if not cards or not accepts(kind, site, model):
                continue
            need = -(-kind.cards // cards)
            share = -(-kind.cpu_milli // need)
            fits = share <= cpu and -(-kind.memory_mib // need) <= memory
            if fits and self._cap_allows(int(members[0]), share, cards):
                found.append((members, need))
        return found

    def would_fit(self, kind: TaskClass, node: int, cards: Sequence[int], cpu_milli: int, memory_mib: int) -> bool:
        """Would one member fit on a node with so much free of its cards, CPU and memory, within its power cap?"""
        has = self.nodes[node]
        if cpu_milli < kind.cpu_milli or memory_mib < kind.memory_mib:
            return False
        choices = self.forms.cards.choices(kind, tuple(sorted(cards, reverse=True)))
        if has.power_cap_w is None:
            return bool(choices)
        cpu_w = one_cpu_w(has.cpu_milli, cpu_milli - kind.cpu_milli)
        return any(self.power.cards_w(has.model, left) + cpu_w <= has.power_cap_w for left, _ in choices)

    def fitting(self, kind: TaskClass, allowed: Mask | None = None) -> Mask:
        """Nodes that would take one member of it now, headroom left aside."""
        found: Mask = self._scores.current(kind).scores < NO
        return found if allowed is None else found & allowed

    # ---- select

    def choose(self, kind: TaskClass, allowed: Mask | None = None) -> tuple[Share, ...]:
        """Where it would go now, () when nowhere. allowed: nodes it may use, all when None. Takes nothing."""
        if not self.nodes:
            return ()
        if not kind.nodes and self.is_gang(kind):
            return self._choose_gang(kind, allowed)
        row = self._scores.current(kind)
        scores = row.scores if allowed is None else np.where(allowed, row.scores, NO)
        if self.headroom is not None:
            scores = np.where(self.headroom.bears(kind), scores, NO)
        if kind.nodes > 1:
            return self._choose_members(row, scores)
        if kind.green and self._green_rank is not None:
            ranks = np.where(scores < NO, self._green_rank, NO)
            scores = np.where(ranks == ranks.min(), scores, NO)
        if row.policy.drawn:
            fits = np.flatnonzero(scores < NO)
            if not len(fits):
                return ()
            node = int(fits[self._rng.randrange(len(fits))])
        else:
            node = int(scores.argmin())
            if scores[node] >= NO:
                return ()
        return (self._share(row, node),)

    def _choose_members(self, row: Row, scores: Ints) -> tuple[Share, ...]:
        """All members at once or none, each on a node of its own, the best ones of the tightest place that holds them."""
        kind = row.kind
        fits = np.flatnonzero(scores < NO)
        if len(fits) < kind.nodes:
            return ()
        for members in self.places.split(kind.same, fits, kind.nodes) if kind.same else (fits,):
            if self.headroom is None and not kind.green and not row.policy.drawn:
                chosen = _lowest(members, scores[members], kind.nodes)
            else:
                chosen = self._first_borne(row, members, scores[members])
            if len(chosen) == kind.nodes:
                return tuple(self._share(row, node) for node in chosen)
        return ()

    def _first_borne(self, row: Row, members: Ints, scores: Ints) -> list[int]:
        """The best members by green power and score that their racks, feeds and zones bear all together."""
        kind, keys = row.kind, [scores]
        if kind.green and self._green_rank is not None:
            keys.append(self._green_rank[members])
        ordered = members[np.lexsort(keys)].tolist()
        if row.policy.drawn:
            self._rng.shuffle(ordered)
        return ordered[: kind.nodes] if self.headroom is None else self.headroom.first(kind, ordered, kind.nodes)

    def _share(self, row: Row, node: int) -> Share:
        kind, cards, form = row.kind, self.open_cards(node), self.form[node]
        ordered = self.forms.cards.sets[self.forms.facts[CARDS, form]]
        taken: list[int] = []
        for level in self.forms.cards.choices(kind, ordered)[row.picks[form]][1]:
            start = (
                taken[-1] + 1 if taken and cards[taken[-1]] == level else 0
            )  # levels that are alike follow each other
            taken.append(cards.index(level, start))
        milli = WHOLE if kind.alone else kind.milli
        return Share(node, tuple((i, milli) for i in sorted(taken)), kind.cpu_milli, kind.memory_mib, kind.alone)

    def _choose_gang(self, kind: TaskClass, allowed: Mask | None) -> tuple[Share, ...]:
        """Whole untouched nodes of one site, model and size: the group that wastes least, then has least to spare."""
        best: tuple[int, int, int, list[int]] | None = None
        for members, need in self.gang_groups(kind):
            able = self.untouched[members] & ~self.closed[members]
            if allowed is not None:
                able &= allowed[members]
            free = int(able.sum())
            order = (need * self.nodes[int(members[0])].cards - kind.cards, free - need, need)
            if free >= need and (best is None or order < best[:3]):
                best = (*order, members[able][:need].tolist())
        if best is None:
            return ()
        need = best[2]
        cpu, memory = -(-kind.cpu_milli // need), -(-kind.memory_mib // need)
        return tuple(Share(n, tuple((i, WHOLE) for i in range(self.nodes[n].cards)), cpu, memory) for n in best[3])

    # ---- what happens

    def apply(self, shares: Sequence[Share]) -> None:
        super().apply(shares)
        if self.headroom is not None:
            self.headroom.take(shares)

    def release(self, shares: Sequence[Share]) -> None:
        super().release(shares)
        if self.headroom is not None:
            self.headroom.take(shares, -1)

    # ---- figures

    @property
    def power_w(self) -> float:
        """Estimated draw of all nodes."""
        return float(self.node_w.sum())

    def fragments_milli(self) -> float:
        """Milli-cards that are free and that the next task is expected to have no use for."""
        return float(self.forms.fragments[self.form].sum())

    def _cap_allows(self, node: int, cpu_milli: int, cards: int) -> bool:
        """Does an empty node stay within its cap with so much CPU and so many cards taken?"""
        has = self.nodes[node]
        if has.power_cap_w is None:
            return True
        draw = self.power.cards_w(has.model, [0] * cards + [WHOLE] * (has.cards - cards))
        return draw + one_cpu_w(has.cpu_milli, has.cpu_milli - cpu_milli) <= has.power_cap_w


def _lowest(nodes: Ints, scores: Ints, count: int) -> list[int]:
    """So many nodes with the lowest scores, the first of equals; sorting all of them costs a millisecond."""
    bound = np.partition(scores, count - 1)[count - 1]
    below = scores < bound
    less = nodes[below][np.argsort(scores[below], kind="stable")]
    return [*less.tolist(), *nodes[scores == bound][: count - len(less)].tolist()]
