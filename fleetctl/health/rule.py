"""What a health rule is: a pure function from what one host said to the conditions that hold on it.

To add a rule, write one function below rules.py, decorated with its name, unit and what it needs to see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fleetctl.config.schema import Thresholds
from fleetctl.model.host import Host
from fleetctl.model.report import Block, HostReport
from fleetctl.model.states import Health


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong now. (rule, host, device) is its identity over time; device: Device.key or None."""

    rule: str
    host: str
    device: str | None
    severity: Health
    text: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule may look at. blocks: by kind; empty when the host said nothing of that kind this round."""

    host: Host
    report: HostReport
    thresholds: Thresholds
    blocks: Mapping[str, Block]


Evaluate = Callable[[Seen], Iterable[Condition]]


@dataclass(frozen=True, slots=True)
class Rule:
    """needs: "" (always asked), "host" or "card": only where a block of that kind came can the rule speak, and only
    there does its silence resolve a finding. hold_rounds: None means thresholds.hold_rounds. unit: of `value`."""

    name: str
    needs: str
    evaluate: Evaluate
    doc: str
    unit: str = ""
    hold_rounds: int | None = None


RULES: list[Rule] = []


def rule(
    name: str, *, needs: str = "", unit: str = "", hold_rounds: int | None = None
) -> Callable[[Evaluate], Evaluate]:
    """Declare a rule of the core; its docstring's first line is what people read."""

    def declare(function: Evaluate) -> Evaluate:
        doc = (function.__doc__ or "").strip().splitlines()[0]
        RULES.append(Rule(name, needs, function, doc, unit, hold_rounds))
        return function

    return declare
