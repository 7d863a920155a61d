"""What one host has said so far: sections of its frames in, the content of a report out.

The hot path of the fleet: a section that did not change is not parsed, one whose last line alone changed is read as
JSON, and tuples of devices stay the same objects, so that a streamed host with eight cards costs about 0.05 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fleetctl.model.probe import Outcome, Output
from fleetctl.model.reading import Fault, FindingKind, Link, ProbeFinding, ProbeResult, Process
from fleetctl.model.report import HostReport, ProbeState
from fleetctl.model.states import Reach
from fleetctl.plugin.catalogue import enrich
from fleetctl.probes import kernel_log
from fleetctl.probes.blocks import Join, KindView, kind_views
from fleetctl.probes.plan import Plan, PlanItem
from fleetctl.probes.quick_rows import quick_rows
from fleetctl.probes.sections import Body, Section
from fleetctl.probes.system import BOOT_AT, CPU_IDLE, CPU_TOTAL, HOST

_HUNG = (Outcome.HUNG, Outcome.TIMEOUT)
HELD = 1.6  # cadences for which a value stands in for the one that did not come yet


@dataclass(slots=True, eq=False)
class View:
    """The last answer of one probe. quick_at: where the line of values starts in its text, where it has one."""

    item: PlanItem
    at: float
    held_s: float
    result: ProbeResult
    kinds: dict[str, KindView]
    state: ProbeState
    findings: tuple[ProbeFinding, ...]
    quick_at: int = 0
    quick_kind: KindView | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What of a report changes only when some probe said something new."""

    faults: tuple[Fault, ...] = ()
    findings: tuple[ProbeFinding, ...] = ()
    processes: tuple[Process, ...] | None = None
    links: tuple[Link, ...] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[ProbeState, ...] = ()
    expected: int | None = None
    reach: Reach = Reach.FRESH


