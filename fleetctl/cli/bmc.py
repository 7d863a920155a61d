"""`fleetctl bmc`: power status and actions of servers, through plan, guard, confirmation and record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetctl.cli.acting import (
    CountOption,
    DryRunOption,
    NoInputOption,
    ReasonOption,
    TargetsArgument,
    YesOption,
)
from fleetctl.cli.options import NodesArgument, OutputOption
from fleetctl.cli.output import Format

if TYPE_CHECKING:
    from fleetctl.facility.endpoints import Asked
    from fleetctl.facility.source import PowerActor

app = typer.Typer(help="power status and actions of servers", no_args_is_help=True)
AT_ONCE = 16


@app.command()
def status(nodes: NodesArgument = None, output: OutputOption = Format.TABLE) -> None:
    """Asks BMCs now whether their servers are on. Exits 1 when one does not answer."""
    import asyncio

    from fleetctl.cli import context
    from fleetctl.cli.output import print_table
    from fleetctl.views.column import Column, Table

    chosen = _bmcs([h.name for h in context.select_hosts(nodes)])

    async def ask(source: PowerActor) -> str:
        return await source.power_state()

    rows = asyncio.run(_each(chosen, ask))
    columns: list[Column[Any]] = [
        Column("node", "node", lambda r: r[0], width=12, doc="host"),
        Column("power", "power", lambda r: r[1], width=10, doc="on, off, unknown"),
        Column("trouble", "trouble", lambda r: r[2] or None, width=40, doc="why there is no answer"),
    ]
    print_table(Table("node", columns, rows, lambda r: str(r[0])), output)
    if any(r[2] for r in rows):
        raise typer.Exit(1)


@app.command()
def on(
    nodes: TargetsArgument,
    reason: ReasonOption = "",
    yes: YesOption = False,
    no_input: NoInputOption = False,
    dry_run: DryRunOption = False,
    count: CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Switch on."""
    _carry_out("on", nodes, reason, yes, no_input, dry_run, count, output)


