"""`fleetctl drain`: take no new work and let running work end."""

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
def drain(
    nodes: acting.TargetsArgument,
    reason: acting.ReasonOption = "",
    end_now: Annotated[bool, typer.Option("--now", help="end running work at once")] = False,
    deadline: Annotated[str, typer.Option("--deadline", help="end what still runs then: 2h or a time")] = "",
    begin: Annotated[str, typer.Option("--from", help="begin later: 2h or a time")] = "",
    back: Annotated[str, typer.Option("--back", help="when it is expected back: 2d or a time")] = "",
    ticket: acting.TicketOption = "",
    cards: acting.CardsOption = "",
    keep_processes: acting.KeepProcessesOption = False,
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    dry_run: acting.DryRunOption = False,
    count: acting.CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Take no new work and wait until running work has ended by itself. A reason is required.

    Waits, as in Slurm; it does not evict, as Kubernetes does. --deadline ends what still runs then, --now at once:
    leases, and processes that hold cards without one (TERM, then KILL).
    """
    from fleetctl.errors import UsageError
    from fleetctl.model.admin import DrainMode
    from fleetctl.operations import plan_drain

    if end_now and deadline:
        raise UsageError("--now and --deadline exclude each other")
    mode = DrainMode.NOW if end_now else DrainMode.DEADLINE if deadline else DrainMode.WAIT
    now = context.now()
    make_plan = partial(
        plan_drain,
        reason=reason,
        mode=mode,
        deadline_at=moment(deadline, now) if deadline else None,
        start_at=moment(begin, now) if begin else None,
        expected_return_at=moment(back, now) if back else None,
        ticket=ticket,
        keep_processes=keep_processes,
        cards=acting.card_list(cards),
    )
    acting.plan_and_carry_out(make_plan, nodes, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)
