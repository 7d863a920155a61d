"""`fleetctl sites`, `pools`, `racks`: the same figures for each group of nodes."""

from __future__ import annotations

import typer

from fleetctl.cli.options import FilterOption, LimitOption, OutputOption, SortOption
from fleetctl.cli.output import Format

sites_app = typer.Typer()
pools_app = typer.Typer()
racks_app = typer.Typer()


def _print(noun: str, output: Format, filter_text: str, sort: str, limit: int) -> None:
    from fleetctl.cli import context
    from fleetctl.cli.listing import print_rows, snapshot, warn_if_old
    from fleetctl.views import nodes, sites

    fleet = context.inventory()
    with snapshot() as conn:
        rows = nodes.load(conn, fleet, context.now(), config=context.config())
    build, columns = {
        "site": (sites.site_rows, sites.SITE_COLUMNS),
        "pool": (sites.pool_rows, sites.POOL_COLUMNS),
        "rack": (sites.rack_rows, sites.RACK_COLUMNS),
    }[noun]
    table = sites.table(noun, columns, build(rows, fleet))
    print_rows(table, output=output, filter_text=filter_text, sort=sort, limit=limit)
    warn_if_old(max((r.age_at for r in rows if r.age_at is not None), default=None))


@sites_app.command()
def sites(
    output: OutputOption = Format.TABLE,
    filter_text: FilterOption = "",
    sort: SortOption = "",
    limit: LimitOption = 0,
) -> None:
    """Sites: nodes, states, cards on each rung of the ladder, load and power."""
    _print("site", output, filter_text, sort, limit)


@pools_app.command()
def pools(
    output: OutputOption = Format.TABLE,
    filter_text: FilterOption = "",
    sort: SortOption = "",
    limit: LimitOption = 0,
) -> None:
    """Pools: the same figures; a node may be in several."""
    _print("pool", output, filter_text, sort, limit)


@racks_app.command()
def racks(
    output: OutputOption = Format.TABLE,
    filter_text: FilterOption = "",
    sort: SortOption = "",
    limit: LimitOption = 0,
) -> None:
    """Racks: the same figures, and their draw against their budget."""
    _print("rack", output, filter_text, sort, limit)
