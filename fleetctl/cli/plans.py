"""`fleetctl plans`: what is under way, how far it is, and how to take it back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_data, print_table, print_text, say

if TYPE_CHECKING:
    from fleetctl.store.database import Database

app = typer.Typer(invoke_without_command=True)
PlanArgument = Annotated[str, typer.Argument(help="id of the plan, or its start")]


@app.callback()
def plans(
    ctx: typer.Context,
    past: Annotated[bool, typer.Option("--all", "-a", help="finished ones too")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Plans under way: drains, windows, quarantines."""
    if ctx.invoked_subcommand is not None:
        return
    _list(past, output)


@app.command("list")
def list_(
    past: Annotated[bool, typer.Option("--all", "-a", help="finished ones too")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Plans under way, or all of them."""
    _list(past, output)


def _list(past: bool, output: Format) -> None:
    from fleetctl.scheduler.breaker import breaker_state
    from fleetctl.views.plans import load

    with context.database() as db, db.read() as conn:
        print_table(load(conn, only_open=not past), output)
        breaker = breaker_state(conn, context.config(), int(context.now()))
    if breaker.tripped_at is not None:
        say(f"automation is stopped: {breaker.why}; `fleetctl plans reset-breaker` lets it go on")


@app.command()
def show(plan: PlanArgument, output: OutputOption = Format.TABLE) -> None:
    """One plan: what was confirmed, and each node."""
    from fleetctl.cli.output import records
    from fleetctl.store.plans import get_action
    from fleetctl.views.plans import action_line, action_record, load_nodes, load_plan, plan_lines, plan_record

    with context.database() as db:
        name = _find(db, plan)
        with db.read() as conn:
            confirmed, action = load_plan(conn, name), get_action(conn, name)
            nodes = load_nodes(conn, name, context.config(), context.now())
    assert confirmed is not None
    assert action is not None
    if output in (Format.JSON, Format.YAML):
        state = {"plan": plan_record(confirmed), "action": action_record(action), "nodes": records(nodes)}
        print_data(state, output)
    elif output in (Format.CSV, Format.NAME):
        print_table(nodes, output)
    else:
        print_text("\n".join([*plan_lines(confirmed), action_line(action)]))
        print_table(nodes, output)


@app.command()
def watch(
    plan: PlanArgument,
    interval: Annotated[float, typer.Option("--interval", min=0.2, help="seconds between looks")] = 2.0,
    timeout: Annotated[float, typer.Option("--timeout", help="give up after so many seconds; 0: never")] = 0.0,
) -> None:
    """Print how far a plan is whenever that changes, until it is over. Exits 1 when it was not carried out whole."""
    from fleetctl.errors import TimedOutError
    from fleetctl.model.plan import PlanState
    from fleetctl.store.plans import get_action
    from fleetctl.views.plans import action_line

    began, last = time.monotonic(), ""
    with context.database() as db:
        name = _find(db, plan)
        while True:
            with db.read() as conn:
                action = get_action(conn, name)
            assert action is not None
            line = action_line(action)
            if line != last:
                print_text(line)
                last = line
            if action.state in (PlanState.DONE, PlanState.UNDONE, PlanState.CANCELLED):
                raise typer.Exit(1 if action.failed or action.superseded else 0)
            if timeout and time.monotonic() - began > timeout:
                raise TimedOutError(f"{name} is not over after {timeout:g} s", hint="it goes on; watch it again")
            time.sleep(interval)


@app.command()
def undo(
    plan: PlanArgument,
    yes: acting.YesOption = False,
    no_input: acting.NoInputOption = False,
    dry_run: acting.DryRunOption = False,
    count: acting.CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Take a plan back: cancel it if it has not begun, else put its nodes back where nobody changed them since."""
    from fleetctl.model.plan import PlanState
    from fleetctl.operations import cancel, plan_undo
    from fleetctl.store.plans import get_action
    from fleetctl.views.plans import action_line

    with context.database(write=True) as db:
        name = _find(db, plan)
        with db.read() as conn:
            action = get_action(conn, name)
        if action is not None and action.state in (PlanState.SCHEDULED, PlanState.HELD):
            if not dry_run and acting.ask(f"cancel {name}?", yes=yes, no_input=no_input):
                action = cancel(db, name, acting.who(), now=context.now())
            print_text(action_line(action))
            return
        back = plan_undo(db, name, who=acting.who(), now=context.now(), config=context.config())
        acting.carry_out(db, back, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=output)


@app.command("reset-breaker")
def reset_breaker(yes: acting.YesOption = False, no_input: acting.NoInputOption = False) -> None:
    """Let automation go on after it stopped itself. Only a person can."""
    from fleetctl.scheduler.breaker import reset_breaker as reset

    if not acting.ask("let automation go on?", yes=yes, no_input=no_input):
        return
    with context.database(write=True) as db, db.write(durable=True) as conn:
        done = reset(conn, context.config(), int(context.now()), acting.who())
    say("automation goes on" if done else "it was not stopped")


def _find(db: Database, start: str) -> str:
    from fleetctl.errors import NotFoundError, UsageError
    from fleetctl.store.plans import find_plan

    with db.read() as conn:
        found = find_plan(conn, start)
    if start in found:
        return start
    if not found:
        raise NotFoundError(f"no plan {start}", hint="`fleetctl plans --all` lists them")
    if len(found) > 1:
        raise UsageError(f"several plans begin with {start}: {', '.join(found)}")
    return found[0]
