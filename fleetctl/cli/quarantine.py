"""`fleetctl quarantine`: isolate nodes that are not to be trusted."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format

app = typer.Typer()


@app.command()
def quarantine(
    nodes: acting.TargetsArgument,
    reason: acting.ReasonOption = "",
    ticket: acting.TicketOption = "",
    evidence: Annotated[str, typer.Option("--evidence", help="what it rests on: a finding, a log line")] = "",
    cards: acting.CardsOption = "",
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    dry_run: acting.DryRunOption = False,
    count: acting.CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Isolate nodes: no new work until their checks pass. A reason is required."""
    from fleetctl.operations import plan_quarantine

    names, now = acting.targets(nodes), context.now()
    with context.database(write=True) as db:
        plan = plan_quarantine(
            db,
            context.inventory(),
            names,
            reason,
            who=acting.who(),
            now=now,
            config=context.config(),
            evidence=evidence,
            ticket=ticket,
            cards=acting.card_list(cards),
        )
        acting.carry_out(db, plan, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)