class HostAnswers:
    """One per host; lives longer than a connection. `interval_s` is the length of a round."""

    def __init__(self, plan: Plan, kernel: kernel_log.KernelLog, interval_s: float) -> None:
        self.plan = plan
        self.kernel = kernel
        self.interval_s = interval_s
        self.views: dict[str, View] = {}
        self.form = ""
        self._skew = KindView("host", ("clock_skew_s",), (HOST,), ((None,),))
        self._skew_at = 0.0
        self._groups: dict[str, tuple[KindView, ...]] = {}
        self._joins: dict[str, Join] = {}
        self._fresh: list[View] = []
        self._changed = True
        self._summary = Summary()
        self._events: list[Fault] = []
        self._cpu = (0, 0)

    def take(self, body: Body, now: float) -> None:
        """Note what a frame says. now: console clock, epoch seconds."""
        if body.at is not None:
            self._skew.rows, self._skew_at = ((round(body.at - now, 2) + 0.0,),), now
        for section in body.sections:
            view = self.views.get(section.probe)
            if view is not None and section.outcome is Outcome.DONE and self._quick(view, section):
                view.at = now
            else:
                self._read(section, now, body.at)

    def _quick(self, view: View, section: Section) -> bool:
        """True when the section needed no parser."""
        if section.same:  # stdout, stderr and exit status
            return True
        if view.state.outcome is not Outcome.DONE or section.status:
            return False
        kind = view.quick_kind
        if kind is None or section.kept < view.quick_at or section.stderr:
            return False
        rows = quick_rows(section.stdout[view.quick_at :], len(kind.devices), kind.columns)
        if rows is None:
            return False
        kind.rows = rows
        return True

    def _read(self, section: Section, now: float, at: float | None) -> None:
        """The careful way: the probe's own parser over the whole text."""
        item = self.plan.by_id.get(section.probe)
        if item is None:
            return
        self._changed = True
        if section.outcome is None:
            self.views.pop(section.probe, None)
            return
        probe, outcome = item.probe, section.outcome
        old = self.views.get(section.probe)
        text, stderr = section.stdout.decode("utf-8", "replace"), section.stderr.decode("utf-8", "replace")
        since = old.state.since if old is not None and old.state.outcome is outcome else now
        state = ProbeState(probe.name, outcome, section.ms / 1000, _plain(stderr)[:400], since)
        result = self._parse(item, Output(text, stderr, section.status, outcome, at))
        if probe.name == kernel_log.NAME and outcome is Outcome.DONE and text:
            self._events.extend(self.kernel.take(text))
        if probe.name == "system":
            result = self._derive(result, now, at)
        has_row = bool(probe.columns) and text.rstrip("\n").rpartition("\n")[2].startswith("[[")
        kinds = kind_views(result.readings, old.kinds if old else {}, probe.columns if has_row else ())
        held_s = HELD * max(self.interval_s, probe.every_s)
        view = View(item, now, held_s, result, kinds, state, _findings(item, outcome, result))
        if has_row and len(kinds) == 1:
            (kind,) = kinds.values()
            view.quick_at = section.stdout.rstrip(b"\n").rfind(b"\n") + 1
            row_text = section.stdout[view.quick_at :]
            # Only while the parser says the same as the line itself may the line speak for the parser.
            if kind.columns == probe.columns and quick_rows(row_text, len(kind.devices), kind.columns) == kind.rows:
                view.quick_kind = kind
        self.views[section.probe] = view

    def _parse(self, item: PlanItem, output: Output) -> ProbeResult:
        if output.outcome is Outcome.HUNG:
            return ProbeResult()
        try:
            return enrich(item.probe.parse(output))
        except Exception as error:  # a stranger's parser may raise anything; the other probes go on
            text = f"{item.probe.name}: the parser failed: {type(error).__name__}: {error}"
            finding = ProbeFinding(FindingKind.UNREADABLE, text[:400], raw=_plain(output.stdout[:2048]))
            return ProbeResult(findings=(finding,))

    def _derive(self, result: ProbeResult, now: float, at: float | None) -> ProbeResult:
        """The sh form sends counters: the share of CPU is the difference to its last answer."""
        if not result.readings or CPU_TOTAL not in result.readings[0].values:
            return result
        values = dict(result.readings[0].values)
        total, idle, boot = int(values.pop(CPU_TOTAL) or 0), int(values.pop(CPU_IDLE) or 0), values.pop(BOOT_AT, None)
        spent, rested = total - self._cpu[0], idle - self._cpu[1]
        known = bool(self._cpu[0]) and spent > 0 <= rested
        values["cpu_pct"] = round(max(0.0, 100.0 * (1 - rested / spent)), 1) if known else None
        self._cpu = (total, idle)
        uptime = values.get("uptime_s")
        if at is None and boot is not None and uptime is not None:
            self._skew.rows, self._skew_at = ((float(round(boot + uptime - now)),),), now
        return replace(result, readings=(replace(result.readings[0], values=values),))

    def report(self, host: str, now: float) -> HostReport:
        """All that is known and not too old. Events of the kernel log are told once."""
        fresh = [view for view in self.views.values() if now - view.at <= view.held_s]
        if self._changed or len(fresh) != len(self._fresh):
            self._fresh, self._changed = fresh, False
            self._gather()
        summary, faults = self._summary, self._summary.faults
        if self._events:
            faults += tuple(self._events)
            self._events = []
        if now - self._skew_at > HELD * self.interval_s:
            self._skew.rows = ((None,),)
        return HostReport(
            host,
            now,
            summary.reach,
            None,
            "",
            tuple([self._joins[kind].block(views) for kind, views in self._groups.items()]),
            faults,
            summary.findings,
            summary.processes,
            summary.links,
            summary.facts,
            summary.probes,
            summary.expected,
        )

    def _gather(self) -> None:
        fresh = sorted(self._fresh, key=lambda view: int(view.item.id))
        groups: dict[str, list[KindView]] = {}
        for view in fresh:
            for kind, part in view.kinds.items():
                groups.setdefault(kind, []).append(part)
        if "host" in groups:
            groups["host"].append(self._skew)
        self._groups = {kind: tuple(parts) for kind, parts in groups.items()}
        for kind, views in self._groups.items():
            join = self._joins.get(kind)
            if join is None or not join.fits(views):
                self._joins[kind] = Join.of(views, join)
        results = [view.result for view in fresh]
        asked = [view for view in fresh if "card" in view.kinds]
        facts = {name: text for result in results for name, text in result.facts.items()}
        states = (*(view.state for view in fresh), *self._late(fresh))
        self._summary = Summary(
            tuple(fault for result in results for fault in result.faults),
            tuple(finding for view in fresh for finding in view.findings),
            tuple(process for result in results for process in result.processes) if asked else None,
            tuple(link for result in results for link in result.links) if asked else None,
            facts | ({"loop": self.form} if self.form else {}),
            states,
            _expected(fresh),
            Reach.HUNG if any(state.outcome in _HUNG for state in states) else Reach.FRESH,
        )

    def _late(self, fresh: list[View]) -> list[ProbeState]:
        """Probes whose last answer is too old, while others answer. One that answered well runs and does not end; one
        that did not keeps what it said. What another probe answers in their place is not late, it is not asked."""
        covered = {name for view in fresh for name in view.item.probe.replaces}
        late = [v.state for v in self.views.values() if v not in fresh and v.item.probe.name not in covered and fresh]
        return [
            replace(state, outcome=Outcome.HUNG, duration_s=None, text="has not answered since")
            if state.outcome is Outcome.DONE
            else state
            for state in late
        ]


def _expected(views: list[View]) -> int | None:
    """Devices the tools say exist: the most that any probe of a vendor counted, summed over vendors."""
    counts: dict[str, int] = {}
    for view in views:
        count = view.result.devices_expected
        if count is not None:
            vendor = view.item.probe.name.partition(".")[0]
            counts[vendor] = max(count, counts.get(vendor, 0))
    return sum(counts.values()) if counts else None


def _findings(item: PlanItem, outcome: Outcome, result: ProbeResult) -> tuple[ProbeFinding, ...]:
    """The parser's findings, and what the outcome itself says unless the parser said so already."""
    name, limit = item.probe.name, item.probe.timeout_s
    said = {
        Outcome.TIMEOUT: (FindingKind.TOOL_HUNG, f"{name}: did not end within {limit:g} s and was stopped"),
        Outcome.HUNG: (FindingKind.TOOL_HUNG, f"{name}: an earlier run does not end; it is not started again"),
        Outcome.MISSING: (FindingKind.MISSING_TOOL, f"{name}: no such tool"),
        Outcome.CUT: (FindingKind.TOO_LARGE, f"{name}: printed more than is kept; the start of it was read"),
    }.get(outcome)
    if said is None or any(finding.kind is said[0] for finding in result.findings):
        return result.findings
    return (*result.findings, ProbeFinding(*said))


def _plain(text: str) -> str:
    """Without control characters: it will be shown on terminals."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
