"""`fleetctl db`: check, back up and measure the database while the engine runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetctl.cli.options import OutputOption
from fleetctl.cli.output import Format

app = typer.Typer(no_args_is_help=True, help="Check, back up and measure the database.")

PathOption = Annotated[
    Path | None, typer.Option("--path", help="another database than store.path: a backup", show_default=False)
]


@app.command()
def check(
    path: PathOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="leave out indexes and sealed blocks")] = False,
) -> None:
    """Read the whole database and say what is damaged. Exit 0: whole; 1: damaged."""
    from fleetctl.cli.output import print_text, say
    from fleetctl.store.database import Database
    from fleetctl.store.upkeep import check as check_store

    with Database.open(_path(path), write=False) as db:
        wrong = check_store(db, quick=quick)
        for line in wrong:
            print_text(line)
        if wrong:
            say("restore the last backup, or go on with what can be read: rounds to come are not affected")
            raise typer.Exit(1)
        say(f"{db.path}: whole")


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="file to write; it must not exist")],
    path: PathOption = None,
) -> None:
    """Copy the database as of one moment, while the engine goes on. The copy appears whole or not at all."""
    from fleetctl.cli.output import say
    from fleetctl.store.database import Database
    from fleetctl.store.upkeep import backup as back_up

    with Database.open(_path(path), write=False) as db:
        back_up(db, target)
    say(f"{target}: {target.expanduser().stat().st_size} bytes")


@app.command()
def stats(path: PathOption = None, output: OutputOption = Format.TABLE) -> None:
    """Sizes, ages and counts of the database."""
    from fleetctl.cli.output import print_table
    from fleetctl.store.database import Database
    from fleetctl.store.upkeep import stats as measure
    from fleetctl.views.store_stats import table

    with Database.open(_path(path), write=False) as db:
        print_table(table(measure(db)), output, stream=sys.stdout)


def _path(given: Path | None) -> Path | str:
    from fleetctl.cli import context

    return given if given is not None else context.config().store.path
