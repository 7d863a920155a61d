"""`fleetctl resume` (undrain, uncordon): bring nodes back into service."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, context
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

    names, now = acting.targets(nodes), context.now()
    with context.database(write=True) as db:
        plan = plan_resume(
            db,
            context.inventory(),
            names,
            reason,
            who=acting.who(),
            now=now,
            config=context.config(),
            cards=acting.card_list(cards),
            take_over=take_over,
        )
        acting.carry_out(db, plan, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)
