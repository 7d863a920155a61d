"""`fleetctl recheck`: the return-to-service checks of a node, and its way back."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.burning import run_burns
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_data, print_text, say

app = typer.Typer()


@app.command()
def recheck(
    nodes: acting.TargetsArgument,
    resume_if_ok: Annotated[bool, typer.Option("--resume-if-ok", help="bring back those that pass")] = False,
    reason: Annotated[str, typer.Option("--reason", "-r", help="class: text, kept with the return")] = "",
    no_burn: Annotated[bool, typer.Option("--no-burn", help="leave out the short test under load")] = False,
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Hold nodes against the baseline of their model: cards, memory, errors, links, temperatures, findings.

    A node that takes no work also gets a short burn where it has a tool for it (dcgmi, gpu_burn, rvs, ascend-dmi,
    stress-ng); a tool that is not there is "not run", never "passed".

    The result is kept with the node's record. Exits 1 when a node does not pass. A check that cannot be answered
    does not pass: blind is never green.
    """
    from fleetctl.errors import FleetctlError
    from fleetctl.operations.recheck import burns_for, return_to_service
    from fleetctl.operations.recheck import recheck as check

    names = acting.targets(nodes)
    if resume_if_ok and not acting.ask(f"bring back what passes of {len(names)} nodes?", yes=yes, no_input=no_input):
        raise FleetctlError("nothing was changed")
    failed = []
    found = []
    with context.database(write=True) as db:
        config, inventory = context.config(), context.inventory()
        plans = {
            name: burns_for(db, inventory, name, now=context.now(), config=config, wanted=not no_burn) for name in names
        }
        burning = [plan.limit_s for plan in plans.values() if not plan.why_not]
        if burning:
            say(f"{len(burning)} nodes get a short burn where they have a tool for it: at most {max(burning):g} s each")
        burned = run_burns(config, inventory, plans)
        for name in names:
            result = check(
                *(db, inventory, name), who=acting.who(), now=context.now(), config=config, burns=burned[name]
            )
            back = ""
            if result.ok and resume_if_ok:
                back = return_to_service(
                    db,
                    inventory,
                    result,
                    who=acting.who(),
                    now=context.now(),
                    config=config,
                    reason=reason,
                )
            if not result.ok:
                failed.append(name)
            found.append({**result.record(), "returned": back or None})
            if output in (Format.TABLE, Format.WIDE):
                print_text("\n".join([*result.lines(), *([f"  {back}"] if back else [])]))
    if output in (Format.JSON, Format.YAML):
        print_data(found, output)
    elif output is Format.NAME:
        print("\n".join(str(f["host"]) for f in found if f["ok"]))
    if failed:
        raise FleetctlError(f"{len(failed)} of {len(names)} nodes do not pass: {', '.join(failed[:5])}")
