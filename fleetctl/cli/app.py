"""The command line: one line per command; a command's file is imported only when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fleetctl import __version__
from fleetctl.cli import coercion
from fleetctl.errors import FleetctlError, UsageError, nearest
from fleetctl.i18n import _

# name -> (module, one help line). Each module has an `app` (typer.Typer). To add a command, add its file and one line.
COMMANDS: dict[str, tuple[str, str]] = {
    "status": ("fleetctl.cli.status", "the whole fleet at a glance"),
    "nodes": ("fleetctl.cli.nodes", "nodes with reach, health, admin state and load"),
    "devices": ("fleetctl.cli.devices", "accelerators, identical rows folded"),
    "sites": ("fleetctl.cli.places:sites_app", "sites with states, capacity, load and power"),
    "pools": ("fleetctl.cli.places:pools_app", "pools with states, capacity, load and power"),
    "racks": ("fleetctl.cli.places:racks_app", "racks with states, capacity and power against budget"),
    "findings": ("fleetctl.cli.findings", "what is wrong, one line per rule"),
    "events": ("fleetctl.cli.events", "what happened, newest first"),
    "show": ("fleetctl.cli.show", "one node: cards, faults, leases, plans"),
    "why": ("fleetctl.cli.why", "the timeline of one node"),
    "top": ("fleetctl.cli.top", "the busiest, hottest or hungriest cards"),
    "history": ("fleetctl.cli.history", "one metric over time, as a plot or CSV"),
    "poll": ("fleetctl.cli.poll", "one round now, or how fresh the data is"),
    "exec": ("fleetctl.cli.exec", "a command on many hosts, output folded"),
    "init": ("fleetctl.cli.init", "write a first fleet.toml"),
    "doctor": ("fleetctl.cli.doctor", "try one host by hand and say what is wrong"),
    "engine": ("fleetctl.cli.engine", "run, stop or ask the engine"),
    "cordon": ("fleetctl.cli.cordon", "take no new work"),
    "drain": ("fleetctl.cli.drain", "take no new work and let running work end"),
    "resume": ("fleetctl.cli.resume", "bring nodes back into service"),
    "undrain": ("fleetctl.cli.resume", "the same as resume"),
    "uncordon": ("fleetctl.cli.resume", "the same as resume"),
    "maint": ("fleetctl.cli.maint", "plan a maintenance window"),
    "quarantine": ("fleetctl.cli.quarantine", "isolate nodes that are not to be trusted"),
    "life": ("fleetctl.cli.life", "stage, burn in, accept, verify, send away, retire"),
    "recheck": ("fleetctl.cli.recheck", "run the return-to-service checks"),
    "alloc": ("fleetctl.cli.alloc", "lease nodes or cards to a tenant"),
    "release": ("fleetctl.cli.release", "give a lease back"),
    "queue": ("fleetctl.cli.queue", "requests that wait, and why"),
    "jobs": ("fleetctl.cli.jobs", "jobs of Slurm and the like: where they run, what they draw"),
    "leases": ("fleetctl.cli.leases", "who holds what, until when"),
    "place": ("fleetctl.cli.place", "where and when a request would run, and why not elsewhere"),
    "reserve": ("fleetctl.cli.reserve", "hold nodes for a time to come"),
    "quota": ("fleetctl.cli.quota", "what tenants may hold"),
    "plans": ("fleetctl.cli.plans", "drains and other plans under way"),
    "audit": ("fleetctl.cli.audit", "the decision record: show, verify, export"),
    "simulate": ("fleetctl.cli.simulate", "replay a trace through the scheduler"),
    "check": ("fleetctl.cli.check", "monitoring checks: Nagios, Checkmk, Prometheus text file"),
    "report": ("fleetctl.cli.report", "health report: what changed since the last one"),
    "db": ("fleetctl.cli.db", "check, back up and measure the database"),
    "demo": ("fleetctl_demo.command", "a simulated fleet behind real SSH servers"),
    "config": ("fleetctl.cli.config", "check, show and explain fleet.toml"),
    "plugins": ("fleetctl.cli.plugins", "what is installed, and what is broken"),
    "probe": ("fleetctl.cli.probe", "try one probe by hand, or hold a recording against its parser"),
    "chips": ("fleetctl.cli.chips", "the chip catalogue"),
    "faults": ("fleetctl.cli.faults", "the fault ladder"),
    "facility": ("fleetctl.cli.facility", "BMCs, PDUs, meters: list, read, explain, doctor"),
    "power": ("fleetctl.cli.power", "power against budgets, hall by hall"),
    "cooling": ("fleetctl.cli.cooling", "supply, return, flow and leaks"),
    "energy": ("fleetctl.cli.energy", "PUE, WUE and energy over time"),
    "bmc": ("fleetctl.cli.bmc", "power status and actions of servers"),
}


class LazyGroup(TyperGroup):
    """A group that knows the names of its commands and imports a command's file only when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module, help_line = COMMANDS.get(cmd_name) or _plugin_command(cmd_name) or ("", "")
        if not module:
            return None
        path, _colon, attribute = module.partition(":")
        command = typer.main.get_command(getattr(_import(path, cmd_name), attribute or "app"))
        command.name = cmd_name
        command.short_help = help_line
        return _alike(command)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if not ctx.resilient_parsing and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = nearest(args[0], COMMANDS)
            hint = _("did you mean `fleetctl {name}`? ").format(name=near) if near else ""
            raise UsageError(
                _("no command named {name}").format(name=repr(args[0])), hint=hint + _("`fleetctl --help` lists all")
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of `--help`: names and help lines suffice, no command is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _(COMMANDS[name][1])) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Names of commands for completion, again without importing any."""
        from typer._click.shell_completion import CompletionItem

        names = [n for n in self.list_commands(ctx) if n.startswith(incomplete)]
        options = (
            [] if names and not incomplete.startswith("-") else super(TyperGroup, self).shell_complete(ctx, incomplete)
        )
        return [*(CompletionItem(n, help=COMMANDS[n][1]) for n in names), *options]


def _alike(command: Any) -> Any:
    """Help of every command looks alike: plain text, -h, and completion only at the top."""
    command.rich_markup_mode = None
    command.context_settings = {"help_option_names": ["-h", "--help"], **(command.context_settings or {})}
    command.params = [p for p in command.params if p.name not in ("install_completion", "show_completion")]
    for child in getattr(command, "commands", {}).values():
        _alike(child)
    return command


def _import(path: str, name: str) -> Any:
    """The module of a command. Raises UsageError where this installation leaves it out."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        message = _("this installation comes without {name}").format(name=repr(name))
        raise UsageError(message, hint=_("`fleetctl --help` lists all")) from error


