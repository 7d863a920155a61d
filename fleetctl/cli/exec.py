"""`fleetctl exec`: a command on many hosts; hosts that say the same are shown once, as clush -b does."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetctl.cli.context import complete_nodes
from fleetctl.cli.output import Format
from fleetctl.errors import UsageError
from fleetctl.i18n import _

if TYPE_CHECKING:
    from fleetctl.model.host import Host
    from fleetctl.transport.fanout import HostOutput

app = typer.Typer(rich_markup_mode=None)

RULE = "-" * 15
PROGRESS_EVERY_S = 0.25
PROGRESS_WIDTH = 79
EXAMPLES = 3  # failures of one kind that are shown in full
KEPT_BYTES = 512 << 20  # of all answers together; with many hosts each may keep less than --max-bytes
LEAST_BYTES = 16 << 10

_Nodes = Annotated[
    str, typer.Argument(metavar="NODES", autocompletion=complete_nodes, help="node set: gpu[001-128], @rack12, @*")
]
_Command = Annotated[list[str], typer.Argument(metavar="COMMAND...", help="run by the user's shell on each host")]


@app.command(context_settings={"allow_interspersed_args": False})
def exec_(
    nodes: _Nodes,
    command: _Command,
    fanout: Annotated[int, typer.Option("--fanout", "-f", help="hosts at once", min=1, max=4096)] = 64,
    timeout: Annotated[float, typer.Option("--timeout", "-t", help="seconds the command may take", min=0.1)] = 60.0,
    max_bytes: Annotated[
        int, typer.Option(help="output kept per host, in bytes; less with many", min=1024)
    ] = 1_048_576,
    lines: Annotated[bool, typer.Option("--lines", "-L", help="print `host: line` as it comes, unfolded")] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="give this command's standard input to every host")] = False,
    output: Annotated[
        Format,
        typer.Option("--output", "-o", help="table (folded text), json, yaml, csv, or name (where it succeeded)"),
    ] = Format.TABLE,
    json_: Annotated[bool, typer.Option("--json", help="the same as -o json")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress on standard error")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say who would run it, run nothing")] = False,
) -> int:
    """Run a command on many hosts over SSH and fold equal output.

    Options stand before NODES; all that follows NODES is the command. Exit status: 0 all succeeded, 1 some failed,
    4 all refused us, 6 none answered.
    """
    from fleetctl.cli import context

    if command[0] == "--":  # habit from ssh and kubectl; no shell starts a command with it
        command = command[1:]
    if not command:
        raise UsageError(_("no command"), hint=_("for example `fleetctl exec {nodes} uptime`").format(nodes=nodes))
    hosts = context.select_hosts([nodes])
    if not hosts:
        raise UsageError(_("{nodes} names no host").format(nodes=nodes), hint=_("`fleetctl nodes -o name` lists all"))
    if dry_run:
        print(_folded(h.name for h in hosts))
        return 0
    if stdin and nodes == "-":
        raise UsageError(_("--stdin and node set - both want standard input"), hint=_("name the hosts"))
    max_bytes = min(max_bytes, max(LEAST_BYTES, KEPT_BYTES // len(hosts)))
    data = sys.stdin.buffer.read(64_000_000) if stdin else b""
    shown = Format.JSON if json_ else output
    progress = _Progress(hosts, on=sys.stderr.isatty() and not quiet)
    answers: list[HostOutput] = []

    def take(answer: HostOutput) -> None:
        answers.append(answer)
        progress.done(answer)
        if lines and shown is Format.TABLE:
            progress.clear()
            _print_lines(answer)

    import asyncio

    try:
        asyncio.run(_run(hosts, " ".join(command), data, fanout, timeout, max_bytes, take))
    finally:
        progress.clear()
        _report(answers, hosts, shown, folded=not lines)
    return exit_code(answers)


async def _run(
    hosts: Sequence[Host], command: str, stdin: bytes, fanout: int, timeout_s: float, max_bytes: int, take: Any
) -> None:
    from fleetctl.cli import context
    from fleetctl.transport.build import build_connections
    from fleetctl.transport.fanout import run_on_hosts

    connections = build_connections(context.config())
    try:
        answers = run_on_hosts(
            connections, hosts, command, stdin=stdin, timeout_s=timeout_s, max_bytes=max_bytes, fanout=fanout
        )
        async for answer in answers:
            take(answer)
    finally:
        await connections.close()


def succeeded(answer: HostOutput) -> bool:
    """The command ran to its end, with status 0."""
    return answer.output is not None and answer.output.outcome == "done" and answer.output.exit_status == 0


def exit_code(answers: Sequence[HostOutput]) -> int:
    """One status for all: 0 when all succeeded; 4 or 6 when all failed that way; else 1."""
    codes = set(map(_code, answers))
    return codes.pop() if len(codes) == 1 else 1


def _code(answer: HostOutput) -> int:
    if answer.output is None:
        return answer.exit_code
    if answer.output.outcome in ("timeout", "lost"):
        return 6
    return 0 if succeeded(answer) else 1


def fold_outputs(answers: Sequence[HostOutput]) -> list[tuple[list[str], str, str]]:
    """Answers with equal text together: (host names, text, how it ended), the largest group first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for answer in answers:
        if answer.output is not None:
            text = answer.output.stdout + answer.output.stderr
            groups.setdefault((text.rstrip("\n"), ending(answer)), []).append(answer.host)
    return [(names, text, end) for (text, end), names in sorted(groups.items(), key=lambda g: (-len(g[1]), min(g[1])))]


