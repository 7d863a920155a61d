"""`fleetctl status`: the whole fleet at a glance."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format
from fleetctl.i18n import _, word

if TYPE_CHECKING:
    from fleetctl.views.overview import Overview

SLOW = ("util_pct", "temp_c", "power_w", "power_nodes")
WORST = 5  # nodes and rules named; `nodes` and `findings` print all

app = typer.Typer()


@app.command()
def status(output: OutputOption = Format.TABLE) -> None:
    """The whole fleet at a glance: the four axes, the capacity ladder, sites, and what is worst.

    csv and name print the sites; json and yaml everything.
    """
    from fleetctl.cli import context
    from fleetctl.cli.listing import snapshot, warn_if_old
    from fleetctl.cli.output import print_data, print_table
    from fleetctl.views.overview import load
    from fleetctl.views.sites import SITE_COLUMNS, table

    with snapshot() as conn:
        view = load(conn, context.inventory(), context.config(), context.now())
    if output in (Format.JSON, Format.YAML):
        print_data(overview_data(view), output)
        return
    # Figures per site would cost reading every card; `fleetctl sites` does that.
    columns = [c for c in SITE_COLUMNS if c.name not in SLOW]
    sites = table("site", columns, view.sites)
    if output in (Format.CSV, Format.NAME):
        print_table(sites, output)
        return
    print("\n".join(_lines(view)))
    if len(view.sites) > 1:
        print()
        print_table(sites, output)
    _print_worst(view)
    warn_if_old(view.totals.newest_at)


def _lines(view: Overview) -> Iterable[str]:
    from fleetctl.cli.output import clean, pad
    from fleetctl.views.totals import RUNGS
    from fleetctl.views.units import show_age, show_count, show_pct, show_temp, show_watts

    totals, now = view.totals, view.now
    data = show_age(totals.newest_at, now) if totals.newest_at is not None else "-"
    engine = show_age(view.engine.beat_at, now) if view.engine else "-"
    nodes = _("{n} nodes").format(n=show_count(totals.nodes))
    age = _("data {age} old").format(age=data)
    beat = _("engine {age} ago").format(age=engine)
    rows = [(_("fleet"), f"{clean(view.fleet)}, {nodes}, {age}, {beat}")]
    axes: tuple[tuple[str, Mapping[Any, int]], ...] = (
        ("reach", totals.reach),
        ("health", totals.health),
        ("admin", totals.admin),
        ("load", totals.load),
    )
    for name, counts in axes:
        known = [(state, counts[state]) for state in _order(name) if counts.get(state)]
        rows.append((_(name), ", ".join(f"{word(state.value)} {show_count(n)}" for state, n in known) or "-"))
    ladder = [f"{word(rung)} {show_count(getattr(totals.ladder, rung))}" for rung in RUNGS]
    rows += [(_("cards"), " >= ".join(ladder[:3]) + " >="), ("", " >= ".join(ladder[3:]))]
    figures = [
        (_("util"), totals.util_pct, show_pct),
        (_("hottest"), totals.temp_c, show_temp),
        (_("card power"), totals.power_w, show_watts),
    ]
    shown = [f"{title} {show(value) if value is not None else '-'}" for title, value, show in figures]
    rows.append((_("now"), ", ".join(shown)))
    return [f"{pad(title, 8)}{text}" for title, text in rows]


def _order(axis: str) -> Iterable[Any]:
    from fleetctl.model.states import Admin, Health, Load, Reach

    return {"reach": Reach, "health": Health, "admin": Admin, "load": Load}[axis]


def _print_worst(view: Overview) -> None:
    """The largest groups of findings and the nodes that deserve the first look."""
    from fleetctl.cli.output import LONGEST, clean, cut, fold, paint, terminal_width, use_colour

    width = terminal_width(sys.stdout) or LONGEST
    lines = []
    for group in view.groups[:WORST]:
        where = fold(group.nodes) if group.nodes else view.fleet
        text = f"{word(group.severity.value)}  {group.rule}: {where} ({group.findings}): {group.sample}"
        lines.append((group.severity.value, clean(text)))
    blind = [n.name for n in view.nodes if n.reach.value in ("unreachable", "hung", "stale")]
    if blind:
        lines.append(("unknown", f"{_('silent')}  {fold(blind)} ({len(blind)})"))
    if lines:
        print()
    for state, text in lines:
        shown = cut(text, width)
        print(paint(shown, state) if use_colour(sys.stdout) else shown)
    if len(view.groups) > WORST:
        print(_("... and {n} more rules; `fleetctl findings` prints all").format(n=len(view.groups) - WORST))


def overview_data(view: Overview) -> dict[str, Any]:
    """The same for programs. Keys are never translated, states stay keys."""
    from fleetctl.cli.output import fold, records
    from fleetctl.model.states import Admin, Health, Load, Reach
    from fleetctl.views.sites import SITE_COLUMNS, table
    from fleetctl.views.totals import RUNGS
    from fleetctl.views.units import iso_moment

    totals = view.totals
    return {
        "fleet": view.fleet,
        "at": iso_moment(view.now),
        "data_at": iso_moment(totals.newest_at),
        "stale": view.stale,
        "engine_beat_at": iso_moment(view.engine.beat_at) if view.engine else None,
        "nodes": totals.nodes,
        "reach": {s.value: totals.reach.get(s, 0) for s in Reach},
        "health": {s.value: totals.health.get(s, 0) for s in Health},
        "admin": {s.value: totals.admin.get(s, 0) for s in Admin},
        "load": {s.value: totals.load.get(s, 0) for s in Load},
        "cards": {rung: getattr(totals.ladder, rung) for rung in RUNGS},
        "cards_leased": totals.cards_leased,
        "util_pct": totals.util_pct,
        "temp_c": totals.temp_c,
        "card_power_w": totals.power_w,
        "sites": records(table("site", [c for c in SITE_COLUMNS if c.name not in SLOW], view.sites)),
        "findings": [
            {
                "rule": g.rule,
                "severity": g.severity.value,
                "findings": g.findings,
                "nodes": fold(g.nodes),
                "text": g.sample,
                "since_at": iso_moment(g.since_at),
            }
            for g in view.groups
        ],
    }
