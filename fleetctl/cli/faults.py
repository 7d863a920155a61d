"""`fleetctl faults`: the fault ladder, and what one code means."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format
from fleetctl.errors import NotFoundError
from fleetctl.i18n import _

app = typer.Typer(no_args_is_help=True, help="The fault ladder.", rich_markup_mode=None)


@app.command("list")
def list_(
    vendor: Annotated[str, typer.Argument(help="only this vendor", show_default=False)] = "",
    family: Annotated[str, typer.Option(help="xid, sxid, npu, ras, remap, link, driver, bus")] = "",
    action: Annotated[str, typer.Option(help="only this rung, e.g. reset_now")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """All codes with meaning and action."""
    from fleetctl.cli.output import print_table
    from fleetctl.plugin.catalogue import ladder
    from fleetctl.views.chips import fault_table

    entries = [
        e
        for e in ladder().entries
        if vendor in ("", e.vendor) and family in ("", e.family) and action in ("", str(e.action or ""))
    ]
    print_table(fault_table(entries), output)


@app.command("show")
def show(
    code: Annotated[str, typer.Argument(help="code as printed: 79, 0x80E01801")],
    family: Annotated[str, typer.Option(help="xid, sxid, npu ... where one code is in several")] = "",
    output: OutputOption = Format.YAML,
) -> None:
    """What one code means, what it asks for, and who says so."""
    from fleetctl.cli.output import print_table
    from fleetctl.model.fault import plain_code
    from fleetctl.plugin.catalogue import ladder
    from fleetctl.views.chips import fault_table

    wanted = plain_code(code)
    entries = [e for e in ladder().entries if plain_code(e.code) == wanted and family in ("", e.family)]
    if not entries:
        raise NotFoundError(
            _("no fault code {code}").format(code=code), hint=_("`fleetctl faults list` shows all codes")
        )
    print_table(fault_table(entries), output)
