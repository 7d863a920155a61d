"""`fleetctl jobs`: jobs of schedulers beside ours, who runs where and what it burns; cancel and submit there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_table, say
from fleetctl.i18n import _
from fleetctl.views.moments import moment

app = typer.Typer(invoke_without_command=True)


@app.callback()
def jobs(
    ctx: typer.Context,
    node: Annotated[str, typer.Option("--node", help="only those that run on this node")] = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="only those that wait")] = False,
    filter_text: Annotated[str, typer.Option("--filter", "-f", help="user=anna cards>8")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Jobs of schedulers beside ours: where they run, for how long, what their nodes draw."""
    if ctx.invoked_subcommand is not None:
        return
    from fleetctl.cli.listing import one_host, print_rows, snapshot
    from fleetctl.views.jobs import load, table

    host = one_host(node).name if node else None
    with snapshot() as conn:
        rows = load(conn, context.inventory(), context.now(), node=host, running=False if waiting else None)
    print_rows(table(rows), output=output, filter_text=filter_text)


@app.command()
def schedulers(output: OutputOption = Format.TABLE) -> None:
    """The schedulers of fleet.toml: version, nodes, age of the last answer, and what is in the way."""
    from fleetctl.cli.listing import snapshot
    from fleetctl.views.jobs import endpoint_table

    with snapshot() as conn:
        print_table(endpoint_table(conn), output)


@app.command()
def cancel(
    job: Annotated[str, typer.Argument(help="id, or scheduler/id")],
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
) -> None:
    """Ask its scheduler to end a job, or to withdraw one that waits."""
    from fleetctl.errors import FleetctlError
    from fleetctl.operations.orders import cancel_job, find_job

    with context.database(write=True) as db:
        found = find_job(db, job)
        say(f"{found.backend} {found.id} {found.user} {found.state} {found.name}")
        if not acting.ask(_("go on?"), yes=yes, no_input=no_input):
            raise FleetctlError("nothing was changed")
        print(cancel_job(db, found, acting.who(), now=context.now()).id)
    acting.warn_without_engine()


@app.command()
def submit(
    script: Annotated[str, typer.Argument(help="batch script; - is stdin")],
    scheduler: Annotated[str, typer.Option("--on", help="scheduler, as `fleetctl jobs schedulers` names it")],
    partition: Annotated[str, typer.Option("--partition", "-p", help="where it is sent")] = "",
    nodes: Annotated[int, typer.Option("--nodes", "-N", help="nodes")] = 1,
    cards: Annotated[float, typer.Option("--cards", help="cards per node; below 1: that part of one card")] = 0,
    length: Annotated[str, typer.Option("--for", help="how long at most: 8h")] = "1h",
    name: Annotated[str, typer.Option("--name", help="name of the job")] = "fleetctl",
    cls: Annotated[
        str, typer.Option("--class", help="urgent, normal or spot, as fleet.toml says what it is there")
    ] = "normal",
    latency: Annotated[str, typer.Option("--latency", help="realtime, interactive or batch")] = "batch",
) -> None:
    """Queue a batch script with another scheduler; prints the id of the order."""
    from fleetctl.errors import UsageError
    from fleetctl.model.lease import WHOLE, Latency
    from fleetctl.operations.orders import submit_job
    from fleetctl.scheduler.queue import CLASS_ORDER

    part = 0 < cards < 1
    if cards < 0 or (not part and cards != int(cards)):
        raise UsageError(f"--cards {cards:g}: whole cards, or a part of one", hint="--cards 4, --cards 0.25")
    if cls not in CLASS_ORDER:
        raise UsageError(f"no class {cls!r}", hint=f"one of {', '.join(CLASS_ORDER)}")
    if latency not in list(Latency):
        raise UsageError(f"no latency class {latency!r}", hint=f"one of {', '.join(Latency)}")
    text = sys.stdin.read() if script == "-" else Path(script).read_text()
    now = context.now()
    with context.database(write=True) as db:
        order = submit_job(
            db,
            context.config(),
            scheduler,
            text,
            acting.who(),
            now=now,
            name=name,
            partition=partition,
            nodes=nodes,
            cards=1 if part else int(cards),
            milli=max(1, round(cards * WHOLE)) if part else WHOLE,
            cls=cls,
            latency=latency,
            duration_s=int(moment(length, now) - now),
        )
    print(order.id)
    acting.warn_without_engine()


@app.command()
def orders(output: OutputOption = Format.TABLE) -> None:
    """What was asked of schedulers beside ours, and what they answered; newest last."""
    from fleetctl.cli.listing import snapshot
    from fleetctl.views.jobs import order_table

    with snapshot() as conn:
        print_table(order_table(conn), output)
