"""The packer: a fleet's free parts, the best node for a task, and taking and giving back.

Scores are kept per task class in one row over all nodes. A placement changes one or a few nodes; the next task of a
class re-scores only the nodes that changed since its row was last looked at, all at once, and what was worked out for
one free part is kept for all nodes like it. Memory is bounded: rows, what is kept, and the list of changes are
forgotten and made anew when they grow.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.fragments import ClassMix, FreeParts
from fleetctl.scheduler.packing.node import CardChoice, NodeSpec, card_choices
from fleetctl.scheduler.packing.policies import After, Policy, Sizes
from fleetctl.scheduler.packing.power import OPENB_CARDS, PowerModel, cpu_w, one_cpu_w
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

NO = 1 << 62  # the score of a node that will not do
MAX_ROWS_BYTES = 96 * 2**20
MAX_KEPT = 200_000  # entries of each thing that is kept
MAX_MASKS = 256
KEEP_CHANGES = 4096  # beyond four per node
FEW = 64  # nodes up to which finding those that are alike costs more than it saves
_STEPS = 1 << 10  # more than CPU or memory has steps

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Choices = npt.NDArray[np.object_]  # of _Choice or None


@dataclass(frozen=True, slots=True)
class Share:
    """What a task holds on one node. node: its number; devices: (card, milli) in order of the card's number."""

    node: int
    devices: tuple[tuple[int, int], ...]
    cpu_milli: int
    memory_mib: int


@dataclass(slots=True, eq=False)
class _Choice:
    """The best choice of cards for a task on nodes with the same free parts. levels: free milli of the cards taken."""

    cost: float
    more_w: float
    levels: tuple[int, ...]


@dataclass(slots=True)
class _Row:
    """Scores of a class over all nodes. seen: changes counted when it was last brought up to date, -1: never."""

    kind: TaskClass
    policy: Policy
    able: Mask  # right model and site
    scores: Ints
    picks: Choices  # what each score came from
    choices: dict[int, _Choice | None] = field(default_factory=dict)
    seen: int = -1


