"""The health report: how the fleet stands, what is wrong, and what changed since the last report. Pure.

One line per folded group: three hundred events on a hundred nodes are a dozen lines, because nobody reads three hundred.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleetctl.config.schema import Config
from fleetctl.i18n import _, word
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.store.engine_row import engine_row
from fleetctl.store.findings import FindingState
from fleetctl.store.summaries import host_answers
from fleetctl.views import findings, nodes
from fleetctl.views.findings import FindingGroup, FindingRow, fold_findings
from fleetctl.views.nodes import NodeRow
from fleetctl.views.totals import ANSWERING, RUNGS, Totals, total
from fleetctl.views.units import iso_moment, show_age, show_count, show_moment, show_pct, show_temp, show_watts

Fold = Callable[[Iterable[str]], str]
MAX_CHARS = 160  # of one node set in a line for people; JSON carries it whole
MAX_LINES = 20  # of one section; what is left over is counted, not dropped in silence


@dataclass(frozen=True, slots=True)
class Line:
    """One line for people. severity: for a mark and a colour; None: neutral. data: the same for machines."""

    text: str
    severity: Health | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """name: key in JSON, never translated; title: for people. more: lines left out at the end."""

    name: str
    title: str
    lines: tuple[Line, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class HealthReport:
    """at, since_at: epoch seconds; since_at None: there was no report before. status: the worst that is known.
    changed: something began or ended since the last report."""

    fleet: str
    at: float
    since_at: float | None
    status: Health
    changed: bool
    sections: tuple[Section, ...]

    @property
    def exit_code(self) -> int:
        """0: nothing is wrong; 1: something is, or nobody knows."""
        return 0 if self.status is Health.OK else 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report is made of. open: pending ones left out; resolved: those that ended since the last report;
    reach_since: node -> when its reach last changed; engine_at: last sign of life of the engine, None if there was none.
    """

    fleet: str
    nodes: Sequence[NodeRow]
    open: Sequence[FindingRow]
    resolved: Sequence[FindingRow]
    reach_since: Mapping[str, float]
    engine_at: float | None
    now: float
    since_at: float | None
    stale_after_s: float


def load_facts(
    conn: sqlite3.Connection, inventory: Inventory, config: Config, now: float, since_at: float | None
) -> Facts:
    """Everything a report needs, from one snapshot of the store."""
    engine = engine_row(conn)
    resolved = findings.load(conn, inventory, states=(FindingState.RESOLVED,), since=since_at) if since_at else []
    return Facts(
        fleet=config.name,
        nodes=nodes.load(conn, inventory, now, config=config),
        open=findings.load(conn, inventory),
        resolved=resolved,
        reach_since={name: answer.reach_since for name, answer in host_answers(conn).items()},
        engine_at=engine.beat_at if engine else None,
        now=now,
        since_at=since_at,
        stale_after_s=config.poll.interval_s * config.poll.stale_after,
    )


def build_report(facts: Facts, fold: Fold) -> HealthReport:
    """The report of these facts; `fold` folds node names into a node set."""
    totals = total(facts.nodes)
    groups = fold_findings(f for f in facts.open if f.state == "firing")
    changes = _changes(facts, fold)
    data_old = totals.newest_at is None or facts.now - totals.newest_at > facts.stale_after_s
    sections = [
        _limited("changes", _("changed since the last report"), changes),
        _limited("findings", _("open findings"), [_finding_line(g, fold, facts) for g in groups]),
        _limited("blind", _("nodes that say nothing now"), _blind(facts.nodes, fold)),
        _limited("out", _("nodes out of service"), _out(facts.nodes, fold, facts.now)),
        Section("fleet", _("the fleet"), tuple(_fleet(totals, facts, data_old))),
    ]
    return HealthReport(
        fleet=facts.fleet,
        at=facts.now,
        since_at=facts.since_at,
        status=_status(totals, groups, data_old),
        changed=bool(changes),
        sections=tuple(s for s in sections if s.lines),
    )


