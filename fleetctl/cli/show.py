"""`fleetctl show`: one node, everything about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from fleetctl.cli.options import NodeArgument, OutputOption
from fleetctl.cli.output import Format
from fleetctl.i18n import _

if TYPE_CHECKING:
    from fleetctl.views.column import Table

EVENTS = 10  # `fleetctl why` prints all

app = typer.Typer()


@app.command()
def show(node: NodeArgument, output: OutputOption = Format.TABLE) -> None:
    """One node: its states and all that is known of it, cards to latest events. csv and name print its cards."""
    from fleetctl.cli import context
    from fleetctl.cli.listing import one_host, snapshot
    from fleetctl.cli.output import print_data, print_table, record, records
    from fleetctl.store.hosts import host_state
    from fleetctl.views import (
        devices,
        events,
        facility,
        findings,
        jobs,
        leases,
        links,
        nodes,
        probe_states,
        processes,
        verifications,
    )

    host, now = one_host(node), context.now()
    with snapshot() as conn:
        (row,) = nodes.load(conn, context.inventory(), now, config=context.config(), host=host.name)
        state = host_state(conn, host.name)
        facts = {**(state.facts if state else {}), **facility.wall_facts(conn, host.name, now)}
        cards = devices.table(devices.load(conn, {host.name: host.site}, node=host.name))
        parts: list[tuple[str, str, Table[Any]]] = [
            ("cards", _("cards"), cards),
            ("findings", _("findings"), findings.table(findings.load(conn, context.inventory(), node=host.name))),
            ("leases", _("leases"), leases.lease_table(leases.load_leases(conn, now, node=host.name))),
            ("jobs", _("jobs"), jobs.table(jobs.load(conn, context.inventory(), now, node=host.name))),
            ("processes", _("processes on its cards"), processes.table(processes.load(conn, host.name))),
            ("links", _("links between cards"), links.table(links.load(conn, host.name))),
            ("checks", _("last return-to-service check"), verifications.table(verifications.load(conn, host.name))),
            ("probes", _("probes"), probe_states.table(probe_states.load(conn, host.name))),
            ("events", _("latest events"), events.table(events.load(conn, node=host.name, limit=EVENTS))),
        ]
    if output in (Format.JSON, Format.YAML):
        data = {"node": record(nodes.COLUMNS, row), "facts": facts, **{key: records(t) for key, _t, t in parts}}
        print_data(data, output)
        return
    if output in (Format.CSV, Format.NAME):
        print_table(cards, output)
        return
    print_fields(nodes.COLUMNS, row, now, facts)
    for _key, title, table in parts:
        if table.rows:
            print(f"\n{title}")
            print_table(table, output, now=now)


def print_fields(columns: Any, row: Any, now: float, facts: dict[str, str]) -> None:
    """What is known of one row, a name and a value per line; what is unknown is left out."""
    from fleetctl.cli.output import cells, clean, pad, texts

    lines = [(_(c.title), texts(c, [row], now)[0]) for c in columns]
    lines += [(clean(k), clean(v)) for k, v in sorted(facts.items())]
    known = [(title, text) for title, text in lines if text not in ("-", "")]
    width = min(max(cells(title) for title, _text in known), 24)
    for title, text in known:
        print(f"{pad(title, width)}  {text}")
