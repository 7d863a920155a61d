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
    "status": ("fleetctl.cli.status", "the whole fleet at a glance"),
    "nodes": ("fleetctl.cli.nodes", "nodes with reach, health, admin state and load"),
    "devices": ("fleetctl.cli.devices", "accelerators, identical rows folded"),
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
    "recheck": ("fleetctl.cli.recheck", "run the return-to-service checks"),
    "alloc": ("fleetctl.cli.alloc", "lease nodes or cards to a tenant"),
    "release": ("fleetctl.cli.release", "give a lease back"),
    "queue": ("fleetctl.cli.queue", "requests that wait, and why"),
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
