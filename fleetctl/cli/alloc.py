"""`fleetctl alloc`: lease nodes, cards or a part of a card to a tenant."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, asking, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_data, print_text, say

app = typer.Typer()


@app.command()
def alloc(
    tenant: asking.TenantOption = "",
    nodes: asking.NodesOption = 1,
    cards: asking.CardsOption = None,
    exclusive: asking.ExclusiveOption = False,
    chip: asking.ChipOption = "",
    chip_class: asking.ClassOption = "",
    min_fp16: asking.Fp16Option = None,
    min_mem: asking.MemOption = None,
    pool: asking.PoolOption = "",
    site: asking.SiteOption = "",
    same: asking.SameOption = "",
    latency: asking.LatencyOption = "batch",
    max_price: asking.CeilingOption = None,
    green: asking.GreenOption = False,
    on: asking.OnOption = "",
    not_on: asking.NotOption = "",
    cls: asking.PriorityOption = "normal",
    length: asking.DurationOption = "",
    at: asking.AtOption = "",
    latest: asking.LatestOption = "",
    reservation: asking.ReservationOption = "",
    via: asking.ViaOption = "",
    now_or_never: Annotated[bool, typer.Option("--now", help="start now or not at all; do not queue")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="accepted everywhere; alloc never asks")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="accepted everywhere; alloc never asks")] = False,
    dry_run: acting.DryRunOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Ask for cards. What cannot start now waits in the queue; what can never fit is refused at once."""
    from fleetctl.errors import ConflictError
    from fleetctl.model.lease import RequestState
    from fleetctl.operations import allocate, quote
    from fleetctl.store.leases import get_lease
    from fleetctl.views.quotes import lease_line, quote_lines, quote_record, readable, request_record

    request = asking.build_request(
        tenant=tenant,
        nodes=nodes,
        cards=cards,
        exclusive=exclusive,
        chip=chip,
        chip_class=chip_class,
        min_fp16=min_fp16,
        min_mem=min_mem,
        pool=pool,
        site=site,
        same=same,
        latency=latency,
        max_price=max_price,
        green=green,
        on=on,
        not_on=not_on,
        cls=cls,
        length=length,
        at=at,
        latest=latest,
        reservation=reservation,
    )
    config, inventory, now = context.config(), context.inventory(), context.now()
    machine = output in (Format.JSON, Format.YAML)
    with context.database(write=True) as db:
        if dry_run:
            answer = quote(db, inventory, request, now=now, config=config, chips=acting.chips(), via=via)
            if machine:
                print_data(quote_record(answer), output)
            else:
                print_text("\n".join(quote_lines(answer)))
            if answer.at is None and not answer.via:
                raise ConflictError(answer.why or "no place", hint="`fleetctl place -o json` has every node's reason")
            return
        done = allocate(
            db,
            inventory,
            request,
            acting.who(),
            now=now,
            config=config,
            chips=acting.chips(),
            wait=not now_or_never,
            via=via,
        )
        with db.read() as conn:
            lease = get_lease(conn, done.lease) if done.lease else None
    if machine:
        print_data(request_record(done, lease), output)
    elif output is Format.NAME:
        print(lease.id if lease else done.id)
    elif lease is not None:
        print_text(lease_line(lease))
    else:
        print_text(f"{done.id} queued: {readable(done).note}")
    if done.state is RequestState.QUEUED:
        say(f"`fleetctl queue` shows its place; `fleetctl release {done.id}` withdraws it")
    acting.warn_without_engine()
