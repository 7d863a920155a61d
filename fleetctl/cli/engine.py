"""`fleetctl engine`: run it here, start it in the background, stop it, ask how it fares."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import Annotated

import typer

from fleetctl.cli import context
from fleetctl.cli.output import Format, print_table
from fleetctl.i18n import _

app = typer.Typer(no_args_is_help=True)


@app.callback()
def engine() -> None:
    """The one process per database that polls the fleet and acts on it."""


def log_formatter() -> logging.Formatter:
    """Lines of the log, with what hosts said made safe: a log is read on a terminal, too."""
    from fleetctl.cli.output import clean_lines

    class Clean(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return clean_lines(super().format(record))

    return Clean("%(asctime)s %(levelname)s %(name)s: %(message)s")


@app.command()
def run(
    rounds: Annotated[int | None, typer.Option(help="end after so many rounds", min=1)] = None,
    once: Annotated[bool, typer.Option("--once", help="the same as --rounds 1")] = False,
    follow: Annotated[bool, typer.Option("--follow", hidden=True, help="end when standard input ends")] = False,
) -> None:
    """Poll and act in this process until stopped (SIGTERM, Ctrl-C, its terminal closing). Without a terminal SIGHUP
    reads fleet.toml anew."""
    from fleetctl.engine import hangup, loop
    from fleetctl.engine.engine import Engine

    level = logging.DEBUG if context.options().verbose else logging.INFO
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter())
    logging.basicConfig(handlers=[handler], level=level)
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    config = context.config()
    one: Engine | None = None

    async def serve() -> None:
        nonlocal one
        one = Engine(config, reread=None if hangup.has_terminal() else _try_settings)
        if follow:
            running = asyncio.get_running_loop()
            threading.Thread(
                target=lambda: (sys.stdin.buffer.read(), running.call_soon_threadsafe(one.stop)), daemon=True
            ).start()
        await one.run(rounds=1 if once else rounds)

    loop.run(serve())
    if one is not None and one.start_again:
        hangup.start_again()


def _try_settings() -> None:
    """Raises FleetctlError when the fleet file as it is now would not start an engine."""
    from fleetctl.config import load_config
    from fleetctl.inventory import build_inventory

    build_inventory(load_config(context.options().config))


@app.command()
def start() -> None:
    """Start the engine in the background; it stays when this terminal closes."""
    from pathlib import Path

    from fleetctl.config import find_config
    from fleetctl.engine.child import ensure_engine, log_path, wait_until_running

    database = Path(context.config().store.path)
    child = ensure_engine(database, find_config(context.options().config).resolve(), follow=False)
    if child is None:
        print(_("an engine runs already"), file=sys.stderr)
        return
    wait_until_running(child, database)
    print(
        _("engine started (pid {pid}); its log: {log}").format(pid=child.pid, log=log_path(database)), file=sys.stderr
    )


@app.command()
def stop() -> None:
    """Stop the running engine in order."""
    from pathlib import Path

    from fleetctl.engine.child import stop_engine

    pid = stop_engine(Path(context.config().store.path))
    print(_("engine stopped (pid {pid})").format(pid=pid), file=sys.stderr)


@app.command()
def status(output: Annotated[Format, typer.Option("--output", "-o")] = Format.TABLE) -> None:
    """Whether an engine runs, since when, and how its last round went. Exit 6 when none runs."""
    from pathlib import Path

    from fleetctl.engine.lock import is_running
    from fleetctl.views.engine import load_engine_table

    running = is_running(Path(context.config().store.path))
    with context.database() as db, db.read() as conn:
        print_table(load_engine_table(conn, running), output)
    if not running:
        raise typer.Exit(6)