def ending(answer: HostOutput) -> str:
    """How the command ended, "" for success."""
    output = answer.output
    if output is None or succeeded(answer):
        return ""
    words = {
        "timeout": _("stopped at the time limit"),
        "cut": _("cut: more output than allowed"),
        "lost": _("the connection ended first"),
        "missing": _("no such command"),
        "hung": _("hung"),
    }
    status = "-" if output.exit_status is None else output.exit_status
    return words.get(str(output.outcome)) or _("exit status {status}").format(status=status)


def _report(answers: Sequence[HostOutput], hosts: Sequence[Host], shown: Format, *, folded: bool) -> None:
    from fleetctl.cli.output import clean_lines, print_table, say

    if shown not in (Format.TABLE, Format.WIDE):
        wanted = [a for a in answers if succeeded(a)] if shown is Format.NAME else answers
        print_table(_table(wanted), shown)
    elif folded:
        for names, text, end in fold_outputs(answers):
            head = f"{_folded(names)} ({len(names)})" + (f" - {end}" if end else "")
            print(f"{RULE}\n{head}\n{RULE}\n{clean_lines(text)}".rstrip("\n"))
    sys.stdout.flush()
    kinds: dict[str, list[HostOutput]] = {}
    for answer in answers:
        if answer.output is None:
            kinds.setdefault(str(answer.error).replace("_", " "), []).append(answer)
    for kind, failed in kinds.items():
        say(f"{_folded(a.host for a in failed)} ({len(failed)}): {_(kind)}")
        for answer in failed[:EXAMPLES]:  # a thousand hosts fail alike; three show how
            say(f"  {answer.text}" + (f"\n    {answer.hint}" if answer.hint else ""))
        if len(failed) > EXAMPLES:
            say("  " + _("and {count} more").format(count=len(failed) - EXAMPLES))
    answered = {a.host for a in answers}
    if missing := [h.name for h in hosts if h.name not in answered]:
        say(f"{_folded(missing)} ({len(missing)}): " + _("interrupted before an answer"))


def _table(answers: Sequence[HostOutput]) -> Any:
    from fleetctl.views.column import Column, Table

    columns: list[Column[HostOutput]] = [
        Column("host", "host", lambda a: a.host),
        Column("outcome", "outcome", lambda a: str(a.output.outcome) if a.output else None),
        Column("exit_status", "status", lambda a: a.output.exit_status if a.output else None, right=True),
        Column("stdout", "stdout", lambda a: a.output.stdout if a.output else None),
        Column("stderr", "stderr", lambda a: a.output.stderr if a.output else None),
        Column("error", "error", lambda a: str(a.error) if a.error else None),
        Column("error_text", "error text", lambda a: a.text or None),
        Column("hint", "hint", lambda a: a.hint or None),
        Column("took_s", "took", lambda a: round(a.took_s, 3), right=True),
    ]
    return Table("node", columns, answers, lambda a: a.host)


def _print_lines(answer: HostOutput) -> None:
    from fleetctl.cli.output import clean

    if answer.output is not None:
        for line in (answer.output.stdout + answer.output.stderr).splitlines():
            print(f"{answer.host}: {clean(line)}")


def _folded(names: Any) -> str:
    from fleetctl.cli.output import fold

    return fold(names)


class _Progress:
    """One line on standard error that says how far we are and who is still waited for; only on a terminal."""

    def __init__(self, hosts: Sequence[Host], *, on: bool) -> None:
        self._waiting = {host.name for host in hosts}
        self._total = len(hosts)
        self._failed = 0
        self._on = on
        self._shown_at = float("-inf")

    def done(self, answer: HostOutput) -> None:
        self._waiting.discard(answer.host)
        self._failed += not succeeded(answer)
        if self._on and self._waiting and time.monotonic() - self._shown_at >= PROGRESS_EVERY_S:
            self._shown_at = time.monotonic()
            names = _folded(sorted(self._waiting)[:1000])
            done = self._total - len(self._waiting)
            line = _("{done}/{total} done, {failed} failed, waiting for {names}").format(
                done=done, total=self._total, failed=self._failed, names=names
            )
            print("\r\x1b[K" + line[:PROGRESS_WIDTH], end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