def _status(totals: Totals, groups: Sequence[FindingGroup], data_old: bool) -> Health:
    """Blind is never green: without fresh data, or with nodes nobody hears, the fleet is not ok."""
    found = {g.severity for g in groups} | {Health(h) for h, n in totals.health.items() if n}
    if Health.CRIT in found:
        return Health.CRIT
    if data_old or Health.UNKNOWN in found:
        return Health.UNKNOWN
    return Health.WARN if Health.WARN in found else Health.OK


def _limited(name: str, title: str, lines: Sequence[Line]) -> Section:
    return Section(name, title, tuple(lines[:MAX_LINES]), max(len(lines) - MAX_LINES, 0))


def _count(n: int, nodes: Sequence[str], fold: Fold) -> str:
    where = fold(nodes) if nodes else _("the fleet")
    if len(where) > MAX_CHARS:
        where = f"{where[:MAX_CHARS]}~"
    return f"{where} ({n})" if n > 1 else where


def _finding_line(group: FindingGroup, fold: Fold, facts: Facts) -> Line:
    age = _("since {age}").format(age=show_age(group.since_at, facts.now)) if group.since_at is not None else ""
    example = _("e.g. {text}").format(text=group.sample) if group.findings > 1 else group.sample
    new = 0
    if facts.since_at is not None:
        same = (f for f in facts.open if (f.rule, f.severity) == (group.rule, group.severity))
        new = sum(_is_new(f, facts.since_at) for f in same)
    mark = f" {_('NEW')}" if new == group.findings else f" {_('{n} NEW').format(n=new)}" if new else ""
    return Line(
        f"{group.rule}: {_count(group.findings, group.nodes, fold)}{mark}: {example}{f', {age}' if age else ''}",
        group.severity,
        {
            "rule": group.rule,
            "nodes": fold(group.nodes),
            "node_count": len(group.nodes),
            "findings": group.findings,
            "new": new,
            "devices": group.devices,
            "text": group.sample,
            "since_at": iso_moment(group.since_at),
            "acked": group.acked,
        },
    )


def _changes(facts: Facts, fold: Fold) -> list[Line]:
    """What began and what ended after since_at; without an earlier report nothing can have changed."""
    since = facts.since_at
    if since is None:
        return []
    lines = []
    begun = [f for f in facts.open if _is_new(f, since)]
    if begun:
        rules = len({f.rule for f in begun})
        lines.append(
            Line(
                _("new findings: {n} by {rules} rules, marked below").format(n=len(begun), rules=rules),
                min((f.severity for f in begun), key=lambda severity: severity.rank),
                {"change": "begun", "findings": len(begun), "rules": rules},
            )
        )
    for g in fold_findings(f for f in facts.resolved if (f.resolved_at or 0.0) > since):
        lines.append(
            Line(
                _("over: {text}").format(text=f"{g.rule}: {_count(g.findings, g.nodes, fold)}: {g.sample}"),
                Health.OK,
                {"change": "ended", "rule": g.rule, "nodes": fold(g.nodes), "findings": g.findings, "text": g.sample},
            )
        )
    moved: dict[tuple[str, str], list[str]] = {}
    for node in facts.nodes:
        if facts.reach_since.get(node.name, 0.0) > since:
            moved.setdefault(("reach", node.reach.value), []).append(node.name)
        if node.since_at is not None and node.since_at > since:
            moved.setdefault(("admin", node.admin.value), []).append(node.name)
    for (axis, state), names in sorted(moved.items()):
        good = state in (Reach.FRESH.value, Admin.IN_SERVICE.value)
        lines.append(
            Line(
                _("now {state}: {nodes}").format(state=word(state), nodes=_count(len(names), names, fold)),
                Health.OK if good else Health.CRIT if state == Reach.UNREACHABLE.value else Health.WARN,
                {"change": axis, "state": state, "nodes": fold(names), "node_count": len(names)},
            )
        )
    return lines