def _plugin_command(name: str) -> tuple[str, str] | None:
    """A command some plugin brings; plugins are imported only for a name that is none of ours."""
    from fleetctl.plugin import load_plugins

    return next((p.commands[name] for p in load_plugins()[0] if name in p.commands), None)


app = typer.Typer(
    name="fleetctl",
    cls=LazyGroup,
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        print(f"fleetctl {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def main(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-C", help="fleet file, instead of the usual places", show_default=False)
    ] = None,
    lang: Annotated[str, typer.Option("--lang", help="en or zh, instead of what the environment says")] = "",
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="say more on stderr")] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Operate a fleet of AI computing power from one terminal. Without a command: the console."""
    from fleetctl.cli.context import GlobalOptions, set_options

    if lang and not lang.lower().startswith(("en", "zh")):
        raise UsageError(_("no language named {name}").format(name=repr(lang)), hint="--lang en, --lang zh")
    set_options(GlobalOptions(config, verbose, lang))
    if ctx.invoked_subcommand is None:
        from fleetctl.cli.console import open_console

        open_console()


def run(argv: list[str]) -> int:
    """Run one command line; the only place where errors become words. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A locale without Chinese must not end a report in the middle.
        getattr(stream, "reconfigure", lambda **_kw: None)(errors="backslashreplace")
    coercion.install()
    try:
        result = typer.main.get_command(app).main(argv, prog_name="fleetctl", standalone_mode=False)
        sys.stdout.flush()
    except FleetctlError as error:
        _say(str(error), error.hint)
        _trace(error)
        return error.exit_code
    except typer.TyperException as error:  # the parser's own usage errors
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "fleetctl"
        _say(error.format_message(), _("`{command} --help` shows how it is called").format(command=path))
        # To a monitoring system 2 means critical; a check that was called wrongly knows nothing.
        return 3 if path == "fleetctl check" else error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader has seen enough; what Python would flush at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # standard output on a full disk, a terminal that went away
        place = f"{error.filename}: " if error.filename else ""
        _say(place + (error.strerror or str(error)), _os_hint(error))
        _trace(error)
        return 1
    return result if isinstance(result, int) else 0


def _os_hint(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _("free disk space and try again")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) and error.filename:
        return _("check the rights of the file and of its folder")
    return _("-v prints where it happened")


def _trace(error: Exception) -> None:
    """With -v, where it happened; for a report to the developers."""
    from fleetctl.cli.context import options

    if options().verbose:
        import traceback

        traceback.print_exception(error)


def _say(message: str, hint: str) -> None:
    from fleetctl.cli.output import clean_lines

    print(clean_lines(f"fleetctl: {message}"), file=sys.stderr)
    if hint:
        print(clean_lines(f"  {hint}"), file=sys.stderr)
