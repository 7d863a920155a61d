"""`fleetctl release`: give leases back, or withdraw requests."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.output import print_text, say

app = typer.Typer()


@app.command()
def release(
    names: Annotated[
        list[str], typer.Argument(metavar="IDS...", help="leases or requests; the start of an id will do")
    ],
    why: Annotated[str, typer.Option("--why", help="kept with the lease")] = "given back",
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    dry_run: acting.DryRunOption = False,
) -> None:
    """Give leases back early, or withdraw requests that still wait. Prints the ids."""
    from fleetctl.errors import FleetctlError
    from fleetctl.operations import release as give_back
    from fleetctl.operations.allocate import resolve
    from fleetctl.views.quotes import lease_line

    failed: list[str] = []
    with context.database(write=True) as db:
        found = [resolve(db, name) for name in names]
        for name, lease in found:
            say(lease_line(lease) if lease else f"{name}: a request that waits")
        if dry_run:
            return
        if not acting.ask("release them?", yes=yes, no_input=no_input):
            raise FleetctlError("nothing was changed")
        for name, _lease in found:
            try:
                print_text(give_back(db, name, acting.who(), now=context.now(), config=context.config(), why=why))
            except FleetctlError as error:
                say(f"{name}: {error}")
                failed.append(name)
    if failed:
        raise FleetctlError(f"{len(failed)} of {len(names)} were not released: {', '.join(failed)}")
