"""What every command that prints rows does: node sets and filter words apart, filter, sort, limit, print."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from fleetctl.cli import context
from fleetctl.cli.output import Format, print_table, say
from fleetctl.i18n import _
from fleetctl.views.column import Table

if TYPE_CHECKING:
    from fleetctl.model.host import Host
    from fleetctl.model.metric import Metric

Row = TypeVar("Row")


@contextlib.contextmanager
def snapshot() -> Iterator[sqlite3.Connection]:
    """One consistent look at the store. Raises NotFoundError when nothing was polled yet."""
    with context.database() as db, db.read() as conn:
        yield conn


def split_words(words: Sequence[str] | None, filter_text: str) -> tuple[list[str], str]:
    """Node sets and the filter: `gpu[1-8] temp>80` needs no option to tell one from the other."""
    from fleetctl.views.filter import is_filter

    given = list(words or ())
    terms = [w for w in given if is_filter(w)]
    text = " ".join([f"({filter_text})" if filter_text and terms else filter_text, *terms]).strip()
    return [w for w in given if not is_filter(w)], text


def print_rows(
    table: Table[Any], *, output: Format, filter_text: str = "", sort: str = "", limit: int = 0
) -> Sequence[Any]:
    """Filter, sort, cut and print; says on stderr what was cut. Returns the rows printed."""
    from fleetctl.views.filter import compile_filter, sort_rows

    rows = list(table.rows)
    if filter_text:
        test = compile_filter(filter_text, table.columns)
        rows = [row for row in rows if test(row)]
    if sort:
        rows = sort_rows(rows, sort, table.columns)
    shown = rows[:limit] if limit else rows
    print_table(replace(table, rows=shown), output)
    if len(shown) < len(rows):
        say(_("... and {n} more; -n 0 prints all").format(n=len(rows) - len(shown)))
    return shown


def warn_if_old(newest_at: float | None) -> None:
    """Say on stderr when what is printed is old, so that nobody takes it for now."""
    from fleetctl.views.units import show_age

    now = context.now()
    if newest_at is None:
        say(_("no host has answered yet; `fleetctl engine status` says whether anybody polls"))
    elif now - newest_at > context.stale_after_s():
        say(_("the newest data is {age} old; `fleetctl engine status` says why").format(age=show_age(newest_at, now)))


def one_host(text: str) -> Host:
    """The one host a word names. Raises NotFoundError, or UsageError when it names several."""
    from fleetctl.errors import UsageError

    hosts = context.inventory().select(text)
    if len(hosts) != 1:
        raise UsageError(
            _("{text} names {n} nodes, not one").format(text=repr(text), n=len(hosts)),
            hint=_("`fleetctl nodes {text}` lists them").format(text=text),
        )
    return hosts[0]


def parse_since(text: str) -> float:
    """Seconds in `90m`, `12h`, `7d`. Raises UsageError."""
    from fleetctl.errors import UsageError
    from fleetctl.views.units import parse_duration

    seconds = parse_duration(text)
    if not seconds:
        raise UsageError(_("{text} is not a span of time").format(text=repr(text)), hint=_("write 90m, 12h or 7d"))
    return seconds


def find_metric(conn: sqlite3.Connection, kind: str, name: str) -> Metric:
    """A metric of this store by name, name without unit, or unambiguous start.

    Raises NotFoundError naming the nearest one.
    """
    from difflib import get_close_matches

    from fleetctl.errors import NotFoundError
    from fleetctl.store.catalogue import list_metrics

    metrics = {m.name: m for m in list_metrics(conn, kind)}
    if name in metrics:
        return metrics[name]
    starts = [m for m in metrics if m.startswith(f"{name}_")] or [m for m in metrics if m.startswith(name)]
    if len(starts) == 1:
        return metrics[starts[0]]
    near = starts or get_close_matches(name, list(metrics), n=3, cutoff=0.4)
    raise NotFoundError(
        _("no metric named {name} for a {kind}").format(name=repr(name), kind=kind),
        hint=_("nearest: {names}").format(names=", ".join(near[:8])) if near else ", ".join(metrics),
    )
