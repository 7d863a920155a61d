"""How long a job is thought to run: as its user said, as jobs like it ran, or exactly."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from fleetctl.scheduler.packing.task import Task

UNKNOWN_S = 3600.0  # nothing said and nothing like it seen
REMEMBERED = 20  # last runs a mean is taken over
MAX_KEYS = 50_000


class Estimator(Protocol):
    def expect(self, task: Task) -> float:
        """Seconds it is thought to run."""

    def learn(self, task: Task, ran_s: float) -> None:
        """It ended after that long."""


class Exact:
    """What only a replay can know."""

    def expect(self, task: Task) -> float:
        return UNKNOWN_S if task.duration_s is None else task.duration_s

    def learn(self, task: Task, ran_s: float) -> None:
        pass


class History:
    """The mean of the last runs of the same tenant and size; of the size, or of anything, where there are none."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, int], deque[float]] = {}

    def expect(self, task: Task) -> float:
        for key in self._keys(task):
            runs = self._runs.get(key)
            if runs:
                return sum(runs) / len(runs)
        return UNKNOWN_S

    def learn(self, task: Task, ran_s: float) -> None:
        for key in self._keys(task):
            if key not in self._runs and len(self._runs) >= MAX_KEYS:
                del self._runs[next(iter(self._runs))]
            self._runs.setdefault(key, deque(maxlen=REMEMBERED)).append(ran_s)

    @staticmethod
    def _keys(task: Task) -> tuple[tuple[str, int], ...]:
        return ((task.tenant, task.kind.cards), ("", task.kind.cards), ("", -1))


class User(History):
    """What was said; where nothing was, what jobs like it did."""

    def expect(self, task: Task) -> float:
        return super().expect(task) if task.estimate_s is None else task.estimate_s


ESTIMATORS: dict[str, type[Exact | History]] = {"user": User, "history": History, "exact": Exact}
