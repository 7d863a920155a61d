"""`fleetctl maint`: a window in which people work on nodes."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format
from fleetctl.views.moments import moment

app = typer.Typer()


@app.command()
def maint(
    nodes: acting.TargetsArgument,
    reason: acting.ReasonOption = "",
    begin: Annotated[str, typer.Option("--from", help="when the window begins; default: now")] = "",
    length: Annotated[str, typer.Option("--for", help="how long it lasts: 4h")] = "",
    until: Annotated[str, typer.Option("--until", help="when it ends")] = "",
    end_now: Annotated[bool, typer.Option("--now", help="end running work when the window begins")] = False,
    deadline: Annotated[str, typer.Option("--deadline", help="end what still runs then")] = "",
    ticket: acting.TicketOption = "",
    keep_processes: acting.KeepProcessesOption = False,
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    dry_run: acting.DryRunOption = False,
    count: acting.CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Plan a window: nodes drain when it begins; no lease is placed that would run into it. A reason is required."""
    from fleetctl.errors import UsageError
    from fleetctl.model.admin import DrainMode
    from fleetctl.operations import plan_maint

    if sum(map(bool, (end_now, deadline))) > 1 or (length and until):
        raise UsageError("--now and --deadline, --for and --until exclude each other")
    now = context.now()
    start = moment(begin, now) if begin else None
    end = moment(until, now) if until else moment(length, start or now) if length else None
    mode = DrainMode.NOW if end_now else DrainMode.DEADLINE if deadline else DrainMode.WAIT
    make_plan = partial(
        plan_maint,
        reason=reason,
        start_at=start,
        end_at=end,
        mode=mode,
        deadline_at=moment(deadline, start or now) if deadline else None,
        ticket=ticket,
        keep_processes=keep_processes,
    )
    acting.plan_and_carry_out(make_plan, nodes, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)
