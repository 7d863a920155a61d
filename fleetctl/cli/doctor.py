"""`fleetctl doctor`: what is wrong with this installation, or with one host, and what to do about it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetctl.cli import context
from fleetctl.cli.options import NodesArgument
from fleetctl.cli.output import clean, clean_lines, to_json
from fleetctl.i18n import _

if TYPE_CHECKING:
    from fleetctl.engine.trial import Trial
    from fleetctl.model.report import Block

app = typer.Typer()

Line = tuple[str, str, str]  # "ok", "warn" or "bad"; what; next step


@app.command()
def doctor(
    nodes: NodesArgument = None,
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Check this installation; with NODES also connect to them, run every probe once, and say what is missing."""
    found: dict[str, list[Line]] = {_("this machine"): list(_installation())}
    code = 1 if any(line[0] == "bad" for line in found[_("this machine")]) else 0
    if _has_schedulers():
        from fleetctl.engine.outside import diagnose

        for name, advice in asyncio.run(diagnose(context.config(), context.inventory())).items():
            found[name] = [(a.level, a.text, a.hint) for a in advice]
            code = max(code, int(any(a.level == "bad" for a in advice)))
    if nodes:
        from fleetctl.engine.trial import try_hosts

        hosts = context.select_hosts(nodes)
        print(_("connecting to {count} hosts ...").format(count=len(hosts)), file=sys.stderr)
        for trial in asyncio.run(try_hosts(context.config(), context.inventory(), hosts)):
            found[trial.host.name] = list(_host(trial))
            code = max(code, trial.exit_code)
    if json:
        rows = [
            {"about": about, "state": s, "what": what, "next": step}
            for about, lines in found.items()
            for s, what, step in lines
        ]
        print(to_json(rows))
    else:
        for about, lines in found.items():
            print(clean(about))
            for state, what, step in lines:
                mark = {"ok": "+", "warn": "!", "bad": "x"}[state]
                print(clean_lines(f"  {mark} {what}" + (f"\n      -> {step}" if step else "")))
    if code:
        raise typer.Exit(code)


def _has_schedulers() -> bool:
    """Does fleet.toml name any? A file that cannot be read is told by the lines about this machine."""
    from fleetctl.errors import FleetctlError

    try:
        return bool(context.config().schedulers)
    except FleetctlError:
        return False


def _installation() -> Iterator[Line]:
    from fleetctl.engine.lock import is_running
    from fleetctl.errors import FleetctlError
    from fleetctl.plugin import load_plugins
    from fleetctl.store.engine_row import engine_row

    version = sys.version.split()[0]
    yield "ok", _("Python {version}").format(version=version), ""
    try:
        config, inventory = context.config(), context.inventory()
    except FleetctlError as error:
        yield "bad", str(error), error.hint
        return
    yield (
        "ok",
        _("fleet.toml: {hosts} hosts on {sites} sites").format(hosts=len(inventory.hosts), sites=len(inventory.sites)),
        "",
    )
    plugins, broken = load_plugins()
    yield "ok", _("{count} plugins").format(count=len(plugins)), ""
    for one in broken:
        yield (
            "bad",
            _("plugin {name} is broken: {error}").format(name=one.name, error=one.error),
            _("reinstall it, or remove it"),
        )
    path = Path(config.store.path)
    try:
        with context.database() as db, db.read() as conn:
            engine_row(conn)
        yield "ok", _("database {path}").format(path=path), ""
    except FleetctlError as error:
        yield ("warn" if not path.exists() else "bad"), str(error), error.hint
    if is_running(path):
        yield "ok", _("an engine runs"), ""
    else:
        yield (
            "warn",
            _("no engine runs: nothing is polled"),
            _("`fleetctl engine start`, or open the console: it starts one"),
        )


def _host(trial: Trial) -> Iterator[Line]:
    if trial.error:
        yield "bad", trial.error, trial.hint
        if trial.report is None:
            return
    if trial.connect_s is not None:
        facts = ", ".join(f"{name} {text}" for name, text in trial.facts.items() if text)
        yield "ok", _("connected in {seconds:.2f} s ({facts})").format(seconds=trial.connect_s, facts=facts), ""
    if trial.python:
        yield "ok", _("{python}: readings stream over one channel").format(python=trial.python), ""
    elif trial.report is not None:
        yield "ok", _("no python3 there: the sh loop is used"), ""
    report = trial.report
    if report is None:
        return
    for block in report.blocks:
        yield "ok", _block(block), ""
    expected = trial.host.cards
    cards = sum(1 for b in report.blocks if b.kind == "card" for d in b.devices if d.parent is None)
    if expected is not None and cards < expected:
        yield (
            "bad",
            _("{found} of {expected} cards answer").format(found=cards, expected=expected),
            _("the lines below may say why"),
        )
    for state in report.probes:
        took = f" in {state.duration_s:.2f} s" if state.duration_s is not None else ""
        level = {"done": "ok", "missing": "ok"}.get(state.outcome.value, "warn")
        yield level, f"{state.probe}: {state.outcome.value}{took} {state.text}".rstrip(), ""
    for finding in report.findings:
        step = _STEPS.get(finding.kind.value, "")
        yield (
            "warn",
            f"{finding.text}" + (f"\n      {finding.raw.splitlines()[0][:100]}" if finding.raw.strip() else ""),
            _(step) if step else "",
        )
    for fault in report.faults:
        yield (
            "warn",
            f"{fault.vendor} {fault.family} {fault.code}: {fault.meaning or fault.text}",
            (fault.action.value.replace("_", " ") if fault.action else ""),
        )


def _block(block: Block) -> str:
    if block.kind == "card":
        models = sorted({f"{d.vendor} {d.model or '-'}" for d in block.devices})
        return _("{count} cards: {models}; {values} values each").format(
            count=len(block.devices),
            models=", ".join(models),
            values=sum(v is not None for v in block.rows[0]) if block.rows else 0,
        )
    return _("{kind}: {count} values").format(
        kind=block.kind, count=sum(v is not None for row in block.rows for v in row)
    )


_STEPS = {
    "not_permitted": "add the user to the group the line names; everything else works without",
    "tool_failed": "run the tool by hand on the host; the driver may be absent or of another version",
    "tool_hung": "the driver may be stuck: look at dmesg and at processes in state D; a reboot may be needed",
    "unreadable": "`fleetctl probe record` keeps the text; please report it",
    "too_large": "the tool prints more than poll.max_output_bytes",
}
