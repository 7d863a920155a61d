"""`fleetctl cooling`: supply, return, flow, heat and leaks of every zone."""

from __future__ import annotations

import typer

from fleetctl.cli.options import FilterOption, LimitOption, OutputOption, SortOption
from fleetctl.cli.output import Format

app = typer.Typer(help="supply, return, flow and leaks")


@app.command()
def cooling(
    output: OutputOption = Format.TABLE, filter_text: FilterOption = "", sort: SortOption = "", limit: LimitOption = 0
) -> None:
    """One row per cooler of a zone; exits 1 when one of them leaks."""
    from fleetctl.cli import context
    from fleetctl.cli.listing import print_rows, snapshot
    from fleetctl.views.cooling import table
    from fleetctl.views.facility import load_picture

    with snapshot() as conn:
        picture = load_picture(conn, context.config(), context.inventory(), context.now())
    print_rows(table(picture.zones.values()), output=output, filter_text=filter_text, sort=sort, limit=limit)
    if any(loop.is_leaking for zone in picture.zones.values() for loop in zone.loops):
        raise typer.Exit(1)
