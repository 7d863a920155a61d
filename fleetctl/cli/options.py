"""Options that mean the same in every command."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli.context import complete_nodes
from fleetctl.cli.output import Format

OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="table, wide, json, yaml, csv or name (node sets folded)")
]
NodesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NODES",
        autocompletion=complete_nodes,
        show_default=False,
        help="node sets: gpu[001-128], @rack12, @train!gpu007; - reads them from stdin; none means all",
    ),
]
NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", autocompletion=complete_nodes, help="one node", show_default=False)
]
FilterOption = Annotated[
    str, typer.Option("--filter", "-f", help="rows to keep: 'site=lingang chip~910 temp>80 state=drain*'")
]
SortOption = Annotated[
    str, typer.Option("--sort", "-s", help="columns to sort by, - before a name for descending: -temp,name")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, help="rows at most; 0: all")]
