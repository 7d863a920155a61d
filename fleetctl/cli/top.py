"""`fleetctl top`: the busiest, hottest or hungriest cards."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format
from fleetctl.i18n import _

app = typer.Typer()


@app.command()
def top(
    metric: Annotated[str, typer.Argument(help="temp_c, util_pct, power_w ... or the start of a name")] = "temp_c",
    number: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="cards to print")] = 20,
    lowest: Annotated[bool, typer.Option("--lowest", help="the lowest instead of the highest")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """The cards with the highest value of one metric now."""
    from fleetctl.cli.listing import find_metric, snapshot
    from fleetctl.cli.output import print_table
    from fleetctl.views.ranking import load, table

    with snapshot() as conn:
        found = find_metric(conn, "card", metric)
        rows = load(conn, found, number, lowest=lowest)
    print_table(table(rows, found, _(found.name)), output)
