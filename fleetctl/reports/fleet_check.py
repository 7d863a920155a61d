"""What `fleetctl check` measures, with which thresholds, and the gauges it leaves for Prometheus."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fleetctl.config.schema import Config
from fleetctl.errors import UsageError
from fleetctl.i18n import _
from fleetctl.inventory.inventory import Inventory
from fleetctl.inventory.nodesets import fold
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.reports.monitoring import CheckResult, Gauge, Measure, Range, parse_range
from fleetctl.store.engine_row import engine_row
from fleetctl.views import findings, nodes
from fleetctl.views.findings import FindingGroup, fold_findings
from fleetctl.views.nodes import NodeRow
from fleetctl.views.totals import RUNGS, Totals, total

DETAILS = 20  # lines below the first

# Any node that is silent or has a warning is a warning, any critical finding critical; data two and a half rounds old
# is a warning, ten rounds old critical. A large fleet sets its own.
DEFAULTS = {"unreachable": ("0", ""), "unknown": ("0", ""), "crit": ("", "0"), "warn": ("0", "")}
FIGURES = ("unreachable", "unknown", "crit", "warn", "out", "free", "temp", "age")
Limits = Mapping[str, tuple[Range | None, Range | None]]


@dataclass(frozen=True, slots=True)
class CheckInput:
    """groups: open findings on the chosen nodes, folded; beat_at: last sign of the engine; stale_s: age that is old."""

    now: float
    rows: list[NodeRow]
    totals: Totals
    groups: list[FindingGroup]
    beat_at: float | None
    stale_s: float


def read_limits(warning: Iterable[str], critical: Iterable[str]) -> dict[str, tuple[Range | None, Range | None]]:
    """Thresholds by figure: the defaults, overridden by NAME=RANGE. An empty range takes a default away.

    Raises UsageError for an unknown figure or a range that is none.
    """
    texts = {name: list(DEFAULTS.get(name, ("", ""))) for name in FIGURES}
    for place, given in ((0, warning), (1, critical)):
        for word in given:
            name, equals, text = word.partition("=")
            if name not in texts or not equals:
                raise UsageError(
                    _("{word} is not NAME=RANGE").format(word=repr(word)),
                    hint=_("names: {names}").format(names=", ".join(FIGURES)),
                )
            texts[name][place] = text
    return {name: (_range(low), _range(high)) for name, (low, high) in texts.items()}


def _range(text: str) -> Range | None:
    return parse_range(text) if text else None


def load(
    conn: sqlite3.Connection, inventory: Inventory, config: Config, now: float, names: Collection[str] | None
) -> CheckInput:
    """One snapshot of the chosen nodes; None means all."""
    rows = [r for r in nodes.load(conn, inventory, now, config=config) if names is None or r.name in names]
    firing = [f for f in findings.load(conn, inventory) if names is None or f.node in names]
    engine = engine_row(conn)
    return CheckInput(
        now=now,
        rows=rows,
        totals=total(rows),
        groups=fold_findings(firing),
        beat_at=engine.beat_at if engine else None,
        stale_s=config.poll.interval_s * config.poll.stale_after,
    )


def judge(data: CheckInput, limits: Limits) -> CheckResult:
    """The result of one check. Old data is a warning by itself and critical at four times that age."""
    t, count = data.totals, data.totals.nodes
    age = None if t.newest_at is None else max(data.now - t.newest_at, 0.0)
    blind = sum(r.health is Health.UNKNOWN and r.reach is not Reach.UNREACHABLE for r in data.rows)
    values: dict[str, tuple[float | None, str, float | None]] = {
        "unreachable": (t.reach.get(Reach.UNREACHABLE, 0), "", count),
        "unknown": (blind, "", count),
        "crit": (t.health.get(Health.CRIT, 0), "", count),
        "warn": (t.health.get(Health.WARN, 0), "", count),
        "out": (t.out_of_service, "", count),
        "free": (t.ladder.free, "", t.ladder.nominal),
        "temp": (t.temp_c, "", None),
        "age": (age, "s", None),
    }
    old = (parse_range(f"{data.stale_s:g}"), parse_range(f"{data.stale_s * 4:g}"))
    measures = []
    for name, (value, unit, most) in values.items():
        warn, crit = limits.get(name, (None, None))
        if name == "age" and warn is None and crit is None:
            warn, crit = old
        measures.append(Measure(name, value, unit, warn, crit, 0 if most is not None else None, most))
    answering = t.answering
    text = f"{answering} of {count} nodes answer, {t.health.get(Health.CRIT, 0)} critical, "
    text += f"{t.health.get(Health.WARN, 0)} warning, {t.ladder.free} of {t.ladder.nominal} cards free"
    return CheckResult(text, tuple(measures), tuple(_details(data)))


def _details(data: CheckInput) -> list[str]:
    lines = [
        f"{g.severity.value}: {g.rule}: {fold(g.nodes) or 'fleet'} ({g.findings}): {g.sample}" for g in data.groups
    ]
    for reach in (Reach.UNREACHABLE, Reach.HUNG, Reach.STALE):
        names = [r.name for r in data.rows if r.reach is reach]
        if names:
            lines.append(f"{reach.value}: {fold(names)} ({len(names)})")
    left = len(lines) - DETAILS
    return lines[:DETAILS] + ([f"... and {left} more"] if left > 0 else [])


def gauges(data: CheckInput) -> list[Gauge]:
    """Counts per site and state, cards per rung, heat, power, ages; last success is the moment of this look."""
    by_site: dict[str, list[NodeRow]] = {}
    for row in data.rows:
        by_site.setdefault(row.site, []).append(row)
    totals = {site: total(rows) for site, rows in by_site.items()}

    def axis(name: str, states: Iterable[Reach | Health | Admin | Load]) -> Gauge:
        listed = list(states)
        samples = tuple(
            ({"site": site, name: state.value}, float(getattr(t, name).get(state, 0)))
            for site, t in totals.items()
            for state in listed
        )
        return Gauge(f"fleetctl_nodes_by_{name}", f"nodes by {name}", samples)

    def figure(name: str, doc: str, values: Mapping[str, float | None]) -> Gauge:
        return Gauge(name, doc, tuple(({"site": site}, value) for site, value in values.items()))

    cards = tuple(
        ({"site": site, "rung": rung}, float(getattr(t.ladder, rung))) for site, t in totals.items() for rung in RUNGS
    )
    open_findings = tuple(({"rule": g.rule, "severity": g.severity.value}, float(g.findings)) for g in data.groups)
    newest = data.totals.newest_at
    return [
        axis("reach", Reach),
        axis("health", Health),
        axis("admin", Admin),
        axis("load", Load),
        Gauge("fleetctl_cards", "cards on each rung of the capacity ladder", cards),
        figure("fleetctl_cards_leased", "cards held by leases", {s: t.cards_leased for s, t in totals.items()}),
        figure(
            "fleetctl_card_utilisation_ratio",
            "mean utilisation of cards",
            {s: None if t.util_pct is None else t.util_pct / 100 for s, t in totals.items()},
        ),
        figure("fleetctl_card_temperature_celsius_max", "hottest card", {s: t.temp_c for s, t in totals.items()}),
        figure("fleetctl_power_watts", "draw of the metered nodes", {s: t.power_w for s, t in totals.items()}),
        Gauge("fleetctl_open_findings", "open findings by rule", open_findings),
        Gauge(
            "fleetctl_data_age_seconds",
            "age of the newest answer of any node",
            (({}, None if newest is None else data.now - newest),),
        ),
        Gauge("fleetctl_engine_last_beat_timestamp_seconds", "last sign of the engine", (({}, data.beat_at),)),
        Gauge("fleetctl_check_last_success_timestamp_seconds", "last time this file was written", (({}, data.now),)),
    ]
