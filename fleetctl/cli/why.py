"""`fleetctl why`: how a node came to be as it is, from the store alone."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli.options import LimitOption, NodeArgument, OutputOption
from fleetctl.cli.output import Format
from fleetctl.i18n import _, word

app = typer.Typer()


@app.command()
def why(
    node: NodeArgument,
    since: Annotated[str, typer.Option("--since", help="how far back: 90m, 12h, 7d")] = "7d",
    output: OutputOption = Format.TABLE,
    limit: LimitOption = 200,
) -> None:
    """The timeline of one node: faults, reach, findings, actions and leases, oldest first. Asks no host."""
    from fleetctl.cli import context
    from fleetctl.cli.listing import one_host, parse_since, snapshot
    from fleetctl.cli.output import clean, print_data, print_table, record, records, say
    from fleetctl.views import nodes, timeline
    from fleetctl.views.units import show_age

    host, now = one_host(node), context.now()
    start = now - parse_since(since)
    with snapshot() as conn:
        (row,) = nodes.load(conn, context.inventory(), now, config=context.config(), host=host.name)
        table = timeline.table(timeline.load(conn, host.name, start, limit=limit or 100_000))
    if output in (Format.JSON, Format.YAML):
        print_data({"node": record(nodes.COLUMNS, row), "timeline": records(table)}, output)
        return
    if output in (Format.TABLE, Format.WIDE):
        axes = ", ".join(word(s) for s in (row.reach.value, row.health.value, row.admin.value, row.load.value))
        last = _("answered {age} ago").format(age=show_age(row.age_at, now)) if row.age_at else _("never answered")
        print(clean(f"{host.name}: {axes}; {last}"))
        said = [text for text in (row.findings, row.error, row.reason) if text]
        for number, reason in enumerate(said):  # a finding often quotes the error: the longer of the two says both
            if not any(reason in other for other in said[:number]) and not any(
                reason in other and reason != other for other in said[number + 1 :]
            ):
                print(f"  {clean(reason)}")
        print()
    if table.rows:
        print_table(table, output, now=now)
    else:
        say(_("nothing happened to {node} in the last {span}").format(node=host.name, span=since))
