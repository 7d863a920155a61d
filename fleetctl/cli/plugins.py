"""`fleetctl plugins`: what is installed, what each brings, and what is broken."""

from __future__ import annotations

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format

app = typer.Typer()


@app.command()
def plugins(output: OutputOption = Format.TABLE) -> int:
    """Installed plugins with what they bring. Exits 1 when one is broken."""
    from fleetctl.cli.output import print_table
    from fleetctl.views.plugins import load, table

    rows = load()
    print_table(table(rows), output)
    return int(any(row.error for row in rows))
