"""The options with which people say what cards they want; `alloc` and `place` share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli import acting, context
from fleetctl.views.moments import duration_s, moment

if TYPE_CHECKING:
    from fleetctl.model.lease import Request

TenantOption = Annotated[str, typer.Option("--tenant", "-t", help="who it is for")]
NodesOption = Annotated[int, typer.Option("--nodes", "-N", help="nodes, all at once or not at all")]
CardsOption = Annotated[
    float | None,
    typer.Option("--cards", "-g", help="cards on each node; below 1: that part of one card; 0: whole nodes"),
]
ExclusiveOption = Annotated[bool, typer.Option("--exclusive", help="nobody else on these nodes")]
ChipOption = Annotated[str, typer.Option("--chip", "-c", help="chip, any part of its name")]
ClassOption = Annotated[str, typer.Option("--chip-class", help="general, ai or hpc")]
Fp16Option = Annotated[float | None, typer.Option("--min-fp16", help="any chip with at least so many TFLOPS FP16")]
MemOption = Annotated[float | None, typer.Option("--min-mem", help="any chip with at least so many GiB")]
PoolOption = Annotated[str, typer.Option("--pool", help="only this pool")]
SiteOption = Annotated[str, typer.Option("--site", help="only this site")]
SameOption = Annotated[str, typer.Option("--same", help="rack, leaf or site: the gang shares one")]
LatencyOption = Annotated[str, typer.Option("--latency", help="realtime (5 ms), interactive (20 ms) or batch")]
CeilingOption = Annotated[float | None, typer.Option("--max-price", help="yuan per card-hour, at most")]
GreenOption = Annotated[bool, typer.Option("--green", help="prefer sites with more green power")]
OnOption = Annotated[str, typer.Option("--on", help="only these nodes, as a node set")]
NotOption = Annotated[str, typer.Option("--not-on", help="never these nodes, as a node set")]
PriorityOption = Annotated[str, typer.Option("--class", help="urgent, normal or spot (may be ended for urgent)")]
DurationOption = Annotated[str, typer.Option("--for", help="how long: 8h, 3d, none; default from fleet.toml")]
AtOption = Annotated[str, typer.Option("--at", help="not before: 2h or a time")]
LatestOption = Annotated[str, typer.Option("--latest", help="give up when it has not started by then")]
ViaOption = Annotated[
    str, typer.Option("--via", help="the scheduler that serves it, as `jobs schedulers` names it, or NAME/PARTITION")
]
ReservationOption = Annotated[str, typer.Option("--reservation", help="use what was reserved under this id")]


def build_request(
    *,
    tenant: str,
    nodes: int,
    cards: float | None,
    exclusive: bool,
    chip: str,
    chip_class: str,
    min_fp16: float | None,
    min_mem: float | None,
    pool: str,
    site: str,
    same: str,
    latency: str,
    max_price: float | None,
    green: bool,
    on: str,
    not_on: str,
    cls: str,
    length: str,
    at: str,
    latest: str,
    reservation: str,
) -> Request:
    """The request these options spell. Raises UsageError and NotFoundError."""
    from fleetctl.errors import UsageError
    from fleetctl.model.lease import WHOLE, Latency, Shape
    from fleetctl.operations import make_request

    inventory, config, now = context.inventory(), context.config(), context.now()
    if pool and pool not in inventory.pools:
        raise UsageError(f"no pool {pool!r}", hint=f"pools: {', '.join(inventory.pools) or 'none'}")
    if site and site not in inventory.sites:
        raise UsageError(f"no site {site!r}", hint=f"sites: {', '.join(inventory.sites)}")
    if latency not in list(Latency):
        raise UsageError(f"no latency class {latency!r}", hint=f"one of {', '.join(Latency)}")
    wanted = 1.0 if cards is None else cards
    if wanted < 0 or (wanted > 1 and wanted != int(wanted)):
        raise UsageError(f"--cards {wanted:g}: whole cards, or a part of one", hint="--cards 4, --cards 0.25")
    part = 0 < wanted < 1
    shape = Shape(
        nodes=nodes,
        cards=1 if part else int(wanted),
        milli=max(1, round(wanted * WHOLE)) if part else WHOLE,
        exclusive=exclusive,
        chip=chip,
        chip_class=chip_class,
        min_fp16_tflops=min_fp16,
        min_mem_bytes=None if min_mem is None else int(min_mem * 2**30),
        pool=pool,
        site=site,
        same=same,
        latency=Latency(latency),
        price_ceiling=max_price,
        green=green,
        hosts=tuple(h.name for h in inventory.select(on)) if on else (),
        not_hosts=tuple(h.name for h in inventory.select(not_on)) if not_on else (),
    )
    default = config.scheduling.default_duration_s
    return make_request(
        config,
        tenant,
        shape,
        who=acting.who(),
        now=now,
        cls=cls,
        duration_s=duration_s(length) if length else default,
        start_at=moment(at, now) if at else None,
        latest_start_at=moment(latest, now) if latest else None,
        reservation=reservation,
    )
