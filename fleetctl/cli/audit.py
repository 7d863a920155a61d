"""`fleetctl audit`: the decision record: who decided what, and proof that nobody changed it since."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetctl.cli import context
from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format, print_data, print_table, say
from fleetctl.views.moments import moment

app = typer.Typer(invoke_without_command=True)


@app.callback()
def audit(ctx: typer.Context) -> None:
    """The decision record: show, verify, export."""
    if ctx.invoked_subcommand is None:
        show()


@app.command()
def show(
    subject: Annotated[str, typer.Argument(help="node, plan, lease or request; nothing: all")] = "",
    verb: Annotated[str, typer.Option("--verb", help="only this verb")] = "",
    since: Annotated[str, typer.Option("--since", help="how far back: 2h, 3d, or a time")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="newest so many; 0: all")] = 50,
    output: OutputOption = Format.TABLE,
) -> None:
    """Who decided what, when and why, in order."""
    from fleetctl.views.audit import load_audit
    from fleetctl.views.units import parse_duration

    now = context.now()
    back = parse_duration(since) if since else None
    at = now - back if back is not None else moment(since, now) if since else None
    with context.database() as db, db.read() as conn:
        print_table(load_audit(conn, subject=subject, verb=verb, since=at, limit=limit or None), output)


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="an export; nothing: the database")] = None,
    head: Annotated[str, typer.Option("--head", help="hash the last entry must have, noted elsewhere")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Walk the chain of hashes. Exits 1 when an entry was changed, taken out or cut off."""
    from dataclasses import asdict

    from fleetctl.errors import FleetctlError, NotFoundError
    from fleetctl.store.audit import iter_audit, parse_line, verify_entries

    if file is None:
        with context.database() as db, db.read() as conn:
            verdict = verify_entries(iter_audit(conn), head=head)
    else:
        try:
            with file.open(encoding="utf-8") as lines:
                verdict = verify_entries((parse_line(line) for line in lines if line.strip()), head=head)
        except OSError as error:
            raise NotFoundError(f"{file}: {error.strerror}") from error
        except ValueError as error:
            raise FleetctlError(f"{file}: {error}", hint="it must be what `fleetctl audit export` wrote") from error
    if output in (Format.JSON, Format.YAML):
        print_data({**asdict(verdict), "ok": verdict.ok}, output)
    elif verdict.ok:
        print(f"{verdict.entries} entries, unbroken; head {verdict.head or '-'}")
    if not verdict.ok:
        raise FleetctlError(
            f"the record is broken at entry {verdict.broken_at}: {verdict.why}",
            hint="compare with an earlier export; `fleetctl db backup` keeps what is there",
        )


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="where to; nothing: standard output")] = None,
) -> None:
    """One JSON object per line; needs only itself to be verified. Prints the head hash to note elsewhere."""
    from fleetctl.store.audit import export_line, iter_audit

    head, count = "", 0
    out = sys.stdout if file is None else file.open("x", encoding="utf-8")
    try:
        with context.database() as db, db.read() as conn:
            for entry in iter_audit(conn):
                out.write(export_line(entry) + "\n")
                head, count = entry.hash, count + 1
    finally:
        if file is not None:
            out.close()
    say(f"{count} entries; head {head or '-'}")
