"""`fleetctl nodes`: every node with its four axes, load and heat."""

from __future__ import annotations

import typer

from fleetctl.cli.options import FilterOption, LimitOption, NodesArgument, OutputOption, SortOption
from fleetctl.cli.output import Format

app = typer.Typer()


@app.command()
def nodes(
    words: NodesArgument = None,
    output: OutputOption = Format.TABLE,
    filter_text: FilterOption = "",
    sort: SortOption = "",
    limit: LimitOption = 0,
) -> None:
    """Nodes with reach, health, admin state and load.

    Words such as site=lingang or temp>80 are filters, all others node sets. -o name prints the set folded, ready for
    another command: fleetctl drain $(fleetctl nodes health=crit -o name) --reason "hw: ..."
    """
    from fleetctl.cli import context
    from fleetctl.cli.listing import print_rows, snapshot, split_words, warn_if_old
    from fleetctl.views.nodes import load, table

    sets, text = split_words(words, filter_text)
    wanted = context.select_hosts(sets)
    with snapshot() as conn:
        rows = load(conn, context.inventory(), context.now(), config=context.config())
    newest = max((row.age_at for row in rows if row.age_at is not None), default=None)
    if sets:
        by_name = {row.name: row for row in rows}
        rows = [by_name[host.name] for host in wanted]
    print_rows(table(rows), output=output, filter_text=text, sort=sort, limit=limit)
    warn_if_old(newest)
