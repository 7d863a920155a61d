"""`fleetctl leases`: who holds what, until when; and how to keep it longer."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_data, print_table, print_text
from fleetctl.views.moments import moment

app = typer.Typer(invoke_without_command=True)


@app.callback()
def leases(
    ctx: typer.Context,
    past: Annotated[bool, typer.Option("--all", "-a", help="ended ones too")] = False,
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="only this tenant's")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Who holds which cards, since when and until when."""
    if ctx.invoked_subcommand is not None:
        return
    from fleetctl.views.leases import lease_table, load_leases

    with context.database() as db, db.read() as conn:
        print_table(lease_table(load_leases(conn, context.now(), live=not past, tenant=tenant)), output)


@app.command()
def show(lease: Annotated[str, typer.Argument(help="id, or its start")], output: OutputOption = Format.JSON) -> None:
    """One lease with its cards, hooks and the environment its tenant gets."""
    from fleetctl.operations.allocate import resolve
    from fleetctl.scheduler.hooks import lease_env
    from fleetctl.store.capacity import list_host_facts
    from fleetctl.store.outside_requests import list_outside_requests
    from fleetctl.store.scheduler_facts import list_hooks
    from fleetctl.views.quotes import lease_record

    with context.database() as db:
        _name, found = resolve(db, lease, only_leases=True)
        with db.read() as conn:
            hooks = [
                {"host": h.host, "kind": h.kind, "state": h.state, "exit_status": h.exit_status, "note": h.note}
                for h in list_hooks(conn, lease=found.id if found else "-", only_open=False)
            ]
            facts = list_host_facts(conn)
            outside = {r.request: r for r in list_outside_requests(conn, only_open=False)}
    assert found is not None
    served = outside.get(found.request)
    job = {"scheduler": served.backend, "job": served.job, "answer": served.answer} if served else None
    env = {host: lease_env(found, host, facts.get(host)) for host in found.hosts}
    print_data(
        {**lease_record(found), "outside": job, "hooks": hooks, "env": env},
        Format.JSON if output is Format.TABLE else output,
    )


@app.command()
def renew(
    lease: Annotated[str, typer.Argument(help="id, or its start")],
    until: Annotated[str, typer.Option("--until", help="new end: 8h from now, or a time; none: open")] = "",
    length: Annotated[str, typer.Option("--for", help="how long from now: 8h, 3d, none")] = "",
) -> None:
    """Keep a lease longer, or end it sooner than agreed."""
    from fleetctl.errors import UsageError
    from fleetctl.operations import renew as keep
    from fleetctl.views.quotes import lease_line

    now = context.now()
    if bool(until) == bool(length):
        raise UsageError("say when it ends", hint="--for 8h, or --until 22:00; none: open")
    end_at = None if "none" in (until, length) else moment(until or length, now)
    with context.database(write=True) as db:
        print_text(lease_line(keep(db, lease, acting.who(), now=now, end_at=end_at, config=context.config())))
