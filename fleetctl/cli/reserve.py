"""`fleetctl reserve`: hold nodes for a tenant for a time to come; the calendar of windows."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_data, print_table
from fleetctl.views.moments import moment

app = typer.Typer(invoke_without_command=True)


@app.callback()
def reserve(
    ctx: typer.Context,
    past: Annotated[bool, typer.Option("--all", "-a", help="past and cancelled ones too")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """The calendar: reservations and maintenance windows."""
    if ctx.invoked_subcommand is not None:
        return
    from fleetctl.views.queue import load_reservations

    with context.database() as db, db.read() as conn:
        print_table(load_reservations(conn, past=past), output)


@app.command()
def add(
    nodes: acting.TargetsArgument,
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="for whom")],
    begin: Annotated[str, typer.Option("--from", help="when it begins: 2h or a time; default: now")] = "",
    length: Annotated[str, typer.Option("--for", help="how long: 8h")] = "",
    until: Annotated[str, typer.Option("--until", help="when it ends")] = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="what for")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Hold nodes for a tenant. `alloc --reservation ID` then uses them."""
    from dataclasses import asdict

    from fleetctl.errors import UsageError
    from fleetctl.operations import reserve as hold

    now = context.now()
    if bool(length) == bool(until):
        raise UsageError("when does it end?", hint="--for 8h or --until a time")
    start = moment(begin, now) if begin else now
    end = moment(until, now) if until else moment(length, start)
    names = ",".join(acting.targets(nodes))
    with context.database(write=True) as db:
        held = hold(
            db,
            context.inventory(),
            names,
            tenant,
            who=acting.who(),
            now=now,
            start_at=start,
            end_at=end,
            reason=reason,
        )
    if output in (Format.JSON, Format.YAML):
        print_data(asdict(held), output)
    else:
        print(held.id)


@app.command()
def cancel(reservation: Annotated[str, typer.Argument(help="its id")]) -> None:
    """Give a reservation back."""
    from fleetctl.operations import unreserve

    with context.database(write=True) as db:
        unreserve(db, reservation, acting.who(), now=context.now())
    print(reservation)
