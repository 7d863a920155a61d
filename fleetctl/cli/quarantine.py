"""`fleetctl quarantine`: isolate nodes that are not to be trusted."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from fleetctl.cli import acting
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

    make_plan = partial(
        plan_quarantine,
        reason=reason,
        evidence=evidence,
        ticket=ticket,
        cards=acting.card_list(cards),
    )
    acting.plan_and_carry_out(make_plan, nodes, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)