class Packer:
    """Places tasks on nodes and remembers. Not thread-safe; the same calls give the same answers."""

    def __init__(
        self,
        nodes: Sequence[NodeSpec],
        policy: Policy,
        mix: ClassMix,
        *,
        power: PowerModel | None = None,
        seed: int = 0,
    ) -> None:
        self.nodes = tuple(nodes)
        self.power = power or PowerModel(OPENB_CARDS)
        self.total_milli = sum(n.cards for n in nodes) * WHOLE
        self.used_milli = 0
        self._policies = [policy] if policy.then is None else [policy, policy.then]
        self._mix = mix
        self._rng = random.Random(seed)
        self._cards = [[WHOLE] * n.cards for n in nodes]
        self._has = Sizes(
            np.array([n.cpu_milli for n in nodes], dtype=np.int64),
            np.array([n.memory_mib for n in nodes], dtype=np.int64),
            np.array([n.cards * WHOLE for n in nodes], dtype=np.int64),
        )
        self._cap_w = np.array([np.inf if n.power_cap_w is None else n.power_cap_w for n in nodes], dtype=np.float64)
        self._capped = bool(np.isfinite(self._cap_w).any())
        self.cpu_milli = self._has.cpu.copy()
        self.memory_mib = self._has.memory.copy()
        self.free_milli = self._has.milli.copy()
        self.untouched: Mask = np.ones(len(nodes), dtype=np.bool_)
        self.closed: Mask = np.zeros(len(nodes), dtype=np.bool_)
        self._signatures: dict[tuple[str, tuple[int, ...]], int] = {}
        self._signed: list[tuple[str, tuple[int, ...]]] = []  # signature number -> (model, free milli, descending)
        self._signature = np.array([self._sign(n.model, (WHOLE,) * n.cards) for n in nodes], dtype=np.int64)
        cards_w = [self.power.cards_w(n.model, (WHOLE,) * n.cards) for n in nodes]
        self._node_w = np.array(cards_w, dtype=np.float64) + cpu_w(self._has.cpu, self.cpu_milli)
        cpu_step, memory_step = mix.steps(self.cpu_milli, self.memory_mib)
        self._parts = (self._signature * _STEPS + cpu_step) * _STEPS + memory_step  # what fragments depend on
        self._able: dict[tuple[tuple[str, ...], str], Mask] = {}
        self._rows: dict[tuple[TaskClass, str], _Row] = {}
        self._max_rows = max(16, MAX_ROWS_BYTES // (16 * max(1, len(nodes))))
        self._card_choices: dict[tuple[int, int, tuple[int, ...]], list[CardChoice]] = {}
        self._changes: list[int] = []
        self._forgotten = 0  # changes dropped from the head of the list
        self._groups = _groups(nodes)
        self._largest: dict[tuple[tuple[str, ...], str], int] = {}

    # ---- what may happen

    def is_gang(self, kind: TaskClass) -> bool:
        """More whole cards than any node it accepts has: it takes whole nodes."""
        return kind.cards > 1 and kind.milli >= WHOLE and kind.cards > self.largest(kind)

    def largest(self, kind: TaskClass) -> int:
        """Cards of the largest node of the models and site it accepts; 0 when there is none."""
        key = (kind.models, kind.site)
        if key not in self._largest:
            sizes = (cards for (site, model, cards, *_) in self._groups if _accepts(kind, site, model))
            self._largest[key] = max(sizes, default=0)
        return self._largest[key]

    def can_ever(self, kind: TaskClass) -> bool:
        """Would it fit an empty fleet?"""
        if self.is_gang(kind):
            return any(len(members) >= need for members, need in self.gang_groups(kind))
        return any(
            _accepts(kind, site, model)
            and kind.cpu_milli <= cpu
            and kind.memory_mib <= memory
            and self._choose_cards(kind, (WHOLE,) * cards)
            and self._cap_allows(int(members[0]), kind.cpu_milli, kind.cards)
            for (site, model, cards, cpu, memory, _cap), members in self._groups.items()
        )

    def able(self, kind: TaskClass) -> Mask:
        """Nodes of the right model and site, whatever is free on them."""
        key = (kind.models, kind.site)
        if key not in self._able:
            if len(self._able) >= MAX_MASKS:
                self._able.clear()
            right = [_accepts(kind, n.site, n.model) for n in self.nodes]
            self._able[key] = np.array(right, dtype=np.bool_)
        return self._able[key]

    def gang_groups(self, kind: TaskClass) -> list[tuple[Ints, int]]:
        """(numbers of alike nodes, how many of them a gang needs) wherever it could run."""
        found = []
        for (site, model, cards, cpu, memory, _cap), members in self._groups.items():
            if not cards or not _accepts(kind, site, model):
                continue
            need = -(-kind.cards // cards)
            share = -(-kind.cpu_milli // need)
            fits = share <= cpu and -(-kind.memory_mib // need) <= memory
            if fits and self._cap_allows(int(members[0]), share, cards):
                found.append((members, need))
        return found

    def choose(self, kind: TaskClass, allowed: Mask | None = None) -> tuple[Share, ...]:
        """Where it would go now, () when nowhere. allowed: nodes it may use, all when None. Takes nothing."""
        if not self.nodes:
            return ()
        if self.is_gang(kind):
            return self._choose_gang(kind, allowed)
        row = self._current(kind)
        scores = row.scores if allowed is None else np.where(allowed, row.scores, NO)
        if row.policy.drawn:
            fits = np.flatnonzero(scores < NO)
            if not len(fits):
                return ()
            node = int(fits[self._rng.randrange(len(fits))])
        else:
            node = int(scores.argmin())
            if scores[node] >= NO:
                return ()
        choice = row.picks[node]
        assert choice is not None
        return (self._share(node, kind, choice.levels),)

    # ---- what happens

    def apply(self, shares: Sequence[Share]) -> None:
        """Take. Raises ValueError where that would take more than there is, and then takes nothing."""
        for share in shares:
            node, cards = share.node, self._cards[share.node]
            if share.cpu_milli > self.cpu_milli[node] or share.memory_mib > self.memory_mib[node]:
                raise ValueError(f"{self.nodes[node].name} has not that much CPU or memory left")
            if any(cards[index] < milli for index, milli in share.devices):
                raise ValueError(f"{self.nodes[node].name} has not that much of its cards left")
        for share in shares:
            self._change(share, -1)

    def release(self, shares: Sequence[Share]) -> None:
        """Give back what apply took."""
        for share in shares:
            self._change(share, 1)

    def close(self, nodes: Collection[int]) -> None:
        """These nodes take nothing new."""
        for node in nodes:
            self.closed[node] = True
            self._log(node)

    def open(self, nodes: Collection[int]) -> None:
        """These nodes take tasks again."""
        for node in nodes:
            self.closed[node] = False
            self._log(node)

    # ---- figures

    def card_milli(self, node: int) -> tuple[int, ...]:
        """Free milli of each card of a node, in order of the card's number."""
        return tuple(self._cards[node])

    @property
    def load(self) -> float:
        """Share of all milli-cards that is taken."""
        return self.used_milli / self.total_milli if self.total_milli else 0.0

    @property
    def power_w(self) -> float:
        """Estimated draw of all nodes."""
        return float(self._node_w.sum())

    def fragments_milli(self) -> float:
        """Milli-cards that are free and that the next task is expected to have no use for."""
        cpu, memory = (steps.tolist() for steps in self._mix.steps(self.cpu_milli, self.memory_mib))
        cards = [self._signed[signature][1] for signature in self._signature.tolist()]
        wanted = list(zip(cpu, memory, cards, strict=True))
        known = self._mix.expect(wanted)
        return sum(known[parts] for parts in wanted)

    # ---- inside

    def _sign(self, model: str, cards: tuple[int, ...]) -> int:
        """The number of these free cards of a model."""
        key = (model, cards)
        number = self._signatures.get(key)
        if number is None:
            number = self._signatures[key] = len(self._signed)
            self._signed.append(key)
        return number

    def _forget_signatures(self) -> None:
        """Number those in use anew, and forget everything that goes by number."""
        live = [self._signed[number] for number in self._signature.tolist()]
        self._signatures.clear()
        self._signed.clear()
        self._signature[:] = [self._sign(model, cards) for model, cards in live]
        self._parts = self._signature * _STEPS**2 + self._parts % _STEPS**2
        for row in self._rows.values():
            row.choices.clear()

    def _change(self, share: Share, sign: int) -> None:
        node, cards = share.node, self._cards[share.node]
        for index, milli in share.devices:
            cards[index] += sign * milli
            self.used_milli -= sign * milli
            self.free_milli[node] += sign * milli
        self.cpu_milli[node] += sign * share.cpu_milli
        self.memory_mib[node] += sign * share.memory_mib
        if len(self._signed) >= max(MAX_KEPT, 2 * len(self.nodes)):
            self._forget_signatures()
        model = self.nodes[node].model
        signature = self._sign(model, tuple(sorted(cards, reverse=True)))
        self._signature[node] = signature
        has, cpu, memory = self.nodes[node], int(self.cpu_milli[node]), int(self.memory_mib[node])
        cpu_step, memory_step = self._mix.step(cpu, memory)
        self._parts[node] = (signature * _STEPS + cpu_step) * _STEPS + memory_step
        self._node_w[node] = self.power.cards_w(model, cards) + one_cpu_w(has.cpu_milli, cpu)
        self.untouched[node] = (
            cpu == has.cpu_milli and memory == has.memory_mib and int(self.free_milli[node]) == has.cards * WHOLE
        )
        self._log(node)

    def _log(self, node: int) -> None:
        self._changes.append(node)
        if len(self._changes) > 4 * len(self.nodes) + KEEP_CHANGES:
            drop = len(self._changes) // 2
            del self._changes[:drop]
            self._forgotten += drop

    def _current(self, kind: TaskClass) -> _Row:
        """The row of scores of a class, brought up to date."""
        first = self._policies[0]
        policy = first if len(self._policies) == 1 or self.load < first.until_load else self._policies[1]
        key = (kind, policy.name)
        row = self._rows.pop(key, None)
        if row is None:
            if len(self._rows) >= self._max_rows:
                del self._rows[next(iter(self._rows))]  # the one not asked for longest
            row = _Row(kind, policy, self.able(kind), np.full(len(self.nodes), NO), np.full(len(self.nodes), None))
        self._rows[key] = row
        start = row.seen - self._forgotten
        row.seen = self._forgotten + len(self._changes)
        if start < 0:
            self._rescore(row, np.arange(len(self.nodes)))
        elif start < len(self._changes):
            self._rescore(row, np.array(list(set(self._changes[start:]))))
        return row

    def _rescore(self, row: _Row, nodes: Ints) -> None:
        """Bring the scores of these nodes up to date."""
        kind = row.kind
        row.scores[nodes] = NO
        fits = row.able[nodes] & ~self.closed[nodes] & (self.cpu_milli[nodes] >= kind.cpu_milli)
        fits &= (self.memory_mib[nodes] >= kind.memory_mib) & (self.free_milli[nodes] >= kind.demand_milli)
        nodes = nodes[fits]
        if not len(nodes):
            return
        keys = self._keys(row, nodes)
        if len(nodes) > FEW:
            keys, place = np.unique(keys, return_inverse=True)
            choices = self._work_out(row, keys.tolist())[place]
        else:
            choices = self._work_out(row, keys.tolist())
        able = choices != None  # noqa: E711 - element by element
        if not able.all():
            nodes, choices = nodes[able], choices[able]
        costs = np.array([c.cost for c in choices.tolist()])
        after = After(
            costs,
            self.cpu_milli[nodes] - kind.cpu_milli,
            self.memory_mib[nodes] - kind.memory_mib,
            self.free_milli[nodes] - kind.demand_milli,
            kind.cpu_milli,
            nodes,
            self._has,
        )
        scores = row.policy.rank(after)
        if self._capped:
            more = np.array([c.more_w for c in choices.tolist()]) + after.more_cpu_w
            scores[self._node_w[nodes] + more > self._cap_w[nodes]] = NO
        row.scores[nodes] = scores
        row.picks[nodes] = choices

    def _keys(self, row: _Row, nodes: Ints) -> Ints:
        """One number per node that tells apart what the best choice of cards depends on."""
        if not row.policy.uses_mix:
            return self._signature[nodes]
        kind = row.kind
        cpu, memory = self._mix.steps(self.cpu_milli[nodes] - kind.cpu_milli, self.memory_mib[nodes] - kind.memory_mib)
        return (self._parts[nodes] * _STEPS + cpu) * _STEPS + memory

    def _work_out(self, row: _Row, keys: Sequence[int]) -> Choices:
        """The choice for each of these keys, from what is kept or worked out now, all new ones at once."""
        kept = row.choices
        new = {key for key in keys if key not in kept}
        if new and len(kept) + len(new) > MAX_KEPT // 4 + len(self.nodes):
            kept.clear()
            new = set(keys)
        mixed = row.policy.uses_mix
        cases = []
        wanted: list[FreeParts] = []
        for key in new:
            cpu = memory = cpu_after = memory_after = 0
            rest = key
            if mixed:
                rest, memory_after = divmod(rest, _STEPS)
                rest, cpu_after = divmod(rest, _STEPS)
                rest, memory = divmod(rest, _STEPS)
                rest, cpu = divmod(rest, _STEPS)
            model, cards = self._signed[rest]
            choices = self._choose_cards(row.kind, cards)
            before = (cpu, memory, cards)
            after = [(cpu_after, memory_after, left) for left, _ in choices]
            cases.append((key, model, before, after, choices))
            if mixed:
                wanted += (before, *after)
        known = self._mix.expect(wanted) if mixed and wanted else {}
        for key, model, before, after, choices in cases:
            kept[key] = self._best(row.policy, model, before, after, choices, known)
        found = np.empty(len(keys), dtype=object)
        found[:] = [kept[key] for key in keys]
        return found

    def _best(
        self,
        policy: Policy,
        model: str,
        before: FreeParts,
        after: Sequence[FreeParts],
        choices: Sequence[CardChoice],
        known: dict[FreeParts, float],
    ) -> _Choice | None:
        """The cheapest choice, the first of equals; where nodes have power caps, the one that draws least."""
        card = self.power.card(model)
        best: _Choice | None = None
        for parts, (_left, levels) in zip(after, choices, strict=True):
            more_w = (card.rated_w - card.idle_w) * sum(1 for level in levels if level >= WHOLE)
            grown = known[parts] - known[before] if policy.uses_mix else 0.0
            cost = policy.cost(grown, more_w)
            if best is None or ((more_w, cost) < (best.more_w, best.cost) if self._capped else cost < best.cost):
                best = _Choice(cost, more_w, levels)
        return best

    def _choose_cards(self, kind: TaskClass, cards: tuple[int, ...]) -> list[CardChoice]:
        key = (kind.cards, kind.milli, cards)
        found = self._card_choices.get(key)
        if found is None:
            if len(self._card_choices) >= MAX_KEPT:
                self._card_choices.clear()
            found = self._card_choices[key] = card_choices(cards, kind)
        return found

    def _share(self, node: int, kind: TaskClass, levels: Sequence[int]) -> Share:
        cards, taken = self._cards[node], set[int]()
        for level in levels:
            taken.add(next(i for i, free in enumerate(cards) if free == level and i not in taken))
        return Share(node, tuple((i, kind.milli) for i in sorted(taken)), kind.cpu_milli, kind.memory_mib)

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

    def _cap_allows(self, node: int, cpu_milli: int, cards: int) -> bool:
        """Does an empty node stay within its cap with so much CPU and so many cards taken?"""
        has = self.nodes[node]
        if has.power_cap_w is None:
            return True
        draw = self.power.cards_w(has.model, [0] * cards + [WHOLE] * (has.cards - cards))
        return draw + one_cpu_w(has.cpu_milli, has.cpu_milli - cpu_milli) <= has.power_cap_w


GroupKey = tuple[str, str, int, int, int, float | None]


def _groups(nodes: Sequence[NodeSpec]) -> dict[GroupKey, Ints]:
    """(site, model, cards, CPU, memory, cap) -> numbers of such nodes, rack by rack."""
    found: dict[GroupKey, list[int]] = {}
    for number, n in enumerate(nodes):
        key = (n.site, n.model, n.cards, n.cpu_milli, n.memory_mib, n.power_cap_w)
        found.setdefault(key, []).append(number)
    return {
        key: np.array(sorted(members, key=lambda n: (nodes[n].rack, n)), dtype=np.int64)
        for key, members in found.items()
    }


def _accepts(kind: TaskClass, site: str, model: str) -> bool:
    return (not kind.site or kind.site == site) and (not kind.models or model in kind.models)
