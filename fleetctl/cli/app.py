"""The command line: one line per command; a command's file is imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from fleetctl.errors import FleetctlError

# name -> (module, one help line). Each module has an `app` (typer.Typer). To add a command, add its file and one line.
COMMANDS: dict[str, tuple[str, str]] = {
    "probe": ("fleetctl.cli.probe", "try one probe by hand, or hold a recording against its parser"),
}


class LazyGroup(TyperGroup):
    """A group that knows the names of its commands and imports a command's file only when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, help_line = COMMANDS[cmd_name]
        if _only_listing(ctx, cmd_name):
            return typer.main.get_command(_placeholder(help_line))
        command = typer.main.get_command(importlib.import_module(module).app)
        command.name = cmd_name
        command.short_help = help_line
        return command


def _only_listing(ctx: Any, name: str) -> bool:
    """True while `fleetctl --help` or completion prints the list: names and help lines suffice."""
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    return name not in words and "_FLEETCTL_COMPLETE" not in os.environ


def _placeholder(help_line: str) -> typer.Typer:
    app = typer.Typer()
    app.command(short_help=help_line, help=help_line)(lambda: None)
    return app


app = typer.Typer(
    name="fleetctl",
    cls=LazyGroup,
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def main(ctx: typer.Context) -> None:
    """Operate a fleet of AI computing power from one terminal. Without a command: the console."""


def run(argv: list[str]) -> int:
    """Run one command line; the only place where errors become words. Returns the exit code."""
    try:
        result = typer.main.get_command(app).main(argv, prog_name="fleetctl", standalone_mode=False)
    except FleetctlError as error:
        print(f"fleetctl: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0