def _is_new(finding: FindingRow, since: float) -> bool:
    return finding.state == "firing" and (finding.firing_at or finding.since_at or 0.0) > since


def _blind(nodes: Sequence[NodeRow], fold: Fold) -> list[Line]:
    lines = []
    for reach in (Reach.UNREACHABLE, Reach.HUNG, Reach.STALE, Reach.UNKNOWN):
        errors: dict[str, list[str]] = {}
        for node in nodes:
            if node.reach is reach:
                errors.setdefault((node.error or "").split(":")[0], []).append(node.name)
        for error, names in errors.items():
            why = f": {error}" if error else ""
            lines.append(
                Line(
                    f"{word(reach.value)}: {_count(len(names), names, fold)}{why}",
                    Health.WARN if reach in ANSWERING else Health.UNKNOWN,
                    {"reach": reach.value, "nodes": fold(names), "node_count": len(names), "error": error or None},
                )
            )
    return lines


def _out(nodes: Sequence[NodeRow], fold: Fold, now: float) -> list[Line]:
    """Out of service by state and reason; a drain past its deadline says so."""
    groups: dict[tuple[Admin, str, bool], list[str]] = {}
    for node in nodes:
        if node.admin is not Admin.IN_SERVICE:
            late = node.admin is Admin.DRAINING and node.deadline_at is not None and node.deadline_at < now
            groups.setdefault((node.admin, node.reason or "", late), []).append(node.name)
    lines = []
    for (admin, reason, late), names in groups.items():
        text = f"{word(admin.value)}: {_count(len(names), names, fold)}{f': {reason}' if reason else ''}"
        if late:
            text += f" ({_('past its deadline')})"
        data = {"admin": admin.value, "reason": reason or None, "nodes": fold(names), "node_count": len(names)}
        lines.append(Line(text, Health.WARN if late else None, {**data, "late": late}))
    return lines


def _fleet(totals: Totals, facts: Facts, data_old: bool) -> Iterable[Line]:
    axes: tuple[tuple[str, Any, Mapping[Any, int]], ...] = (
        ("reach", Reach, totals.reach),
        ("health", Health, totals.health),
        ("admin", Admin, totals.admin),
        ("load", Load, totals.load),
    )
    for name, states, counts in axes:
        shown = [f"{word(s.value)} {show_count(counts[s])}" for s in states if counts.get(s)]
        yield Line(f"{_(name)}: {', '.join(shown) or '-'}", None, {s.value: counts.get(s, 0) for s in states})
    ladder = {rung: getattr(totals.ladder, rung) for rung in RUNGS}
    cards = " >= ".join(f"{word(rung)} {show_count(n)}" for rung, n in ladder.items())
    yield Line(f"{_('cards')}: {cards}", None, {"cards": ladder})
    figures = [
        ("util_pct", _("util"), totals.util_pct, show_pct),
        ("temp_c", _("temp"), totals.temp_c, show_temp),
        ("power_w", _("power"), totals.power_w, show_watts),
    ]
    shown = [f"{title} {show(value) if value is not None else '-'}" for _n, title, value, show in figures]
    yield Line(", ".join(shown), None, {name: value for name, _t, value, _s in figures})
    age = "-" if totals.newest_at is None else show_age(totals.newest_at, facts.now)
    engine = "-" if facts.engine_at is None else show_age(facts.engine_at, facts.now)
    yield Line(
        _("data age {age}, last sign of the engine {engine}").format(age=age, engine=engine),
        Health.UNKNOWN if data_old else None,
        {"newest_at": iso_moment(totals.newest_at), "engine_at": iso_moment(facts.engine_at)},
    )


def headline(report: HealthReport) -> str:
    """The subject line: fleet, state, moment."""
    return f"{report.fleet}: {word(report.status.value)}, {show_moment(report.at)}"