@app.command()
def off(
    nodes: TargetsArgument,
    reason: ReasonOption = "",
    now: Annotated[bool, typer.Option("--now", help="cut the power instead of asking the system to shut down")] = False,
    yes: YesOption = False,
    no_input: NoInputOption = False,
    dry_run: DryRunOption = False,
    count: CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Shut down; only nodes that are drained or in maintenance."""
    _carry_out("off_now" if now else "off", nodes, reason, yes, no_input, dry_run, count, output)


@app.command()
def cycle(
    nodes: TargetsArgument,
    reason: ReasonOption = "",
    yes: YesOption = False,
    no_input: NoInputOption = False,
    dry_run: DryRunOption = False,
    count: CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Power off and on again; only nodes that are drained or in maintenance."""
    _carry_out("cycle", nodes, reason, yes, no_input, dry_run, count, output)


@app.command()
def identify(
    nodes: TargetsArgument,
    stop: Annotated[bool, typer.Option("--off", help="switch the light off")] = False,
    yes: YesOption = False,
    no_input: NoInputOption = False,
    dry_run: DryRunOption = False,
    count: CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Switch the identify light on, so that somebody in the hall finds it."""
    _carry_out("identify_off" if stop else "identify", nodes, "", yes, no_input, dry_run, count, output)


@app.command()
def cap(
    nodes: TargetsArgument,
    watts: Annotated[float | None, typer.Option("--watts", help="power limit of the whole server", min=1)] = None,
    lift: Annotated[bool, typer.Option("--lift", help="take the limit away")] = False,
    reason: ReasonOption = "",
    yes: YesOption = False,
    no_input: NoInputOption = False,
    dry_run: DryRunOption = False,
    count: CountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Limit what a server may draw."""
    from fleetctl.errors import UsageError

    if (watts is None) != lift:
        raise UsageError("one of --watts and --lift is needed", hint="--watts 5000 limits, --lift takes it away")
    _carry_out("cap", nodes, reason, yes, no_input, dry_run, count, output, watts)


def _bmcs(hosts: list[str]) -> dict[str, Asked]:
    """Host -> its BMC, for those that have one; all of them when every host was meant."""
    from fleetctl.cli import context
    from fleetctl.errors import NotFoundError
    from fleetctl.facility.endpoints import endpoints

    known = {a.host: a for a in endpoints(context.config(), context.inventory()).values() if a.host}
    found = {h: known[h] for h in hosts if h in known}
    if not found:
        raise NotFoundError("none of these nodes has a BMC in fleet.toml", hint="[[facility.bmcs]] declares them")
    return found


async def _each(chosen: dict[str, Asked], ask: Any) -> list[tuple[str, str, str]]:
    """(host, answer, trouble) of every BMC, sixteen at once; one that fails is a row, not an end."""
    import asyncio

    from fleetctl.errors import FleetctlError
    from fleetctl.facility.source import open_source

    gate = asyncio.Semaphore(AT_ONCE)

    async def one(host: str, asked: Asked) -> tuple[str, str, str]:
        async with gate:
            source = None
            try:
                source = open_source(await asyncio.to_thread(asked.endpoint))
                return host, await ask(source), ""
            except FleetctlError as error:
                return host, "unknown", str(error)
            finally:
                if source is not None:
                    await source.close()

    return list(await asyncio.gather(*(one(h, a) for h, a in chosen.items())))


def _carry_out(
    verb: str,
    words: list[str],
    reason: str,
    yes: bool,
    no_input: bool,
    dry_run: bool,
    count: int | None,
    output: Format,
    value: float | None = None,
) -> None:
    import asyncio

    from fleetctl.cli import context
    from fleetctl.cli.acting import ask, can_ask, targets, who
    from fleetctl.cli.output import fold, print_table, say
    from fleetctl.errors import ConflictError, FleetctlError, UsageError
    from fleetctl.operations.bmc import begin_bmc, end_bmc, plan_bmc
    from fleetctl.views.column import Column, Table

    hosts = targets(words)
    config, inventory = context.config(), context.inventory()
    bmcs = _bmcs(hosts)
    with context.database(write=not dry_run) as db:
        plan = plan_bmc(db, inventory, config, verb, hosts, list(bmcs), now=context.now(), reason=reason, value=value)
        what = f"{verb} {value:g} W" if value is not None else verb
        say(f"bmc {what}: {fold(plan.hosts) if plan.nodes else 'no node'} ({len(plan.nodes)})")
        for node in plan.skipped:
            say(f"  left out  {node.host}: {node.skip}")
        for refusal in plan.refusals:
            say(f"  refused   {refusal}")
        if dry_run:
            if plan.refusals:
                raise ConflictError(plan.refusals[0], hint="nothing was asked of any BMC")
            return
        if plan.nodes and not plan.refusals:
            if plan.confirm_count is not None and count != plan.confirm_count:
                raise UsageError(
                    f"{plan.confirm_count} nodes are a large share of a site", hint=f"--count {plan.confirm_count}"
                )
            if plan.confirm_count is None and not ask("go on?", yes=yes, no_input=no_input or not can_ask(no_input)):
                raise FleetctlError("nothing was changed")
        begin_bmc(db, plan, who(), context.now())
        if not plan.nodes:
            raise ConflictError(f"bmc {verb}: nothing to do", hint="see what was left out")

        async def act(source: PowerActor) -> str:
            return await source.act(verb, value)

        rows = asyncio.run(_each({h: bmcs[h] for h in plan.hosts}, act))
        end_bmc(db, plan, who(), {h: trouble or answer for h, answer, trouble in rows}, context.now())
    columns: list[Column[Any]] = [
        Column("node", "node", lambda r: r[0], width=12, doc="host"),
        Column("answer", "answer", lambda r: None if r[2] else r[1], width=30, doc="what the BMC said"),
        Column("trouble", "trouble", lambda r: r[2] or None, width=40, doc="why it did not"),
    ]
    print_table(Table("node", columns, rows, lambda r: str(r[0])), output)
    if plan.skipped or any(r[2] for r in rows):
        raise typer.Exit(1)
