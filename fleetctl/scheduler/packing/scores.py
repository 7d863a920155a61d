"""How much every node is disliked for every class of tasks, kept and brought up to date where a node changed.

One row of scores per class, by node and by form: nodes of one form have one score. A placement changes one or a few
nodes; the next task of a class looks only at nodes that changed since its row was last looked at, and works out only
forms it does not know, all at once. Memory is bounded: rows are forgotten and made anew when they grow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fleetctl.scheduler.packing import forms
from fleetctl.scheduler.packing.cardsets import NONE
from fleetctl.scheduler.packing.policies import After, Policy, Sizes
from fleetctl.scheduler.packing.state import Floats, FreeState, Ints, Mask
from fleetctl.scheduler.packing.task import WHOLE, TaskClass

NO = 1 << 62  # the score of a node that will not do
FAR = 1e9  # the cost of a choice that is not to be taken; steps of it still fit a score
UNKNOWN = -1  # of a form that was not looked at; policies rank from 0
MANY = 256  # numbers from which a table is cheaper than a set
MAX_ROWS_BYTES = 96 * 2**20


def _nothing_known() -> Ints:
    return np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class Row:
    """Scores of a class. able: right model and site, per node; None: all are. by_form, picks: score of a form and which
    choice of cards it came from. seen: changes counted when it was last brought up to date, -1: never.
    """

    kind: TaskClass
    policy: Policy
    able: Mask | None
    scores: Ints
    by_form: Ints = field(default_factory=_nothing_known)
    picks: Ints = field(default_factory=_nothing_known)
    seen: int = -1
    numbered: int = 0
    need: Ints = field(init=False)  # as the first rows of the facts of forms

    def __post_init__(self) -> None:
        kind = self.kind
        self.need = np.array([[kind.cpu_milli], [kind.memory_mib], [0 if kind.alone else kind.demand_milli]])


class Scores:
    """The rows of one fleet. able: which nodes a class accepts, whatever is free on them."""

    def __init__(self, state: FreeState, policy: Policy, able: Callable[[TaskClass], Mask]) -> None:
        self._state, self._able = state, able
        self._policies = [policy] if policy.then is None else [policy, policy.then]
        alike = state.alike
        self._has = Sizes(
            np.array([cpu for _, _, cpu, _, _ in alike], dtype=np.int64),
            np.array([memory for _, _, _, memory, _ in alike], dtype=np.int64),
            np.array([cards * WHOLE for _, cards, *_ in alike], dtype=np.int64),
        )
        self._cap_w = np.array([np.inf if cap is None else cap for *_, cap in alike], dtype=np.float64)
        self._capped = bool(np.isfinite(self._cap_w).any())
        each = [state.power.card(model) for model, *_ in alike]
        self._more_w = np.array([card.rated_w - card.idle_w for card in each], dtype=np.float64)
        self._rows: dict[tuple[TaskClass, str], Row] = {}

    def current(self, kind: TaskClass) -> Row:
        """The row of scores of a class, brought up to date."""
        state, first = self._state, self._policies[0]
        policy = first if len(self._policies) == 1 or state.load < first.until_load else self._policies[1]
        key = (kind, policy.name)
        row = self._rows.pop(key, None) or self._new(kind, policy)
        self._rows[key] = row
        if row.numbered != state.numbered:
            row.by_form, row.picks = _nothing_known(), _nothing_known()
            row.seen, row.numbered = -1, state.numbered
        if row.seen != state.seen:
            changed = state.changed_since(row.seen) if row.seen >= 0 else None
            row.seen = state.seen
            self._look_at(row, changed)
        return row

    def _new(self, kind: TaskClass, policy: Policy) -> Row:
        nodes = len(self._state.nodes)
        while len(self._rows) >= max(16, MAX_ROWS_BYTES // (8 * nodes + 16 * self._state.forms.room)):
            del self._rows[next(iter(self._rows))]  # the one not asked for longest
        able = self._able(kind)
        return Row(kind, policy, None if able.all() else able, np.full(nodes, NO))

    def forget(self) -> None:
        """What classes accept has changed: make every row anew."""
        self._rows.clear()

    def _look_at(self, row: Row, nodes: Ints | None) -> None:
        """Bring the scores of these nodes up to date, of all when None; some may be named twice."""
        every, room = self._state.form, self._state.forms.room
        numbers = every if nodes is None else every[nodes]
        if len(row.by_form) < room:
            more = np.full(room - len(row.by_form), UNKNOWN)
            row.by_form, row.picks = np.concatenate([row.by_form, more]), np.concatenate([row.picks, more])
        looked_at = _each_once(every, room) if nodes is None else numbers  # on most of a fleet there are few
        unknown = looked_at[row.by_form[looked_at] == UNKNOWN]
        if len(unknown):
            self._score(row, _each_once(unknown, room))
        scores = row.by_form[numbers]
        if nodes is None:
            row.scores = scores if row.able is None else np.where(row.able, scores, NO)
        else:
            row.scores[nodes] = scores if row.able is None else np.where(row.able[nodes], scores, NO)

    def _score(self, row: Row, numbers: Ints) -> None:
        """Work out the scores of these forms."""
        kind, found = row.kind, self._state.forms
        facts = found.facts.take(numbers, axis=1)
        row.by_form[numbers] = NO
        rest = facts[: forms.FREE + 1] - row.need
        fits = rest.min(axis=0) >= 0
        if kind.alone:
            fits &= facts[forms.UNTOUCHED] > 0
            rest[forms.FREE] = 0
        place = fits.nonzero()[0]
        if not len(place):
            return
        numbers, facts, rest = numbers[place], facts.take(place, axis=1), rest.take(place, axis=1)
        left = found.cards.left(kind, facts[forms.CARDS])
        costs, watts = self._costs(row.policy, numbers, facts, rest, left)
        if costs.shape[1] == 1:
            picks, cost, more_w = 0, costs[:, 0], watts[:, 0]
        else:
            picks, each = costs.argmin(axis=1), np.arange(len(place))
            cost, more_w = costs[each, picks], watts[each, picks]
        groups = facts[forms.GROUP]
        after = After(cost, rest[forms.CPU], rest[forms.MEMORY], rest[forms.FREE], kind.cpu_milli, groups, self._has)
        scores = row.policy.rank(after)
        scores[left[:, 0] == NONE] = NO
        if self._capped:
            scores[found.node_w[numbers] + more_w + after.more_cpu_w > self._cap_w[groups]] = NO
        row.by_form[numbers], row.picks[numbers] = scores, picks

    def _costs(self, policy: Policy, numbers: Ints, facts: Ints, rest: Ints, left: Ints) -> tuple[Floats, Floats]:
        """(cost, watts more) of every choice of cards: a row per form; past its choices, no less than for any of them.

        The first of the cheapest is to be taken; where nodes have power caps, of those that draw least.
        """
        found, cards = self._state.forms, self._state.forms.cards
        known = left != NONE
        grown = watts = np.zeros(left.shape)
        if policy.uses_mix:
            before = found.fragments[numbers]
            cpu, memory = found.mix.steps(rest[forms.CPU], rest[forms.MEMORY])
            if left.shape[1] == 1:
                sets = left[:, 0]
                grown = (found.mix.fragments(cpu, memory, cards.total[sets], cards.useful[sets]) - before)[:, None]
            else:
                rows, places = known.nonzero()
                sets = left[rows, places]
                lost = found.mix.fragments(cpu[rows], memory[rows], cards.total[sets], cards.useful[sets])
                grown = np.zeros(left.shape)
                grown[rows, places] = lost - before[rows]
            grown = grown.round(6)  # equal costs are to be equal
        if policy.uses_watts or self._capped:
            begun = cards.whole[facts[forms.CARDS]][:, None] - cards.whole[left]
            watts = self._more_w[facts[forms.GROUP]][:, None] * begun
        costs = policy.cost(grown, watts)
        if left.shape[1] > 1:
            costs = np.where(known, costs, FAR)
            if self._capped:
                least = np.where(known, watts, FAR).min(axis=1)
                costs[watts > least[:, None]] = FAR
        return costs, watts


def _each_once(numbers: Ints, room: int) -> Ints:
    """Without those that are named twice. numbers: below room."""
    if len(numbers) < MANY:
        return np.array(list(set(numbers.tolist())), dtype=np.int64)
    named = np.zeros(room, dtype=np.bool_)
    named[numbers] = True
    return np.flatnonzero(named)
