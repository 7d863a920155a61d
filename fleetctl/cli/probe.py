"""`fleetctl probe`: hold a recording against its parser, list probes, try one on a host, record a host."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Try one probe by hand, or hold a recording against its parser.")


@app.callback()
def main() -> None:
    """Try one probe by hand, or hold a recording against its parser."""


@app.command("parse")
def parse_(
    vendor: Annotated[str, typer.Argument(help="Plugin whose tool made the output, e.g. nvidia, ascend, amd.")],
    command: Annotated[str, typer.Option("--command", "-c", help="The command line that made it.")] = "",
    exit_status: Annotated[int, typer.Option("--exit-status", help="How that command ended.")] = 0,
) -> None:
    """Read a tool's output on stdin and print what it says as JSON.

    Exits 0 when all was read, 1 when part was, 2 when nothing was.
    """
    from fleetctl.plugin import load_plugin
    from fleetctl.plugin.catalogue import enrich
    from fleetctl.probes.json_form import result_json
    from fleetctl.probes.parsing import exit_code, parse_text
    from fleetctl.probes.text import MAX_CHARS

    plugin = load_plugin(vendor)
    data = sys.stdin.buffer.read(MAX_CHARS + 1)
    text = data[:MAX_CHARS].decode("utf-8", errors="replace")
    parsed = parse_text(plugin, text, command=command, exit_status=exit_status, cut=len(data) > MAX_CHARS)
    print(result_json(enrich(parsed.result), parser=parsed.parser))
    raise typer.Exit(exit_code(parsed.result))
