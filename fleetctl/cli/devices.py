"""`fleetctl devices`: accelerators, equal ones folded into one line."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli.options import FilterOption, LimitOption, NodesArgument, OutputOption, SortOption
from fleetctl.cli.output import Format

app = typer.Typer()


@app.command()
def devices(
    words: NodesArgument = None,
    each: Annotated[bool, typer.Option("--each", "-e", help="one line per card instead of one per kind")] = False,
    output: OutputOption = Format.TABLE,
    filter_text: FilterOption = "",
    sort: SortOption = "",
    limit: LimitOption = 0,
) -> None:
    """Accelerators of all vendors. Equal ones are folded: chip, how many, where, how busy and hot.

    Filters see single cards, before folding: fleetctl devices 'temp>85' chip~910
    """
    from fleetctl.cli import context
    from fleetctl.cli.listing import print_rows, snapshot, split_words
    from fleetctl.views.devices import COLUMNS, fold_devices, folded_table, load, table
    from fleetctl.views.filter import compile_filter

    sets, text = split_words(words, filter_text)
    hosts = context.select_hosts(sets)
    test = compile_filter(text, COLUMNS)
    with snapshot() as conn:
        node = hosts[0].name if len(hosts) == 1 else None
        rows = [r for r in load(conn, {h.name: h.site for h in hosts}, node=node) if test(r)]
    if each:
        print_rows(table(rows), output=output, sort=sort, limit=limit)
    else:
        print_rows(folded_table(fold_devices(rows)), output=output, sort=sort, limit=limit)
