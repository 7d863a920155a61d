"""`fleetctl energy`: PUE and its family over a window, with category, coverage and label."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format

app = typer.Typer(help="PUE, WUE and energy over time", no_args_is_help=True)

_Days = Annotated[float, typer.Option("--days", help="length of the window that ends now", min=0.01, max=800)]
_By = Annotated[str, typer.Option("--by", help="site or hall")]


@app.command()
def pue(output: OutputOption = Format.TABLE, days: _Days = 1.0, by: _By = "site") -> None:
    """Energy of the facility over energy of IT, sums divided once; a silent meter makes no ratio. CUE beside it."""
    _print(output, days, by)


@app.command()
def wue(output: OutputOption = Format.TABLE, days: _Days = 1.0, by: _By = "site") -> None:
    """Litres of water per kWh of IT, where water is metered; and the renewable share."""
    _print(output, days, by, water=True)


def _print(output: Format, days: float, by: str, *, water: bool = False) -> None:
    from fleetctl.cli import context
    from fleetctl.cli.listing import snapshot
    from fleetctl.cli.output import print_table, say
    from fleetctl.errors import NotFoundError, UsageError
    from fleetctl.reports.carbon import carbon_of
    from fleetctl.reports.energy import load
    from fleetctl.views.column import Column, Table

    if by not in ("site", "hall"):
        raise UsageError(f"no energy by {by!r}", hint="site or hall")
    if not context.config().facility.meters:
        raise NotFoundError("fleet.toml declares no meters", hint="[[facility.meters]] names them and their places")
    until = context.now()
    with snapshot() as conn:
        rows = load(conn, context.config(), until - days * 86_400, until, by=by)
    columns: list[Column[Any]] = [
        Column("scope", by, lambda r: r.scope, width=12, doc="site, hall or fleet"),
        Column(
            "facility", "facility", lambda r: r.facility_kwh, _kwh, 12, right=True, doc="energy at the boundary, kWh"
        ),
        Column("it_kwh", "IT", lambda r: r.it_kwh, _kwh, 12, right=True, doc="energy of IT, kWh"),
    ]
    if water:
        columns += [
            Column("water_l", "water", lambda r: r.water_l, lambda v: f"{v:.0f} L", 10, right=True, doc="water, L"),
            Column("wue", "WUE", lambda r: r.wue, lambda v: f"{v:.2f}", 6, right=True, doc="L per kWh of IT"),
            Column("ref", "REF", lambda r: r.ref, lambda v: f"{v:.3f}", 6, right=True, doc="renewable share"),
        ]
    else:
        carbon = {r.scope: carbon_of(r, context.config()) for r in rows}
        columns += [
            Column("pue", "PUE", lambda r: r.pue, lambda v: f"{v:.3f}", 7, right=True, doc="facility / IT"),
            Column(
                "cue",
                "CUE",
                lambda r: carbon[r.scope].cue,
                lambda v: f"{v:.4f}",
                7,
                right=True,
                doc="kg CO2 per kWh of IT, location-based",
            ),
            Column(
                "grid", "grid factor", lambda r: carbon[r.scope].basis, width=16, doc="kg CO2 per kWh, grid and year"
            ),
        ]
    columns += [
        Column("category", "category", lambda r: r.category or None, width=8, doc="PUE1 UPS, PUE2 PDU, PUE3 IT input"),
        Column("level", "IT metered at", lambda r: r.it_level or None, width=12, doc="the one level that was taken"),
        Column(
            "coverage", "coverage", lambda r: r.coverage, lambda v: f"{v * 100:.1f} %", 8, right=True, doc="measured"
        ),
        Column("flag", "flag", lambda r: r.flag, width=11, doc="incomplete, implausible, partial, reset"),
        Column("label", "claim", lambda r: r.label, width=34, doc="annual needs twelve months"),
    ]
    print_table(Table("energy", columns, rows, lambda r: r.scope), output)
    if any(r.flag in ("incomplete", "implausible") for r in rows):
        say("a figure is missing or cannot be: `fleetctl facility list` shows which meter is silent")
        raise typer.Exit(1)


def _kwh(value: float) -> str:
    return f"{value:,.1f} kWh"
