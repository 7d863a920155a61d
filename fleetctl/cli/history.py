"""`fleetctl history`: one metric of a node, a card or the whole fleet over time, as a plot or as data."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli.context import complete_nodes
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format
from fleetctl.i18n import _

if TYPE_CHECKING:
    from fleetctl.model.metric import Metric
    from fleetctl.store.devices import StoredDevice
    from fleetctl.views.series import SeriesRow

LEAST_SPAN_S = 300.0  # a plot of young data spans what there is, but no less
POINTS = 400  # what a plot can show; data formats print every value unless --step is given

WHOLE_FLEET = "@*"

app = typer.Typer()


@app.command()
def history(
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE", autocompletion=complete_nodes, help="one node, a BMC or device, or '@*': the whole fleet"
        ),
    ],
    metric: Annotated[str, typer.Argument(help="temp_c, util_pct, power_w, load1 ... or the start of a name")],
    card: Annotated[str, typer.Option("--card", "-c", help="one card, by the number its tool prints")] = "",
    since: Annotated[str, typer.Option("--since", help="how far back: 90m, 12h, 7d")] = "24h",
    step: Annotated[str, typer.Option("--step", help="one value per 5m, 1h ...; none: every value")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """One metric over time. A metric of the host needs no card; one of cards is drawn for --card, else for each.

    Of the whole fleet ('@*') it is the mean of all, with the lowest and the highest.
    """
    from fleetctl.cli import context
    from fleetctl.cli.listing import find_metric, one_host, parse_since, snapshot
    from fleetctl.cli.output import print_table, say
    from fleetctl.store.series import read_series
    from fleetctl.store.temperature import CORE, HOT_SPOT
    from fleetctl.views.series import SeriesRow, table

    if node.startswith("bmc:") or any(device.name == node for device in context.config().facility.devices):
        _facility(node, metric, parse_since(since), since, output)
        return
    if node == WHOLE_FLEET:
        _fleet(metric, parse_since(since), int(parse_since(step)) if step else None, since, output)
        return
    host, now = one_host(node), context.now()
    start = now - parse_since(since)
    people = output in (Format.TABLE, Format.WIDE)
    rows: list[SeriesRow] = []
    plots: list[tuple[str, list[SeriesRow]]] = []
    with snapshot() as conn:
        found, devices = _devices(conn, host.name, metric, card)
        if found.name == CORE and _only_hot_spots(conn, devices, start, now):
            found = find_metric(conn, "card", HOT_SPOT)
            say(_("no core temperature is told here: what follows is the hot spot"))
        if people:  # one axis for all of them, no longer than what there is
            coarse = max(int((now - start) / POINTS), 1)
            seen = (read_series(conn, d.id, found.name, start, now, coarse) for d in devices)
            start = max(start, min([now - LEAST_SPAN_S, *(p.at for points in seen for p in points[:1])]))
        width = int(parse_since(step)) if step else (max(int((now - start) / POINTS), 1) if people else None)
        for device in devices:
            name = f"{host.name}/{device.device.index or device.device.key}" if found.of == "card" else host.name
            points = read_series(conn, device.id, found.name, start, now, width)
            rows += [SeriesRow(name, p.at, p.value, p.low, p.high, p.n) for p in points]
            if people and points:
                plots.append((name, rows[len(rows) - len(points) :]))
    for name, told in plots:
        _plot(name, found, told, start, now)
    if not people:
        print_table(table(rows, found), output, now=now)
    elif not rows:
        say(_("no values of {metric} in the last {span}").format(metric=found.name, span=since))


def _fleet(name: str, span: float, step: int | None, words: str, output: Format) -> None:
    """A metric over all cards, or all hosts where no card tells it."""
    from fleetctl.cli import context
    from fleetctl.cli.listing import find_metric, snapshot
    from fleetctl.cli.output import print_table, say
    from fleetctl.errors import NotFoundError
    from fleetctl.store.series import read_fleet
    from fleetctl.views.series import SeriesRow, table

    now = context.now()
    people = output in (Format.TABLE, Format.WIDE)
    with snapshot() as conn:
        try:
            metric = find_metric(conn, "card", name)
        except NotFoundError:
            metric = find_metric(conn, "host", name)
        width = step or (max(int(span / POINTS), 1) if people else None)
        points = read_fleet(conn, metric.of, metric.name, now - span, now + 1, width)
    rows = [SeriesRow("fleet", p.at, p.value, p.low, p.high, p.n) for p in points]
    if not people:
        print_table(table(rows, metric), output, now=now)
    elif rows:
        _plot(_("mean of all"), metric, rows, max(now - span, min(now - LEAST_SPAN_S, rows[0].at)), now)
    else:
        say(_("no values of {metric} in the last {span}").format(metric=metric.name, span=words))


def _facility(name: str, quantity: str, span: float, words: str, output: Format) -> None:
    """A facility endpoint: its total power, the counters of meters, heat and flow of coolers: by the minute where that
    is kept, else a value per 15 min."""
    from fleetctl.cli import context
    from fleetctl.cli.listing import snapshot
    from fleetctl.cli.output import print_table, say
    from fleetctl.model.metric import Metric
    from fleetctl.store.facility_history import facility_series, list_series, newest_values
    from fleetctl.views.series import SeriesRow, table

    now = context.now()
    people = output in (Format.TABLE, Format.WIDE)
    rows: list[SeriesRow] = []
    metric = Metric(quantity, "sensor", "", "as the device tells it")
    with snapshot() as conn:
        newest = newest_values(conn, name, quantity)
        for series, place, unit in list_series(conn, name, quantity):
            metric = Metric(quantity, "sensor", unit, "as the device tells it")
            label = f"{name} {place}".strip()
            found = facility_series(conn, name, series, now - span, now + 1, minutes=True)
            last = newest.get(series)
            kept = found[-1] if found else (0.0, None)
            if last is not None and last[0] >= now - span and last[0] > kept[0] and last[1] != kept[1]:
                found.append(last)  # told since then
            told = [SeriesRow(label, at, value, value, value, 1) for at, value in found if value is not None]
            rows += told
            if people and told:
                _plot(label, metric, told, max(now - span, min(now - LEAST_SPAN_S, told[0].at)), now)
    if not people:
        print_table(table(rows, metric), output, now=now)
    elif not rows:
        say(_("no values of {metric} in the last {span}").format(metric=quantity, span=words))


def _devices(conn: sqlite3.Connection, host: str, name: str, card: str) -> tuple[Metric, list[StoredDevice]]:
    """The metric and the devices it is drawn for. Raises NotFoundError."""
    from fleetctl.cli.listing import find_metric
    from fleetctl.errors import NotFoundError
    from fleetctl.store.devices import list_devices

    try:
        metric = find_metric(conn, "card" if card else "host", name)
    except NotFoundError:
        metric = find_metric(conn, "card", name)
    devices = list_devices(conn, host, kind=metric.of)
    if card:
        devices = [d for d in devices if card in (d.device.index, d.device.key, d.device.uuid, d.device.pci)]
        if not devices:
            raise NotFoundError(
                _("{node} has no card {card}").format(node=host, card=repr(card)),
                hint=_("`fleetctl show {node}` lists its cards").format(node=host),
            )
    else:
        devices = [d for d in devices if d.gone_at is None] or devices
    return metric, devices


def _only_hot_spots(conn: sqlite3.Connection, cards: list[StoredDevice], start: float, now: float) -> bool:
    """No card tells its core, and one tells its hot spot: the one temperature there is."""
    from fleetctl.store.catalogue import sample_columns
    from fleetctl.store.series import read_metrics
    from fleetctl.store.temperature import CORE, HOT_SPOT, sources

    names = sources("card", CORE, sample_columns(conn, "card"))
    told = {
        name
        for card in cards
        for name, points in read_metrics(conn, card.id, names, start, now, 3600).items()
        if points
    }
    return told == {HOT_SPOT}


def _plot(name: str, metric: Metric, rows: list[SeriesRow], since: float, until: float) -> None:
    from fleetctl.cli.output import clean, terminal_width
    from fleetctl.views.plot import Sample, plot_lines
    from fleetctl.views.units import show_unit

    low, high = min(r.low for r in rows), max(r.high for r in rows)
    last = show_unit(rows[-1].value, metric.unit)
    extremes = f"{show_unit(low, metric.unit)} .. {show_unit(high, metric.unit)}"
    print(
        clean(
            _("{name} {metric}: {extremes}, last {last}").format(
                name=name, metric=metric.name, extremes=extremes, last=last
            )
        )
    )
    points = [Sample(r.at, r.value, r.low, r.high) for r in rows]
    width = min(terminal_width(sys.stdout) or 80, 200)
    lines = plot_lines(points, since, until, width=width, height=8, show=lambda v: show_unit(round(v, 2), metric.unit))
    print("\n".join(lines) + "\n")
