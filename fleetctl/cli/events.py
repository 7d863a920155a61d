"""`fleetctl events`: what happened, the same event on many nodes folded into one line."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli.options import FilterOption, LimitOption, NodesArgument, OutputOption, SortOption
from fleetctl.cli.output import Format

NEWEST = 100_000  # events read before folding

app = typer.Typer()


@app.command()
def events(
    words: NodesArgument = None,
    each: Annotated[bool, typer.Option("--each", "-e", help="one line per event instead of folded")] = False,
    since: Annotated[str, typer.Option("--since", help="how far back: 90m, 12h, 7d")] = "24h",
    output: OutputOption = Format.TABLE,
    filter_text: FilterOption = "",
    sort: SortOption = "",
    limit: LimitOption = 200,
) -> None:
    """What happened, newest first. Filters see single events, before folding: kind=fault severity=crit"""
    from fleetctl.cli import context
    from fleetctl.cli.listing import parse_since, print_rows, snapshot, split_words
    from fleetctl.views.events import COLUMNS, fold_events, folded_table, load, table
    from fleetctl.views.filter import compile_filter

    sets, text = split_words(words, filter_text)
    wanted = {h.name for h in context.select_hosts(sets)} if sets else None
    start = context.now() - parse_since(since)
    test = compile_filter(text, COLUMNS)
    with snapshot() as conn:
        rows = load(conn, since=start, limit=NEWEST)
    rows = [r for r in rows if (wanted is None or r.node in wanted) and test(r)]
    if each:
        print_rows(table(rows), output=output, sort=sort, limit=limit)
    else:
        print_rows(folded_table(fold_events(rows)), output=output, sort=sort, limit=limit)
