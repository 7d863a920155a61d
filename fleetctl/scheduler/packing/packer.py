"""The packer: a fleet's free parts, the best node for a task, and taking and giving back.

Scores are kept per task class in one row over all nodes. A placement changes one or a few nodes; the next task of a
class re-scores only the nodes that changed since its row was last looked at, and states that were seen before are not
scored again. Memory is bounded: states, rows and the list of changes are forgotten and made anew when they grow.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.fragments import ClassMix
from fleetctl.scheduler.packing.node import Move, NodeKind, NodeSpec, State, card_choices
from fleetctl.scheduler.packing.policies import Policy
from fleetctl.scheduler.packing.power import OPENB_CARDS, PowerModel
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

NO = np.int64(1 << 62)  # the score of a node that will not do
_NO = int(NO)
MAX_ROWS_BYTES = 96 * 2**20
MAX_STATES = 200_000
KEEP_CHANGES = 4096

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Share:
    """What a task holds on one node. node: its number; devices: (card, milli) in order of the card's number."""

    node: int
    devices: tuple[tuple[int, int], ...]
    cpu_milli: int
    memory_mib: int


@dataclass(slots=True)
class _Row:
    scores: npt.NDArray[np.int64]
    seen: int = -1  # changes counted when it was last brought up to date; -1: never


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
        self._interned: dict[tuple[NodeKind, int, int, tuple[int, ...]], State] = {}
        self._kinds = [n.kind for n in nodes]
        self._cards = [[WHOLE] * n.cards for n in nodes]
        self.states = [self._intern(k, k.cpu_milli, k.memory_mib, (WHOLE,) * k.cards) for k in self._kinds]
        self.power_w = sum(s.power_w for s in self.states)
        self.closed = np.zeros(len(nodes), dtype=np.bool_)
        self.untouched: Mask = np.array([s.untouched for s in self.states], dtype=np.bool_)
        self._classes: dict[TaskClass, int] = {}
        self._rows: dict[int, _Row] = {}
        self._max_rows = max(16, MAX_ROWS_BYTES // (8 * max(1, len(nodes))))
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
            sizes = (cards for (site, model, cards) in self._groups if _accepts(kind, site, model))
            self._largest[key] = max(sizes, default=0)
        return self._largest[key]

    def can_ever(self, kind: TaskClass) -> bool:
        """Would it fit an empty fleet?"""
        if self.is_gang(kind):
            return any(len(members) >= need for members, need in self.gang_groups(kind))
        for node, spec in zip(self._kinds, self.nodes, strict=True):
            if kind.site and spec.site != kind.site:
                continue
            empty = self._intern(node, node.cpu_milli, node.memory_mib, (WHOLE,) * node.cards)
            if any(self._within_cap(node, kind, c) for c in card_choices(empty, kind)):
                return True
        return False

    def gang_groups(self, kind: TaskClass) -> list[tuple[npt.NDArray[np.int64], int]]:
        """(numbers of alike nodes, how many of them a gang needs) wherever it could run."""
        return [
            (members, -(-kind.cards // cards))
            for (site, model, cards), members in self._groups.items()
            if cards and _accepts(kind, site, model) and self._gang_fits(kind, members, cards)
        ]

    def choose(self, kind: TaskClass, allowed: Mask | None = None) -> tuple[Share, ...]:
        """Where it would go now, () when nowhere. allowed: nodes it may use, all when None. Takes nothing."""
        if self.is_gang(kind):
            return self._choose_gang(kind, allowed)
        row = self._current(kind)
        scores = row.scores if allowed is None else np.where(allowed, row.scores, NO)
        if not len(scores):
            return ()
        if self._policy.drawn:
            fits = np.flatnonzero(scores < NO)
            if not len(fits):
                return ()
            node = int(fits[self._rng.randrange(len(fits))])
        else:
            node = int(scores.argmin())
            if scores[node] >= NO:
                return ()
        move = self.states[node].moves[self._number(kind)]
        assert move is not None
        return (self._share(node, kind, move),)

    # ---- what happens

    def apply(self, shares: Sequence[Share]) -> None:
        """Take. Raises ValueError where that would take more than there is, and then takes nothing."""
        for share in shares:
            state, cards = self.states[share.node], self._cards[share.node]
            if share.cpu_milli > state.cpu or share.memory_mib > state.memory:
                raise ValueError(f"{self.nodes[share.node].name} has not that much CPU or memory left")
            if any(cards[index] < milli for index, milli in share.devices):
                raise ValueError(f"{self.nodes[share.node].name} has not that much of its cards left")
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

    def fragments_milli(self) -> float:
        """Milli-cards that are free and that the next task is expected to have no use for."""
        unknown = [s for s in self.states if s.fragments is None]
        self._mix.measure(list(dict.fromkeys(unknown)))
        return sum(s.fragments or 0.0 for s in self.states)

    # ---- inside

    @property
    def _policy(self) -> Policy:
        first = self._policies[0]
        return first if len(self._policies) == 1 or self.load < first.until_load else self._policies[1]

    def _number(self, kind: TaskClass) -> int:
        number = self._classes.setdefault(kind, len(self._classes))
        return number * 2 + (0 if self._policy is self._policies[0] else 1)

    def _intern(self, kind: NodeKind, cpu: int, memory: int, cards: tuple[int, ...]) -> State:
        key = (kind, cpu, memory, cards)
        state = self._interned.get(key)
        if state is None:
            if len(self._interned) >= MAX_STATES:
                self._interned.clear()  # states of nodes live on; equal ones are made once more
            state = self._interned[key] = State(kind, cpu, memory, cards, self.power.watts(kind, cpu, cards))
        return state

    def _change(self, share: Share, sign: int) -> None:
        node = share.node
        cards, before = self._cards[node], self.states[node]
        for index, milli in share.devices:
            cards[index] += sign * milli
            self.used_milli -= sign * milli
        after = self._intern(
            before.kind,
            before.cpu + sign * share.cpu_milli,
            before.memory + sign * share.memory_mib,
            tuple(sorted(cards, reverse=True)),
        )
        self.states[node] = after
        self.power_w += after.power_w - before.power_w
        self.untouched[node] = after.untouched
        self._log(node)

    def _log(self, node: int) -> None:
        self._changes.append(node)
        if len(self._changes) > 4 * len(self.nodes) + KEEP_CHANGES:
            drop = len(self._changes) // 2
            del self._changes[:drop]
            self._forgotten += drop

    def _current(self, kind: TaskClass) -> _Row:
        """The row of scores of a class, brought up to date."""
        number = self._number(kind)
        row = self._rows.pop(number, None)
        if row is None:
            if len(self._rows) >= self._max_rows:
                del self._rows[next(iter(self._rows))]  # the one not asked for longest
            row = _Row(np.full(len(self.nodes), NO, dtype=np.int64))
        self._rows[number] = row
        start = row.seen - self._forgotten
        todo: Collection[int] = range(len(self.nodes)) if start < 0 else self._changes[start:]
        row.seen = self._forgotten + len(self._changes)
        states, closed, scores = self.states, self.closed, row.scores
        new = {states[n]: None for n in todo if number not in states[n].moves}
        if new:
            self._score(list(new), kind, number)
        for node in todo:
            move = states[node].moves[number]
            scores[node] = _NO if move is None else move.score
            if closed[node] or (kind.site and self.nodes[node].site != kind.site):
                scores[node] = NO
        return row

    def _score(self, states: Sequence[State], kind: TaskClass, number: int) -> None:
        """Fill in the best move of these states for a class."""
        policy = self._policy
        after: list[list[tuple[State, tuple[int, ...]]]] = []
        unknown: dict[State, None] = {}
        for state in states:
            moves = [
                (self._intern(state.kind, state.cpu - kind.cpu_milli, state.memory - kind.memory_mib, cards), levels)
                for cards, levels in card_choices(state, kind)
            ]
            cap = state.kind.power_cap_w
            if cap is not None:
                moves = [m for m in moves if m[0].power_w <= cap]
            after.append(moves)
            if policy.uses_mix and moves:
                unknown.update((s, None) for s in (state, *(m[0] for m in moves)) if s.fragments is None)
        if unknown:
            self._mix.measure(list(unknown))
        for state, moves in zip(states, after, strict=True):
            scored = [Move(policy.score(state, s, kind), s, levels) for s, levels in moves]
            state.moves[number] = min(scored, key=lambda m: m.score) if scored else None

    def _within_cap(self, node: NodeKind, kind: TaskClass, choice: tuple[tuple[int, ...], tuple[int, ...]]) -> bool:
        cap = node.power_cap_w
        return cap is None or self.power.watts(node, node.cpu_milli - kind.cpu_milli, choice[0]) <= cap

    def _share(self, node: int, kind: TaskClass, move: Move) -> Share:
        cards, taken = self._cards[node], set[int]()
        for level in move.levels:
            taken.add(next(i for i, free in enumerate(cards) if free == level and i not in taken))
        return Share(node, tuple((i, kind.milli) for i in sorted(taken)), kind.cpu_milli, kind.memory_mib)

    def _choose_gang(self, kind: TaskClass, allowed: Mask | None) -> tuple[Share, ...]:
        """Whole untouched nodes of one site, model and size: the group that wastes least, then has least to spare."""
        best: tuple[int, int, int, list[int]] | None = None
        for members, need in self.gang_groups(kind):
            cards = self.nodes[int(members[0])].cards
            able = self.untouched[members] & ~self.closed[members]
            if allowed is not None:
                able &= allowed[members]
            free = int(able.sum())
            order = (need * cards - kind.cards, free - need, need)
            if free >= need and (best is None or order < best[:3]):
                best = (*order, members[able][:need].tolist())
        if best is None:
            return ()
        need = best[2]
        cpu, memory = -(-kind.cpu_milli // need), -(-kind.memory_mib // need)
        return tuple(Share(n, tuple((i, WHOLE) for i in range(self.nodes[n].cards)), cpu, memory) for n in best[3])

    def _gang_fits(self, kind: TaskClass, members: npt.NDArray[np.int64], cards: int) -> bool:
        need, spec = -(-kind.cards // cards), self._kinds[int(members[0])]
        cpu, memory = -(-kind.cpu_milli // need), -(-kind.memory_mib // need)
        if cpu > spec.cpu_milli or memory > spec.memory_mib:
            return False
        cap = spec.power_cap_w
        return cap is None or self.power.watts(spec, spec.cpu_milli - cpu, (0,) * spec.cards) <= cap


def _groups(nodes: Sequence[NodeSpec]) -> dict[tuple[str, str, int], npt.NDArray[np.int64]]:
    """(site, model, cards) -> numbers of such nodes, rack by rack; kinds that differ in more are groups of their own."""
    found: dict[tuple[str, str, int], list[int]] = {}
    for number, node in enumerate(nodes):
        found.setdefault((node.site, node.model, node.cards), []).append(number)
    return {
        key: np.array(sorted(members, key=lambda n: (nodes[n].rack, n)), dtype=np.int64)
        for key, members in found.items()
    }


def _accepts(kind: TaskClass, site: str, model: str) -> bool:
    return (not kind.site or kind.site == site) and (not kind.models or model in kind.models)
