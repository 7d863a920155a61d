"""`fleetctl findings`: what is wrong, folded to one line per rule or one line each."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli.options import FilterOption, LimitOption, NodesArgument, OutputOption, SortOption
from fleetctl.cli.output import Format

app = typer.Typer()


@app.command()
def findings(
    words: NodesArgument = None,
    each: Annotated[bool, typer.Option("--each", "-e", help="one line per finding instead of one per rule")] = False,
    since: Annotated[str, typer.Option("--since", help="also those that were over within: 12h, 7d")] = "",
    output: OutputOption = Format.TABLE,
    filter_text: FilterOption = "",
    sort: SortOption = "",
    limit: LimitOption = 0,
) -> None:
    """Open findings, worst first. Filters see single findings, before folding: severity=crit rule~xid"""
    from fleetctl.cli import context
    from fleetctl.cli.listing import parse_since, print_rows, snapshot, split_words
    from fleetctl.store.findings import FindingState
    from fleetctl.views.filter import compile_filter
    from fleetctl.views.findings import COLUMNS, fold_findings, folded_table, load, table

    sets, text = split_words(words, filter_text)
    wanted = {h.name for h in context.select_hosts(sets)} if sets else None
    states = (FindingState.FIRING, FindingState.RESOLVED) if since else (FindingState.FIRING,)
    start = context.now() - parse_since(since) if since else None
    test = compile_filter(text, COLUMNS)
    with snapshot() as conn:
        rows = load(conn, context.inventory(), states=states, since=start)
    rows = [r for r in rows if (wanted is None or r.node in wanted) and test(r)]
    if each:
        print_rows(table(rows), output=output, sort=sort, limit=limit)
    else:
        print_rows(folded_table(fold_findings(rows)), output=output, sort=sort, limit=limit)
