"""What asks for room: the kind of a task, and one task of a trace."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

WHOLE = 1000  # milli-cards of a whole card


@dataclass(frozen=True, slots=True)
class TaskClass:
    """All tasks that ask for the same. milli: thousandths of each card; cards 0: CPU and memory only.

    models: accepted, () for any; site: the only one it may run in, "" for any. Whole cards must be untouched and all on
    one node; a class with more cards than any node it accepts is a gang and takes whole nodes. With `nodes` it is a
    gang of that many different nodes with `cards` on each, all in one place of the kind `same` names ("rack", "leaf",
    "site"; "" for anywhere). alone: every card that works of nodes on which nothing runs; green: the greenest site
    first. rules: whatever else decides which nodes will do, known to whoever made the packer.
    """

    cpu_milli: int = 0
    memory_mib: int = 0
    cards: int = 0
    milli: int = WHOLE
    models: tuple[str, ...] = ()
    site: str = ""
    nodes: int = 0
    same: str = ""
    alone: bool = False
    green: bool = False
    rules: Hashable = None

    @property
    def demand_milli(self) -> int:
        """Milli-cards it holds while it runs, on each of its nodes where it names their number."""
        return self.cards * self.milli


@dataclass(frozen=True, slots=True)
class Task:
    """One arrival. Moments and durations in seconds of the trace; estimate_s: what its user said, None when unsaid.

    kind: what it asks for where it was submitted; free: the same without its site, None unless it may be moved.
    """

    name: str
    kind: TaskClass
    submit_s: float = 0.0
    duration_s: float | None = None
    estimate_s: float | None = None
    tenant: str = ""
    free: TaskClass | None = None
