"""How much every node is disliked for every class of tasks, kept and brought up to date where a node changed.

One row of scores per class over all nodes. A placement changes one or a few nodes; the next task of a class re-scores
only the nodes that changed since its row was last looked at, all at once, and what was worked out for one free part is
kept for all nodes like it. Memory is bounded: rows and what is kept are forgotten and made anew when they grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fleetctl.scheduler.packing.node import CardChoice, card_choices
from fleetctl.scheduler.packing.policies import After, Policy
from fleetctl.scheduler.packing.state import MAX_KEPT, STEP_BITS, STEPS, FreeState, Ints, Mask
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

NO = 1 << 62  # the score of a node that will not do
MAX_ROWS_BYTES = 96 * 2**20
FEW = 64  # nodes up to which finding those that are alike costs more than it saves

Choices = npt.NDArray[np.object_]  # of Choice or None


@dataclass(slots=True, eq=False)
class Choice:
    """The best choice of cards for a task on nodes with the same free parts. levels: free milli of the cards taken."""

    cost: float
    more_w: float
    levels: tuple[int, ...]


@dataclass(slots=True)
class Row:
    """Scores of a class over all nodes. seen: changes counted when it was last brought up to date, -1: never."""

    kind: TaskClass
    policy: Policy
    able: Mask  # right model and site
    scores: Ints
    picks: Choices  # what each score came from
    choices: dict[int, Choice | None] = field(default_factory=dict)
    seen: int = -1
    numbered: int = 0


class Scores:
    """The rows of one fleet. able: which nodes a class accepts, whatever is free on them."""

    def __init__(self, state: FreeState, policy: Policy, able: Callable[[TaskClass], Mask]) -> None:
        self._state, self._able = state, able
        self._policies = [policy] if policy.then is None else [policy, policy.then]
        caps = [np.inf if n.power_cap_w is None else n.power_cap_w for n in state.nodes]
        self._cap_w = np.array(caps, dtype=np.float64)
        self._capped = bool(np.isfinite(self._cap_w).any())
        self._rows: dict[tuple[TaskClass, str], Row] = {}
        self._max_rows = max(16, MAX_ROWS_BYTES // (16 * max(1, len(state.nodes))))
        self._card_choices: dict[tuple[int, int, bool, tuple[int, ...]], list[CardChoice]] = {}

    def current(self, kind: TaskClass) -> Row:
        """The row of scores of a class, brought up to date."""
        state, first = self._state, self._policies[0]
        policy = first if len(self._policies) == 1 or state.load < first.until_load else self._policies[1]
        key = (kind, policy.name)
        row = self._rows.pop(key, None)
        if row is None:
            if len(self._rows) >= self._max_rows:
                del self._rows[next(iter(self._rows))]  # the one not asked for longest
            count = len(state.nodes)
            row = Row(kind, policy, self._able(kind), np.full(count, NO), np.full(count, None))
        self._rows[key] = row
        if row.numbered != state.numbered:
            row.choices.clear()
            row.numbered = state.numbered
        seen, row.seen = row.seen, state.seen
        if seen != row.seen:
            changed = state.changed_since(seen) if seen >= 0 else None
            self._rescore(row, np.arange(len(state.nodes)) if changed is None else changed)
        return row

    def forget(self) -> None:
        """What classes accept has changed: make every row anew."""
        self._rows.clear()

    def choices_of(self, kind: TaskClass, cards: tuple[int, ...]) -> list[CardChoice]:
        """As card_choices, kept."""
        key = (kind.cards, kind.milli, kind.alone, cards)
        found = self._card_choices.get(key)
        if found is None:
            if len(self._card_choices) >= MAX_KEPT:
                self._card_choices.clear()
            found = self._card_choices[key] = card_choices(cards, kind)
        return found

    def _rescore(self, row: Row, nodes: Ints) -> None:
        """Bring the scores of these nodes up to date."""
        kind, state = row.kind, self._state
        row.scores[nodes] = NO
        fits = row.able[nodes] & ~state.closed[nodes] & ~state.taken_alone[nodes]
        fits &= (state.cpu_milli[nodes] >= kind.cpu_milli) & (state.memory_mib[nodes] >= kind.memory_mib)
        fits &= state.untouched[nodes] if kind.alone else state.free_milli[nodes] >= kind.demand_milli
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
        free = state.free_milli[nodes]
        after = After(
            costs,
            state.cpu_milli[nodes] - kind.cpu_milli,
            state.memory_mib[nodes] - kind.memory_mib,
            free - free if kind.alone else free - kind.demand_milli,
            kind.cpu_milli,
            nodes,
            state.has,
        )
        scores = row.policy.rank(after)
        if self._capped:
            more = np.array([c.more_w for c in choices.tolist()]) + after.more_cpu_w
            scores[state.node_w[nodes] + more > self._cap_w[nodes]] = NO
        row.scores[nodes] = scores
        row.picks[nodes] = choices

    def _keys(self, row: Row, nodes: Ints) -> Ints:
        """One number per node that tells apart what the best choice of cards depends on."""
        state = self._state
        if not row.policy.uses_mix:
            return state.signature[nodes]
        kind = row.kind
        cpu, memory = state.mix.steps(
            state.cpu_milli[nodes] - kind.cpu_milli, state.memory_mib[nodes] - kind.memory_mib
        )
        return (state.parts[nodes] * STEPS + cpu) * STEPS + memory

    def _work_out(self, row: Row, keys: Sequence[int]) -> Choices:
        """The choice for each of these keys, from what is kept or worked out now, all new ones at once."""
        kept = row.choices
        new = {key for key in keys if key not in kept}
        if new and len(kept) + len(new) > MAX_KEPT // 4 + len(self._state.nodes):
            kept.clear()
            new = set(keys)
        mix = self._state.mix if row.policy.uses_mix else None
        low = STEPS - 1
        for key in new:
            if mix is None:
                model, cards = self._state.signed[key]
                kept[key] = self._best(row.policy, model, self.choices_of(row.kind, cards), (), ())
                continue
            model, cards = self._state.signed[key >> 4 * STEP_BITS]
            choices = self.choices_of(row.kind, cards)
            before = (key >> 3 * STEP_BITS & low, key >> 2 * STEP_BITS & low, cards)
            kept[key] = self._best(
                row.policy,
                model,
                choices,
                (mix.fragments(before),),
                [mix.fragments((key >> STEP_BITS & low, key & low, left)) for left, _ in choices],
            )
        found = np.empty(len(keys), dtype=object)
        found[:] = [kept[key] for key in keys]
        return found

    def _best(
        self,
        policy: Policy,
        model: str,
        choices: Sequence[CardChoice],
        before: Sequence[float],
        after: Sequence[float],
    ) -> Choice | None:
        """The cheapest choice, the first of equals; where nodes have power caps, the one that draws least.

        before, after: fragments, of the node and of each choice; nothing where the policy does not ask for them.
        """
        card = self._state.power.card(model)
        best: Choice | None = None
        more_w = 0.0
        for place, (_left, levels) in enumerate(choices):
            if self._capped or policy.uses_watts:
                more_w = (card.rated_w - card.idle_w) * sum(1 for level in levels if level >= WHOLE)
            cost = policy.cost(after[place] - before[0] if after else 0.0, more_w)
            if best is None or ((more_w, cost) < (best.more_w, best.cost) if self._capped else cost < best.cost):
                best = Choice(cost, more_w, levels)
        return best
