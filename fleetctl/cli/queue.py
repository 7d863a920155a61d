"""`fleetctl queue`: requests that wait, in the order they are served, and what each waits for."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_table

app = typer.Typer()


@app.command()
def queue(
    past: Annotated[bool, typer.Option("--all", "-a", help="answered ones too")] = False,
    fragments: Annotated[
        bool, typer.Option("--fragments", help="free cards by chip that no request here can use")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Requests that wait, in the order they are served, and what each waits for."""
    from fleetctl.views.leases import request_table
    from fleetctl.views.queue import load_line

    if fragments:
        from fleetctl.views.queue import load_fragments

        with context.database() as db, db.read() as conn:
            chips = acting.chips()
            print_table(load_fragments(conn, context.inventory(), context.config(), context.now(), chips), output)
        return
    with context.database() as db, db.read() as conn:
        print_table(request_table(load_line(conn, context.config(), context.now(), past=past)), output)
