"""`fleetctl check`: one look at the store for monitoring systems: Nagios, Checkmk, Prometheus text file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli.options import NodesArgument

if TYPE_CHECKING:
    pass


class CheckFormat(StrEnum):
    NAGIOS = "nagios"
    CHECKMK = "checkmk"
    PROMETHEUS = "prometheus"


app = typer.Typer()


@app.command()
def check(
    words: NodesArgument = None,
    form: Annotated[
        CheckFormat, typer.Option("--format", "--output", "-o", help="what the monitoring system reads")
    ] = CheckFormat.NAGIOS,
    warning: Annotated[
        list[str] | None,
        typer.Option("--warning", "-w", help="NAME=RANGE, as in unreachable=5 or free=100:; repeatable"),
    ] = None,
    critical: Annotated[
        list[str] | None, typer.Option("--critical", "-c", help="NAME=RANGE; replaces the default of that figure")
    ] = None,
    service: Annotated[str, typer.Option("--service", help="service name for Checkmk")] = "Fleet",
    textfile: Annotated[
        Path | None,
        typer.Option("--textfile", help="write Prometheus metrics to this .prom file, atomically", show_default=False),
    ] = None,
) -> int:
    """State of the fleet, or of some nodes, for a monitoring system. Asks no host: the engine does that.

    Exits 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Figures: unreachable, unknown, crit, warn, out, free, temp, age.
    Ranges are those of the Monitoring Plugins: 10, 10:, ~:10, 10:20, @10:20. Output stays in English.
    """
    from fleetctl.cli import context
    from fleetctl.cli.listing import snapshot
    from fleetctl.errors import FleetctlError
    from fleetctl.i18n import set_language
    from fleetctl.reports import fleet_check, monitoring

    set_language("en")  # machines and their operators' filters read this
    try:
        limits = fleet_check.read_limits(warning or (), critical or ())
        with snapshot() as conn:
            data = fleet_check.load(conn, context.inventory(), context.config(), context.now(), _names(words))
        found = fleet_check.judge(data, limits)
        if textfile is not None:
            monitoring.write_textfile(textfile, monitoring.prometheus(fleet_check.gauges(data)))
    except FleetctlError as error:
        found = monitoring.CheckResult(str(error).replace("\n", " "), least=monitoring.Status.UNKNOWN)
        if form is CheckFormat.PROMETHEUS:
            raise
    if form is CheckFormat.PROMETHEUS:
        if textfile is None:
            print(monitoring.prometheus(fleet_check.gauges(data)), end="")
        return int(found.status) if textfile is None else 0
    print(monitoring.nagios(found) if form is CheckFormat.NAGIOS else monitoring.checkmk(found, service), end="")
    return int(found.status)


def _names(words: list[str] | None) -> frozenset[str] | None:
    from fleetctl.cli import context

    return frozenset(h.name for h in context.select_hosts(words)) if words else None
