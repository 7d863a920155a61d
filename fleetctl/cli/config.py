"""`fleetctl config`: check, show and explain fleet.toml."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format
from fleetctl.i18n import _

app = typer.Typer(no_args_is_help=True, help="Check, show and explain fleet.toml.")


@app.callback()
def main() -> None:
    """Check, show and explain fleet.toml."""


@app.command()
def check() -> None:
    """Read the fleet file, name every mistake with its line, and say what it declares. Exits 2 on a mistake."""
    from fleetctl.cli import context
    from fleetctl.config import find_config
    from fleetctl.views.units import show_count

    path = find_config(context.options().config)
    fleet = context.inventory()
    cards = sum(h.cards or 0 for h in fleet.hosts.values())
    unplaced = sum(h.rack is None for h in fleet.hosts.values())
    print(
        _("{path}: {hosts} hosts, {cards} cards expected, {sites} sites, {racks} racks, {pools} pools").format(
            path=path,
            hosts=show_count(len(fleet.hosts)),
            cards=show_count(cards),
            sites=len(fleet.sites),
            racks=len(fleet.racks),
            pools=len(fleet.pools),
        )
    )
    if fleet.racks and unplaced:
        print(_("{n} hosts stand in no rack").format(n=show_count(unplaced)))


@app.command()
def show(output: OutputOption = Format.TABLE) -> None:
    """Every setting in force, defaults included: what was read is not always what was meant."""
    from fleetctl.cli import context
    from fleetctl.cli.output import print_data, print_table
    from fleetctl.views.settings import plain, rows_in_force, value_table

    config = context.config()
    if output in (Format.JSON, Format.YAML):
        print_data(plain(config), output)
        return
    print_table(value_table(rows_in_force(config)), output)


@app.command()
def explain(
    key: Annotated[str, typer.Argument(help="a setting or a table, as in poll.interval_s or ssh; none: all")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """What a setting means, its unit, limits and default. Needs no fleet file."""
    from fleetctl.cli.output import print_table
    from fleetctl.errors import NotFoundError, nearest
    from fleetctl.views.settings import declared, setting_table

    everything = declared()
    rows = [r for r in everything if not key or r.key == key or r.key.startswith(f"{key}.")]
    rows = rows or [r for r in everything if key in r.key.rsplit(".", 1)[-1]]
    if not rows:
        near = nearest(key, [r.key for r in everything], cutoff=0.4)
        raise NotFoundError(
            _("no setting named {key}").format(key=repr(key)),
            hint=_("did you mean {name}?").format(name=near) if near else _("`fleetctl config explain` lists all"),
        )
    if len(rows) == 1 and output is Format.TABLE:
        print_one(rows[0])
        return
    print_table(setting_table(rows), output)


def print_one(row: Any) -> None:
    """One setting, a line per fact."""
    print(f"{row.key}: {row.doc}")
    for field in dataclasses.fields(row):
        value = getattr(row, field.name)
        if field.name not in ("key", "doc") and value not in (None, ""):
            print(f"  {field.name:8} {value}")
