"""`fleetctl report health`: how the fleet stands and what changed since the last report."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ReportFormat(StrEnum):
    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


app = typer.Typer(no_args_is_help=True, help="Reports over the fleet.")


@app.callback()
def main() -> None:
    """Reports over the fleet."""


@app.command()
def health(
    form: Annotated[
        ReportFormat, typer.Option("--format", "-f", "--output", "-o", help="what to write")
    ] = ReportFormat.TEXT,
    since: Annotated[
        str, typer.Option("--since", help="compare with this long ago instead of the last report: 12h, 7d")
    ] = "",
    if_changed: Annotated[
        bool, typer.Option("--if-changed", help="print nothing when nothing changed (for cron)")
    ] = False,
    mark: Annotated[bool, typer.Option("--mark/--no-mark", help="remember this report as the last one")] = True,
    out: Annotated[
        Path | None, typer.Option("--out", help="write to this file, atomically", show_default=False)
    ] = None,
) -> int:
    """How the fleet stands, one line per folded group, and what changed since the last report.

    Exits 0 when nothing is wrong and 1 when something is, or when nobody knows.
    """
    from fleetctl.cli import context
    from fleetctl.cli.listing import parse_since, snapshot
    from fleetctl.cli.output import clean_lines, to_json
    from fleetctl.inventory.nodesets import fold
    from fleetctl.reports.health import build_report, load_facts
    from fleetctl.reports.monitoring import write_textfile
    from fleetctl.reports.render import RENDERERS, as_data

    now = context.now()
    memory = Path(context.config().store.path).expanduser().with_name("last-health-report.json")
    before = now - parse_since(since) if since else _last(memory)
    with snapshot() as conn:
        facts = load_facts(conn, context.inventory(), context.config(), now, before)
    report = build_report(facts, fold)
    if if_changed and not report.changed and before is not None:
        return report.exit_code
    text = to_json(as_data(report)) + "\n" if form is ReportFormat.JSON else clean_lines(RENDERERS[form.value](report))
    if out is None:
        print(text, end="")
    else:
        write_textfile(out, text)
    if mark and not since:
        write_textfile(memory, json.dumps({"at": now}) + "\n")
    return report.exit_code


def _last(memory: Path) -> float | None:
    """When the last report was made; None when there was none, or what is there makes no sense."""
    try:
        at = float(json.loads(memory.read_text(encoding="utf-8"))["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return at if 0 < at < time.time() + 86400 else None
