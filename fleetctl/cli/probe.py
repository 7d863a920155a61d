"""`fleetctl probe`: hold a recording against its parser, list probes, try one on a host, record a host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli.options import NodeArgument, OutputOption
from fleetctl.cli.output import Format, say, to_json
from fleetctl.errors import NotFoundError, UsageError
from fleetctl.i18n import _

if TYPE_CHECKING:
    from fleetctl.model.host import Host

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
    from fleetctl.probes.json_form import result_dict
    from fleetctl.probes.parsing import exit_code, parse_text
    from fleetctl.probes.text import MAX_CHARS

    plugin = load_plugin(vendor)
    data = sys.stdin.buffer.read(MAX_CHARS + 1)
    text = data[:MAX_CHARS].decode("utf-8", errors="replace")
    parsed = parse_text(plugin, text, command=command, exit_status=exit_status, cut=len(data) > MAX_CHARS)
    print(to_json({**result_dict(enrich(parsed.result)), "parser": parsed.parser or None}))
    raise typer.Exit(exit_code(parsed.result))


@app.command("list")
def list_(
    vendor: Annotated[str, typer.Argument(help="only this plugin", show_default=False)] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """All probes and every output form that can be read."""
    from fleetctl.cli.output import print_table
    from fleetctl.plugin import load_plugins
    from fleetctl.views.probe_forms import probe_rows, probe_table

    rows = [row for row in probe_rows(load_plugins()[0]) if vendor in ("", row.plugin)]
    if not rows:
        raise NotFoundError(
            _("no plugin {name} with probes").format(name=vendor), hint=_("`fleetctl plugins` lists all")
        )
    print_table(probe_table(rows), output)


@app.command("run")
def run(
    node: NodeArgument,
    names: Annotated[
        list[str] | None, typer.Argument(help="probes, e.g. nvidia.query; none: all that fit the host")
    ] = None,
) -> None:
    """Ask one host by hand and print what was understood, as `probe parse` does. Writes nothing."""
    import asyncio

    from fleetctl.cli import context
    from fleetctl.collector.by_hand import ask_host, chosen_probes
    from fleetctl.plugin.catalogue import enrich
    from fleetctl.probes.json_form import merged, result_dict
    from fleetctl.probes.parsing import exit_code

    host = _one_host(node)
    answers = asyncio.run(ask_host(context.config(), host, chosen_probes(names or ())))
    if not answers:
        raise NotFoundError(_("no probe fits {node}").format(node=host.name), hint=_("`fleetctl probe list` shows all"))
    for answer in answers:
        status = f"{answer.output.outcome}, exit status {answer.output.exit_status}, {answer.took_s:.2f} s"
        say(f"{answer.probe.name}: {status}")
    result = enrich(merged([a.result for a in answers]))
    print(to_json({**result_dict(result), "parser": ", ".join(a.probe.name for a in answers)}))
    raise typer.Exit(exit_code(result))


@app.command("record")
def record(
    node: NodeArgument,
    folder: Annotated[Path, typer.Option("--to", help="folder for the recordings")] = Path("recordings"),
    names: Annotated[list[str] | None, typer.Option("--probe", help="only these probes")] = None,
) -> None:
    """Save what a host's tools print, scrubbed of names, as fixtures a parser can be held against."""
    import asyncio

    from fleetctl.cli import context
    from fleetctl.collector.by_hand import ask_host, chosen_probes, save_recording

    host = _one_host(node)
    answers = asyncio.run(ask_host(context.config(), host, chosen_probes(names or ())))
    if not answers:
        raise NotFoundError(_("no probe fits {node}").format(node=host.name), hint=_("`fleetctl probe list` shows all"))
    for answer in answers:
        path = save_recording(folder, host, answer)
        print(path)
    text = _("{count} recordings; read them before you give them away: names in free text may be left")
    print(text.format(count=len(answers)), file=sys.stderr)


def _one_host(node: str) -> Host:
    from fleetctl.cli import context

    hosts = context.select_hosts([node])
    if len(hosts) != 1:
        raise UsageError(_("{nodes} names {count} hosts").format(nodes=node, count=len(hosts)), hint=_("name one"))
    return hosts[0]
