"""All rules over one host's report: what holds now, and which rules were in a position to say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleetctl.config.schema import Thresholds
from fleetctl.health import rules as _declared  # noqa: F401  (declares the core's rules)
from fleetctl.health.rule import RULES, Condition, Rule, Seen
from fleetctl.health.rules import fault_severity
from fleetctl.model.host import Host
from fleetctl.model.report import HostReport
from fleetctl.model.states import Reach


@dataclass(frozen=True, slots=True)
class Verdict:
    """conditions: what holds; spoke: names of the rules whose silence means "this is over"; holds: rounds per rule."""

    host: str
    conditions: tuple[Condition, ...]
    spoke: frozenset[str]


def all_rules(extra: Iterable[Rule] = ()) -> tuple[Rule, ...]:
    """The core's rules and those of plugins, in order."""
    return (*RULES, *extra)


_ALWAYS = frozenset({"unreachable", "refused"})


def evaluate(host: Host, report: HostReport, thresholds: Thresholds, rules: tuple[Rule, ...]) -> Verdict:
    """Conditions on one host. A host that did not answer is judged for reach only: nothing else is resolved by silence."""
    answered = report.reach in (Reach.FRESH, Reach.HUNG)
    blocks = {block.kind: block for block in report.blocks}
    seen = Seen(host, report, thresholds, blocks)
    conditions: list[Condition] = []
    spoke: set[str] = set()
    for one in rules:
        if not answered and one.name not in _ALWAYS:
            continue
        if one.needs and one.needs not in blocks:
            continue
        spoke.add(one.name)
        conditions.extend(one.evaluate(seen))
    return Verdict(host.name, tuple(conditions), frozenset(spoke))


def fault_conditions(report: HostReport) -> tuple[Condition, ...]:
    """Faults of this report that ask for an action on the machine. They stay open until the host reboots or a person
    acknowledges them: a fault line is not repeated while the fault lasts."""
    found = []
    for fault in report.faults:
        severity = fault_severity(fault.action)
        if severity is not None:
            what = f"{fault.family} {fault.code}"
            where = f" on {fault.device}" if fault.device else ""
            meaning = f": {fault.meaning}" if fault.meaning else ""
            action = f" ({fault.action.value.replace('_', ' ')})" if fault.action else ""
            key = f"{fault.vendor} {what} {fault.device or ''}".strip()
            found.append(
                Condition("fault", report.host, key, severity, f"{what}{where}{meaning}{action}", float(fault.count))
            )
    return tuple(found)


def hold_rounds(rules: Iterable[Rule], thresholds: Thresholds) -> Mapping[str, int]:
    """Rounds a condition must last before it fires, by rule."""
    return {one.name: thresholds.hold_rounds if one.hold_rounds is None else one.hold_rounds for one in rules}
