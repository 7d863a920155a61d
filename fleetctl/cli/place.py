"""`fleetctl place`: where and when a request would run, what it costs, and why not elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli import acting, asking, context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_data, print_text

app = typer.Typer()


@app.command()
def place(
    tenant: asking.TenantOption = "anyone",
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="the same: place never books")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Say where and when a request would run, what it costs, and for every node refused, why. Books nothing."""
    from fleetctl.errors import ConflictError
    from fleetctl.operations import quote
    from fleetctl.views.quotes import quote_lines, quote_record

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
    with context.database() as db:
        answer = quote(
            db, context.inventory(), request, now=context.now(), config=context.config(), chips=acting.chips(), via=via
        )
    if output in (Format.JSON, Format.YAML):
        print_data(quote_record(answer), output)
    elif output is Format.NAME:
        print("\n".join(answer.placement.hosts if answer.placement else ()))
    else:
        print_text("\n".join(quote_lines(answer)))
    if answer.at is None and not answer.via:
        nearest = f"nearest that could: {answer.nearest}" if answer.nearest else "every node's reason stands above"
        raise ConflictError(answer.why or "no place", hint=nearest)
