"""A fleet with a queue: time runs, jobs wait, start, end; who is next is an `Order`, where it goes is the packer's."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fleetctl.scheduler.packing.drain import Drain, DrainResult, displace
from fleetctl.scheduler.packing.estimates import Estimator
from fleetctl.scheduler.packing.line import Asker, Key, Line, Look
from fleetctl.scheduler.packing.orders import Order
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.promises import Ends
from fleetctl.scheduler.packing.record import Decision, unwatched
from fleetctl.scheduler.packing.state import Floats, Mask, Share
from fleetctl.scheduler.packing.task import WHOLE, Task, TaskClass
from fleetctl.scheduler.packing.tenancy import Tenancy
from fleetctl.scheduler.packing.trust import Trust

SAMPLES = 200  # of the fragments over time, at most

_END, _ARRIVE, _DRAIN = 0, 1, 2  # at one moment, in this order


@dataclass
class QueueResult:
    """started_s: per job, by its place in the trace; None for one that never did. *_milli_s: integrals over time."""

    started_s: list[float | None] = field(default_factory=list)
    ended_s: list[float | None] = field(default_factory=list)
    impossible: list[int] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    drains: list[DrainResult] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    first_s: float = 0.0
    last_submit_s: float = 0.0
    last_s: float = 0.0
    used_milli_s: float = 0.0
    used_until_last_submit: float = 0.0
    energy_j: float = 0.0
    peak_w: float = 0.0
    peak_milli: int = 0
    fragments_milli: list[float] = field(default_factory=list)


class _Remembered(Line):
    """A line made for one look; who is promised a time as its first is remembered for the next."""

    def __init__(self, packer: Packer, ends: Ends, order: Order, turns: set[int]) -> None:
        super().__init__(packer, ends, order)
        self._turns, self._keeps = turns, order.keeps_turn

    def serve(self, now: float, asker: Asker) -> Look:
        look = super().serve(now, asker)
        if self._keeps:
            self._turns.update([job for job, promise in look.promises if promise.at < np.inf][:1])
        return look


class Queue:
    """One replay. `run` plays it from the first arrival to the last end."""

    def __init__(
        self,
        packer: Packer,
        tasks: Sequence[Task],
        order: Order,
        estimator: Estimator,
        clock: Callable[[], float],
        drains: Sequence[Drain] = (),
        tenancy: Tenancy | None = None,
    ) -> None:
        """tenancy: quotas hold and use counts against shares, as live; every look then sorts its line anew."""
        self._tenancy = tenancy
        self._turns: set[int] = set()  # who was first of its line and was promised a time, where the order keeps turns
        self._packer, self._tasks, self._order, self._estimator = packer, tasks, order, estimator
        self._clock = clock
        self._ends = Ends(packer)
        self._nowhere: Mask = np.zeros(len(packer.nodes), dtype=np.bool_)
        self._lines: dict[str, Line] = {}
        self._running: dict[int, tuple[Task, Decision]] = {}
        self._left: dict[int, float] = {}  # seconds still to run of those a drain sent back
        self._trust = Trust()
        self._said: dict[int, float] = {}  # seconds expected when it came, of those that wait or run
        self._places: dict[int, tuple[str, TaskClass, Key]] = {}  # of those that wait
        self._waiting_work = 0.0  # card-seconds, as expected, of those that wait
        self._came: list[int] = []  # who came at this moment
        self._dues: list[tuple[float, int]] = []  # when a job has waited so long that it goes first
        self._possible: dict[TaskClass, bool] = {}
        self._events: list[tuple[float, int, int]] = []
        self._now = 0.0
        self._drains = list(drains)
        self.result = QueueResult([None] * len(tasks), [None] * len(tasks))

    def run(self, watch: Callable[[int, int], None] = unwatched) -> QueueResult:
        """watch: is told how many jobs have started, of how many, at every moment at which something happens."""
        for number, task in enumerate(self._tasks):
            self._events.append((task.submit_s, _ARRIVE, number))
        for number, drain in enumerate(self._drains):
            if drain.at is not None:
                self._events.append((drain.at, _DRAIN, number))
        heapq.heapify(self._events)
        result = self.result
        submits = [t.submit_s for t in self._tasks]
        result.first_s, result.last_submit_s = min(submits, default=0.0), max(submits, default=0.0)
        now = since = result.first_s
        turns, sample_every = 0, max(1, 2 * len(self._tasks) // SAMPLES)
        while self._events:
            at, what, _ = self._events[0]
            if what == _ARRIVE or self._running:  # a drain of an empty fleet makes no replay longer
                self._integrate(since, at)
                since = max(since, at)
            now = self._now = max(now, at)
            arrived, freed = self._take_events(at, now)
            began = self._clock()
            self._hurry(now)
            starts = self._serve(now, None if freed else arrived)
            if starts:
                result.took_s.extend([(self._clock() - began) / starts] * starts)
            self._set_dues(now)
            turns += 1
            watch(len(result.decisions), len(self._tasks))
            if turns % sample_every == 0:
                result.fragments_milli.append(self._packer.fragments_milli())
        result.last_s = since
        return result

    def _integrate(self, since: float, until: float) -> None:
        result, packer = self.result, self._packer
        if until <= since:
            return
        result.used_milli_s += packer.used_milli * (until - since)
        result.used_until_last_submit += packer.used_milli * max(0.0, min(until, result.last_submit_s) - since)
        result.energy_j += packer.power_w * (until - since)
        result.peak_w = max(result.peak_w, packer.power_w)
        result.peak_milli = max(result.peak_milli, packer.used_milli)

    def _take_events(self, at: float, now: float) -> tuple[set[str], bool]:
        """Everything that happens at one moment: (lines with arrivals, whether anything was given back)."""
        arrived: set[str] = set()
        freed = False
        while self._events and self._events[0][0] == at:
            _, what, number = heapq.heappop(self._events)
            if what == _END:
                freed = self._end(number, at) or freed
            elif what == _ARRIVE:
                task = self._tasks[number]
                never = self._tenancy is not None and self._tenancy.is_never(task)
                if not never and self._is_possible(self._order.kind(task)):
                    arrived.add(self._enqueue(number))
                else:
                    self.result.impossible.append(number)
            else:
                self._drain(self._drains[number], now)
                freed = True
        for drain in [d for d in self._drains if d.at is None and d.is_due(now, self._packer.load)]:
            self._drains[self._drains.index(drain)] = Drain(frozenset(), at=float("inf"))
            self._drain(drain, now)
            freed = True
        return arrived, freed

    def _is_possible(self, kind: TaskClass) -> bool:
        if kind not in self._possible:
            self._possible[kind] = self._packer.can_ever(kind, self._packer.closed)
        return self._possible[kind]

    def _enqueue(self, number: int) -> str:
        task = self._tasks[number]
        kind, line = self._order.kind(task), self._order.line(task)
        said = self._said[number] = self.expected(number)
        gang = self._packer.is_gang(kind)
        key = (0, 1, self._order.key(task.submit_s, self._trust.weigh(said), task.kind.cards, gang=gang))
        if line not in self._lines:
            self._lines[line] = Line(self._packer, self._ends, self._order)
        if self._tenancy is None:
            self._lines[line].add(number, kind, key)
        self._places[number] = line, kind, key
        self._came.append(number)
        self._waiting_work += said * task.kind.cards
        return line

    def _set_dues(self, now: float) -> None:
        """Those who came and did not start: until when they may be passed."""
        waiting = [number for number in self._came if number in self._places]
        self._came.clear()
        if not waiting or not self._order.patience:
            return
        work = self._waiting_work + self._ends.remaining(now)
        seconds = self._order.patience * self._trust.bias / max(1, self._packer.total_milli // WHOLE)
        for number in waiting:
            ahead = max(0.0, work - self._said[number] * self._tasks[number].kind.cards)
            heapq.heappush(self._dues, (now + seconds * ahead, number))

    def _forget(self, number: int) -> None:
        """It waits no longer."""
        del self._places[number]
        self._waiting_work -= self._said[number] * self._tasks[number].kind.cards

    def _hurry(self, now: float) -> None:
        """Who has waited `patience` times what was ahead when it came goes first, the oldest before the others."""
        while self._dues and self._dues[0][0] <= now:
            _, number = heapq.heappop(self._dues)
            if number in self._places:
                line, kind, key = self._places[number]
                first = (-1, 1, self._tasks[number].submit_s)
                if self._tenancy is None:
                    self._lines[line].move(number, kind, key, first)
                self._places[number] = line, kind, first

    def _end(self, number: int, at: float) -> bool:
        found = self._running.get(number)
        if found is None or found[1].end_s != at:
            return False  # a drain sent it back meanwhile
        task, made = self._running.pop(number)
        self._packer.release(made.shares)
        self._ends.stop(number, made.shares)
        if self._tenancy is not None:
            self._tenancy.end(task, at)
        self.result.ended_s[number] = at
        said = self._said.pop(number)
        if task.duration_s is not None:
            self._trust.learn(said, task.duration_s, task.kind.cards)
            self._estimator.learn(task, task.duration_s)
        return True

    def _drain(self, drain: Drain, now: float) -> None:
        before = {n: made for n, (_, made) in self._running.items() if any(s.node in drain.nodes for s in made.shares)}
        result = displace(self._packer, drain, self._running, now, self.result.decisions)
        self.result.drains.append(result)
        self._possible.clear()
        for number, (line, kind, key) in list(self._places.items()):
            if not self._is_possible(kind):  # or a line that is served in turn would stand behind it for ever
                if self._tenancy is None:
                    self._lines[line].remove(number, kind, key)
                self._forget(number)
                self.result.impossible.append(number)
        for number, made in before.items():
            self._ends.stop(number, made.shares)
            if number in self._running:
                again = self._running[number][1]
                self._ends.start(number, again.shares, now + self._estimator.expect(self._tasks[number]))
        for number, end_s in result.homeless:
            if self._tenancy is not None:
                self._tenancy.end(self._tasks[number], now)
            if end_s is not None:
                self._left[number] = end_s - now
            if self._is_possible(self._order.kind(self._tasks[number])):
                self._enqueue(number)

    def _serve(self, now: float, arrived: set[str] | None) -> int:
        """Start what may start. arrived: nothing was given back, so only lines with arrivals can have changed."""
        starts = 0
        for line in self._lines if arrived is None else sorted(arrived):
            starts += (
                (self._lines[line] if self._tenancy is None else self._in_shares(line, now)).serve(now, self).starts
            )
        return starts

    def _in_shares(self, name: str, now: float) -> Line:
        """The line as it stands now by what tenants used, without those whose quota holds them back."""
        assert self._tenancy is not None
        line, owed = _Remembered(self._packer, self._ends, self._order, self._turns), self._tenancy.owed(now)
        for number, (place, kind, key) in self._places.items():
            task = self._tasks[number]
            if place != name or self._tenancy.is_over(task):
                continue
            hurried = key[0] < 0
            turn = 0 if number in self._turns else 1
            used = 0.0 if hurried else owed.get(task.tenant, 0.0)
            line.add(number, kind, (key[0], turn, used, key[2], task.submit_s))
        return line

    # ---- what a line asks

    def expected(self, job: int) -> float:
        expected = self._estimator.expect(self._tasks[job])
        return min(expected, self._left[job]) if job in self._left else expected

    def allowed(self, job: int) -> Mask | None:
        if self._tenancy is not None and self._tenancy.is_over(self._tasks[job]):
            return self._nowhere  # others of its tenant began in this look
        return None

    def ready(self, job: int) -> Callable[[Floats], None] | None:
        return None

    def start(self, job: int, shares: tuple[Share, ...], expected: float) -> None:
        task, now = self._tasks[job], self._now
        self._forget(job)
        self._packer.apply(shares)
        if self._tenancy is not None:
            self._tenancy.begin(task, now)
            self._turns.discard(job)
        runs = self._left.pop(job, task.duration_s)
        end = None if runs is None else now + runs
        made = Decision(task.name, now, shares, end)
        self.result.decisions.append(made)
        self._running[job] = (task, made)
        self._ends.start(job, shares, now + expected)
        if self.result.started_s[job] is None:
            self.result.started_s[job] = now
        if end is not None:
            heapq.heappush(self._events, (end, _END, job))
