"""`fleetctl queue`: requests that wait, in the order they are served, and what each waits for."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_table

app = typer.Typer()


@app.command()
def queue(
    past: Annotated[bool, typer.Option("--all", "-a", help="answered ones too")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Requests that wait, in the order they are served, and what each waits for."""
    from fleetctl.views.leases import request_table
    from fleetctl.views.queue import load_line

    with context.database() as db, db.read() as conn:
        print_table(request_table(load_line(conn, context.config(), context.now(), past=past)), output)
