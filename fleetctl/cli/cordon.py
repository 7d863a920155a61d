"""`fleetctl cordon`: take no new work; what runs goes on."""

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
def cordon(
    nodes: acting.TargetsArgument,
    reason: acting.ReasonOption = "",
    ticket: acting.TicketOption = "",
    back: Annotated[str, typer.Option("--back", help="when it is expected back: 2d or a time")] = "",
    cards: acting.CardsOption = "",
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    dry_run: acting.DryRunOption = False,
    count: acting.CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Take no new work; what runs goes on. A reason is required."""
    from fleetctl.operations import plan_cordon

    now = context.now()
    make_plan = partial(
        plan_cordon,
        reason=reason,
        ticket=ticket,
        expected_return_at=moment(back, now) if back else None,
        cards=acting.card_list(cards),
    )
    acting.plan_and_carry_out(make_plan, nodes, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)
