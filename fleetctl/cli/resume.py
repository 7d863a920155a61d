"""`fleetctl resume` (undrain, uncordon): bring nodes back into service."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from fleetctl.cli import acting
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format

app = typer.Typer()


@app.command()
def resume(
    nodes: acting.TargetsArgument,
    reason: acting.ReasonOption = "",
    cards: acting.CardsOption = "",
    take_over: Annotated[
        bool, typer.Option("--take-over", help="also undo what an outside scheduler or its user has drained")
    ] = False,
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    dry_run: acting.DryRunOption = False,
    count: acting.CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Bring nodes back into service. Quarantined nodes come back through `recheck --resume-if-ok`."""
    from fleetctl.operations import plan_resume

    make_plan = partial(
        plan_resume,
        reason=reason,
        cards=acting.card_list(cards),
        take_over=take_over,
    )
    acting.plan_and_carry_out(make_plan, nodes, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)
