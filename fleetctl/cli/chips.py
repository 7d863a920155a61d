"""`fleetctl chips`: the chip catalogue, what one entry says, and what a printed name means."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_text
from fleetctl.errors import NotFoundError
from fleetctl.i18n import _

if TYPE_CHECKING:
    from fleetctl.model.chip import Chip

app = typer.Typer(no_args_is_help=True, help="The chip catalogue.", rich_markup_mode=None)

_Own = Annotated[
    Path | None, typer.Option("--own", help="your own entries on top, in the format of docs/reference/chips.md")
]


@app.command("list")
def list_(
    vendor: Annotated[str, typer.Argument(help="only this vendor", show_default=False)] = "",
    own: _Own = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """All chips: memory, power, dense peaks, and how far to trust them."""
    from fleetctl.cli.output import print_table
    from fleetctl.plugin.catalogue import catalogue
    from fleetctl.views.chips import chip_table

    chips = [c for c in catalogue(own).chips if vendor in ("", c.vendor)]
    if not chips:
        raise NotFoundError(
            _("no chip of vendor {vendor}").format(vendor=vendor), hint=_("`fleetctl plugins` lists the vendors")
        )
    print_table(chip_table(chips), output)


@app.command("show")
def show(
    chip: Annotated[str, typer.Argument(help="name in the catalogue, or as a tool prints it")],
    own: _Own = None,
    output: OutputOption = Format.YAML,
) -> None:
    """Everything the catalogue says of one chip, with its source."""
    from fleetctl.cli.output import print_table
    from fleetctl.plugin.catalogue import catalogue
    from fleetctl.views.chips import chip_table

    book = catalogue(own)
    found = [c for c in book.chips if c.chip.lower() == chip.lower()]
    if not found:
        result = book.resolve(chip)
        found = [result.chip] if result.chip is not None else list(result.candidates)
    if not found:
        raise NotFoundError(
            _("no chip {name} in the catalogue").format(name=chip), hint=_("`fleetctl chips list` shows all")
        )
    print_table(chip_table(found), output)


@app.command("resolve")
def resolve(
    names: Annotated[
        list[str] | None, typer.Argument(help="names as tools print them; none: all cards of the fleet")
    ] = None,
    vendor: Annotated[str, typer.Option(help="plugin whose tool prints it")] = "",
    memory_mib: Annotated[float, typer.Option(help="memory as printed, to choose between editions")] = 0.0,
    power_cap_w: Annotated[float, typer.Option(help="power cap as printed, to choose between editions")] = 0.0,
    own: _Own = None,
) -> None:
    """Which chip a printed name means. Exits 1 when a name means none, or several."""
    from fleetctl.plugin.catalogue import catalogue

    book = catalogue(own)
    asked = [(vendor or None, n, memory_mib * 2**20 or None, power_cap_w or None, 1) for n in names or ()]
    missed = 0
    for maker, name, memory, cap, count in asked or _fleet():
        result = book.resolve(name, vendor=maker, memory_bytes=memory, power_cap_w=cap)
        many = "  (" + _("{count} cards").format(count=count) + ")" if count > 1 else ""
        if result.chip is not None:
            print_text(f"{name}{many}: {result.chip.vendor} {result.chip.chip} [{result.chip.confidence}]")
            continue
        missed += count
        print_text(f"{name or _('(no name)')}{many}: {_candidates(result.candidates)}")
    if missed:
        text = _("{count} cards have no entry: they count in cards and not in FLOPS")
        print(text.format(count=missed), file=sys.stderr)
        raise typer.Exit(1)


def _candidates(candidates: tuple[Chip, ...]) -> str:
    if not candidates:
        return _("not in the catalogue")
    return _("one of {names}").format(names=", ".join(c.chip for c in candidates))


def _fleet() -> list[tuple[str | None, str, float | None, float | None, int]]:
    """Names of all cards the store knows, counted."""
    from collections import Counter

    from fleetctl.cli import context
    from fleetctl.store.devices import list_devices

    with context.database() as db, db.read() as conn:
        devices = list_devices(conn, kind="card", gone=False)
    counts = Counter((row.device.vendor, row.device.model or "") for row in devices)
    return [(vendor, model, None, None, count) for (vendor, model), count in counts.items()]
