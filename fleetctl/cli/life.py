"""`fleetctl life`: the rest of a node's life, from staging to retirement."""

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
def life(
    verb: Annotated[str, typer.Argument(help="stage, burn_in, accept, verify, rma or retire")],
    nodes: acting.TargetsArgument,
    reason: acting.ReasonOption = "",
    ticket: acting.TicketOption = "",
    back: Annotated[str, typer.Option("--back", help="when it is expected back: 10d or a time")] = "",
    evidence: Annotated[str, typer.Option("--evidence", help="what it rests on")] = "",
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    dry_run: acting.DryRunOption = False,
    count: acting.CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Move nodes along: staged, burn-in, in service, verify, away for repair, retired."""
    from fleetctl.errors import UsageError
    from fleetctl.operations import plan_life

    verbs = ("stage", "burn_in", "accept", "verify", "rma", "retire")
    verb = verb.replace("-", "_")
    if verb not in verbs:
        raise UsageError(f"no step {verb!r}", hint=f"one of {', '.join(verbs)}; drain, maint, resume have their own")
    now = context.now()
    make_plan = partial(
        plan_life,
        verb=verb,
        reason=reason,
        ticket=ticket,
        expected_return_at=moment(back, now) if back else None,
        evidence=evidence,
    )
    acting.plan_and_carry_out(make_plan, nodes, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)
