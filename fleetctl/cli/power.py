"""`fleetctl power`: racks and feeds against their budgets."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli.options import FilterOption, LimitOption, OutputOption, SortOption
from fleetctl.cli.output import Format

app = typer.Typer(help="power against budgets, hall by hall")


@app.command()
def power(
    by: Annotated[str, typer.Argument(help="rack, feed, hall or site")] = "rack",
    output: OutputOption = Format.TABLE,
    filter_text: FilterOption = "",
    sort: SortOption = "",
    limit: LimitOption = 0,
    fails: Annotated[str, typer.Option("--if-fails", help="what the loss of this feed would do")] = "",
    over: Annotated[
        bool, typer.Option("--over", help="only racks over their budget; exits 1 when there are any")
    ] = False,
) -> None:
    """What racks, halls, sites or feeds draw and have left; what happens if a feed fails."""
    from fleetctl.cli import context
    from fleetctl.cli.listing import print_rows, snapshot
    from fleetctl.cli.output import say
    from fleetctl.errors import NotFoundError, UsageError
    from fleetctl.facility.electrical import over_budget, stranded_w, what_if_feed_fails
    from fleetctl.views import power as views
    from fleetctl.views.facility import load_picture
    from fleetctl.views.power_places import load_places, place_table

    with snapshot() as conn:
        picture = load_picture(conn, context.config(), context.inventory(), context.now())
    if fails:
        if fails not in picture.feeds:
            raise NotFoundError(f"no feed {fails!r}", hint=f"feeds: {', '.join(picture.feeds) or 'none in fleet.toml'}")
        effects = what_if_feed_fails(fails, picture.feeds, picture.racks.values())
        print_rows(views.effect_table(effects), output=output, filter_text=filter_text, sort=sort, limit=limit)
        if any(e.kind in ("over limit", "dark") for e in effects):
            raise typer.Exit(1)
        return
    if over:
        found = over_budget(picture.racks.values())
        print_rows(views.rack_table(found), output=output, filter_text=filter_text, sort=sort, limit=limit)
        if found:
            raise typer.Exit(1)
        return
    if by == "feed":
        table = views.feed_table(picture.feeds.values())
        print_rows(table, output=output, filter_text=filter_text, sort=sort, limit=limit)
        return
    if by in ("hall", "site"):
        places = place_table(load_places(picture, context.inventory(), by), by)
        print_rows(places, output=output, filter_text=filter_text, sort=sort, limit=limit)
        return
    if by != "rack":
        raise UsageError(f"no view of power by {by!r}", hint="rack, feed, hall or site")
    print_rows(views.rack_table(picture.racks.values()), output=output, filter_text=filter_text, sort=sort, limit=limit)
    servers = [w.value for w in picture.servers.values() if w.value]
    if servers and output in (Format.TABLE, Format.WIDE):
        one = max(servers)
        left = stranded_w(picture.racks.values(), one)
        if left:
            say(f"stranded: {left:.0f} W in pieces smaller than one more server ({one:.0f} W)")
