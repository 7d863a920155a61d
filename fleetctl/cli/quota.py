"""`fleetctl quota`: what tenants hold, may hold and are owed."""

from __future__ import annotations

import typer

from fleetctl.cli import context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_table

app = typer.Typer()


@app.command()
def quota(output: OutputOption = Format.TABLE) -> None:
    """What each tenant holds, may hold, used and is owed. Quotas and shares stand in fleet.toml, [[tenants]]."""
    from fleetctl.views.queue import load_quotas

    with context.database() as db, db.read() as conn:
        print_table(load_quotas(conn, context.config(), context.now()), output)
