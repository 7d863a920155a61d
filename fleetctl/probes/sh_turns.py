"""Which probes a host without the python loop is asked in this round: the console keeps the calendar, the host none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fleetctl.model.probe import Outcome
from fleetctl.probes.plan import Plan
from fleetctl.probes.sections import Section

LOOK_AGAIN_S = 600.0  # until a tool that was not there is looked for again
SLOW_MS = 2000  # a tool slower than this runs beside the rounds from then on
LOST_S = 120.0  # an answer that has not come by then will not come: ask again


@dataclass(slots=True)
class Turn:
    """Words for the sh loop (`ID` or `ID:PID`): those of the round, and those beside it."""

    round: list[str]
    beside: list[str]


@dataclass(slots=True)
class ShTurns:
    """Times are of the monotonic clock, seconds. interval_s: length of a round."""

    plan: Plan
    interval_s: float
    due: dict[str, float] = field(default_factory=dict)
    hung: dict[str, str] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    beside_since: dict[str, float] = field(default_factory=dict)
    answering: set[str] = field(default_factory=set)

    def next(self, now: float) -> Turn:
        """What to ask now; notes it as asked."""
        names = {item.probe.name: item.id for item in self.plan.items}
        covered = {names[n] for i in self.answering for n in self.plan.by_id[i].probe.replaces if n in names}
        turn = Turn([], [])
        for item in self.plan.items:
            probe = item.probe
            if not probe.command or item.id in covered or now + self.interval_s / 4 < self.due.get(item.id, now):
                continue
            word = f"{item.id}:{self.hung[item.id]}" if item.id in self.hung else item.id
            if probe.background or item.id in self.slow:
                if now - self.beside_since.get(item.id, -LOST_S) < max(LOST_S, 2 * probe.timeout_s):
                    continue
                self.beside_since[item.id] = now
                turn.beside.append(word)
            else:
                turn.round.append(word)
            self.due[item.id] = now + probe.every_s
        return turn

    def note(self, sections: Iterable[Section], now: float) -> None:
        """Learn from answers: what is not there, what hangs, what is slow."""
        for section in sections:
            number = section.probe
            if number not in self.plan.by_id:
                continue
            self.beside_since.pop(number, None)
            self.hung.pop(number, None)
            self.answering.discard(number)
            if section.outcome is None or section.outcome is Outcome.MISSING:
                self.due[number] = now + LOOK_AGAIN_S
            elif section.outcome is Outcome.HUNG:
                self.slow.add(number)
                words = section.stderr.split()
                if len(words) > 1 and words[1].isdigit():
                    self.hung[number] = words[1].decode("ascii")
            elif section.outcome is Outcome.DONE and section.status == 0:
                self.answering.add(number)
            if section.ms > SLOW_MS:
                self.slow.add(number)
