"""`fleetctl poll`: one round now; or, where an engine polls already, how fresh its data is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetctl.cli import context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_table
from fleetctl.errors import ConflictError
from fleetctl.i18n import _

app = typer.Typer()


@app.command()
def poll(
    output: OutputOption = Format.TABLE,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print nothing when all went well")] = False,
) -> None:
    """Ask every host once and store what it says. Exit 1 when hosts did not answer, 0 where an engine polls already."""
    from fleetctl.engine import loop
    from fleetctl.engine.lock import is_running
    from fleetctl.engine.once import poll_once
    from fleetctl.views.engine import load_engine_table

    config = context.config()
    failed = 0
    if is_running(Path(config.store.path)):
        print(_("an engine polls already; this is how fresh its data is"), file=sys.stderr)
    else:
        try:
            _answered, failed = loop.run(poll_once(config))
        except ConflictError:
            print(_("an engine polls already; this is how fresh its data is"), file=sys.stderr)
    if not quiet or failed:
        with context.database() as db, db.read() as conn:
            print_table(load_engine_table(conn, is_running(Path(config.store.path))), output)
    if failed:
        raise typer.Exit(1)
