"""What every acting command does: show the plan, ask, save it, say what happens next. Dry-run is the same path."""

from __future__ import annotations

import getpass
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli import context
from fleetctl.cli.output import Format, print_data, print_text, say
from fleetctl.errors import ConflictError, FleetctlError, UsageError
from fleetctl.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetctl.model.admin import Actor
    from fleetctl.model.plan import Action, Plan
    from fleetctl.scheduler.placement import ChipFacts
    from fleetctl.store.database import Database

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]
NoInputOption = Annotated[bool, typer.Option("--no-input", help="never ask; fail and name the missing flag")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="show the plan, change nothing")]
CountOption = Annotated[
    int | None, typer.Option("--count", help="number of nodes, typed ahead where the plan takes a large share")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", "-r", help='"class: text"; class: hw, net, power, cool, sw, user, maint')
]
TicketOption = Annotated[str, typer.Option("--ticket", help="number in your ticket system")]
CardsOption = Annotated[
    str, typer.Option("--cards", help="only these cards of the nodes: indexes or ids, comma-separated")
]
KeepProcessesOption = Annotated[
    bool, typer.Option("--keep-processes", help="do not end processes without a lease; wait for them")
]
TargetsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NODES...", autocompletion=context.complete_nodes, help="node sets: gpu[001-128], @rack12; - is stdin"
    ),
]


def who() -> Actor:
    """The person at this terminal."""
    from fleetctl.model.admin import Actor, ActorKind

    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a uid without a name
        name = str(os.getuid())
    sudo = os.environ.get("SUDO_USER", "")
    return Actor(ActorKind.PERSON, f"{sudo} as {name}" if sudo and sudo != name else name)


def targets(words: list[str]) -> list[str]:
    """Host names of node sets, each once."""
    return [h.name for h in context.select_hosts(words)]


def card_list(text: str) -> tuple[str, ...]:
    """`1,3` -> ("1", "3")."""
    return tuple(c.strip() for c in text.split(",") if c.strip())


def chips() -> dict[str, ChipFacts]:
    """What the chip catalogue says, by chip name."""
    from fleetctl.scheduler.chips import chip_facts

    return chip_facts()


def can_ask(no_input: bool) -> bool:
    """Only a terminal is asked."""
    return not no_input and sys.stdin.isatty() and sys.stderr.isatty()


def plan_and_carry_out(
    make_plan: Callable[..., Plan],
    words: list[str],
    *,
    yes: bool,
    no_input: bool,
    dry_run: bool,
    count: int | None,
    fmt: Format,
) -> None:
    """One verb of node life from words to exit code. make_plan: a `plan_` function that knows all but whom and who."""
    names = targets(words)
    with context.database(write=True) as db:
        plan = make_plan(db, context.inventory(), nodes=names, who=who(), now=context.now(), config=context.config())
        carry_out(db, plan, yes=yes, no_input=no_input, dry_run=dry_run, count=count, fmt=fmt)


def carry_out(
    db: Database, plan: Plan, *, yes: bool, no_input: bool, dry_run: bool, count: int | None, fmt: Format
) -> None:
    """Show, confirm, apply, print. Exits 5 when a guard says no or nothing can be done, 1 when done in part.

    Nodes that are where the verb wants them need nothing: they are told, and they are no failure.
    """
    from fleetctl.model.plan import Action, PlanState
    from fleetctl.operations import apply
    from fleetctl.views.plans import action_line, action_record, plan_lines, plan_record

    machine = fmt in (Format.JSON, Format.YAML)
    if dry_run:
        if machine:
            print_data(plan_record(plan), fmt)
        elif fmt is Format.NAME:
            print("\n".join(plan.hosts))
        else:
            print_text("\n".join(plan_lines(plan)))
    else:
        say("\n".join(plan_lines(plan)))
    if plan.refusals:
        raise ConflictError(str(plan.refusals[0]), hint="name fewer nodes, or raise the limit in fleet.toml")
    if dry_run:
        return
    refused = [n for n in plan.skipped if not n.already]
    if not plan.nodes and plan.skipped and not refused:
        say(_("nothing to do for those"))
        if machine:
            print_data(action_record(Action("", plan.verb, PlanState.DONE, who(), plan.created_at, None, 0)), fmt)
        return
    if plan.nodes:
        confirm(plan, yes=yes, no_input=no_input, count=count)
    action = apply(db, plan, who(), inventory=context.inventory(), config=context.config(), now=context.now())
    if machine:
        print_data(action_record(action), fmt)
    elif fmt is Format.NAME:
        print(action.plan)
    else:
        print_text(action_line(action))
    _say_next(action)
    if action.failed or action.superseded or refused:
        raise typer.Exit(1)


def confirm(plan: Plan, *, yes: bool, no_input: bool, count: int | None) -> None:
    """A yes, or the number of nodes typed where the plan takes more than its share of a site."""
    need = plan.confirm_count
    if need is not None:
        if count is None and can_ask(no_input):
            typed = input(_("this takes a large share of a site; type the number of nodes: ")).strip()
            count = int(typed) if typed.isdecimal() else -1
        if count is None:
            raise UsageError(
                f"{need} nodes are a large share of a site: --yes does not suffice", hint=f"--count {need} confirms it"
            )
        if count != need:
            raise UsageError(f"not confirmed: the plan has {need} nodes, not {count}")
        return
    if not ask(_("go on?"), yes=yes, no_input=no_input):
        raise FleetctlError("nothing was changed")


def ask(question: str, *, yes: bool, no_input: bool) -> bool:
    """A yes or no; without a terminal the flag is named. Raises UsageError."""
    if yes:
        return True
    if not can_ask(no_input):
        raise UsageError("nobody is there to ask", hint="--yes goes on without asking; --dry-run only shows the plan")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes", "j", "是")


def _say_next(action: Action) -> None:
    from fleetctl.model.plan import PlanState

    if action.state is PlanState.RUNNING:
        say(_("watch it with: fleetctl plans watch {}").format(action.plan))
    if action.state in (PlanState.RUNNING, PlanState.SCHEDULED, PlanState.HELD):
        warn_without_engine()


def warn_without_engine() -> None:
    """Say that nobody moves plans and leases along, when no engine runs."""
    from pathlib import Path

    from fleetctl.engine.lock import is_running

    if not is_running(Path(context.config().store.path).expanduser()):
        say(_("no engine runs: the rest happens at the next `fleetctl poll`, or start one: fleetctl engine start"))
