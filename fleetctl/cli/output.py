"""How a command prints: one table as table, wide, json, yaml, csv or name; the same columns everywhere.

stdout is data. What hosts say is never trusted: control characters, escapes and direction marks are shown as `\\xNN`
in tables and CSV and as `\\uNNNN` in JSON and YAML, so that no host can write to the operator's terminal.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, TextIO

from fleetctl.i18n import _, word
from fleetctl.views.column import Cell, Column, Table
from fleetctl.views.units import UNKNOWN, iso_moment, show_age

MOMENTS = ("age", "moment")  # roles of columns whose values are epoch seconds


class Format(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"
    NAME = "name"


# C0, DEL and C1 controls, direction marks and overrides, line and paragraph separators, lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
# JSON has escaped C0 already; newlines between its tokens are ours.
_UNSAFE_JSON = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_COLOURS = {
    "crit": "\x1b[31m",
    "unreachable": "\x1b[31m",
    "quarantined": "\x1b[31m",
    "warn": "\x1b[33m",
    "hung": "\x1b[33m",
    "stale": "\x1b[33m",
    "unknown": "\x1b[35m",
    "draining": "\x1b[36m",
    "drained": "\x1b[36m",
    "cordoned": "\x1b[36m",
    "maintenance": "\x1b[36m",
    "ok": "\x1b[32m",
    "fresh": "\x1b[32m",
}
_RESET = "\x1b[0m"
CUT = "~"  # ASCII: an ellipsis may take one cell or two
GAP = "  "
LONGEST = 160  # cells of one column of a table that goes to no terminal; -o wide and the machine formats cut nothing


def clean(text: str) -> str:
    """Text that is safe on a terminal: what cannot be printed is spelled out as \\xNN or \\uNNNN."""
    if text.isprintable():
        return text
    return _UNSAFE.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", text)


def clean_lines(text: str) -> str:
    """As clean(), but line ends and tabs of a longer text stay."""
    return "\n".join(clean(line.expandtabs()) for line in text.split("\n"))


@lru_cache(maxsize=4096)
def _wide_cells(text: str) -> int:
    from rich.cells import cell_len  # the tables Textual draws with, so screen and table agree

    return cell_len(text)


def cells(text: str) -> int:
    """How many cells a text takes: Chinese characters take two."""
    return len(text) if text.isascii() else _wide_cells(text)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Text in exactly `width` cells, cut with ~ where it is longer."""
    length = cells(text)
    if length > width:
        text = cut(text, width)
        length = cells(text)
    fill = " " * (width - length)
    return fill + text if right else text + fill


def cut(text: str, width: int) -> str:
    """The start of a text in at most `width` cells, ~ at its end when something is missing."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    kept, used = [], 0
    for char in text:
        size = cells(char)
        if used + size > width - 1:
            break
        kept.append(char)
        used += size
    return "".join(kept) + CUT


def use_colour(stream: TextIO) -> bool:
    """Only on a terminal that can, and never against NO_COLOR (non-empty)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, state: str) -> str:
    """Text in the colour of a state, where it has one."""
    return f"{_COLOURS[state]}{text}{_RESET}" if state in _COLOURS else text


def terminal_width(stream: TextIO) -> int | None:
    """Cells of the terminal; None when the output is no terminal and nothing needs to be cut."""
    if not stream.isatty():
        return None
    return max(shutil.get_terminal_size((80, 24)).columns, 40)


def fold(names: Iterable[str]) -> str:
    """Names folded into ranges, as ClusterShell does: gpu[001-003,007]."""
    from fleetctl.inventory.nodesets import fold as fold_names

    return fold_names(names)


def shown_columns(columns: Sequence[Column[Any]], fmt: Format) -> list[Column[Any]]:
    """Columns of a table for people: without the wide ones unless asked. Machine formats carry all."""
    return [c for c in columns if fmt is not Format.TABLE or not c.wide]


def texts(column: Column[Any], rows: Sequence[Any], now: float) -> list[str]:
    """One column as people read it: unknown is a dash, states are translated, ages are relative to now."""
    values = [column.value(row) for row in rows]
    show = column.show
    if show is not None:
        shown = [UNKNOWN if v is None else show(v) for v in values]
    elif column.role == "age":
        shown = [UNKNOWN if v is None else show_age(float(v), now) for v in values]
    elif column.role == "state":
        words = {v: UNKNOWN if v is None else word(str(v)) for v in set(values)}
        shown = [words[v] for v in values]
    else:
        shown = [UNKNOWN if v is None or v == "" else _plain(v) for v in values]
    return shown if "".join(shown).isprintable() else [clean(t) for t in shown]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return f"{value:g}" if isinstance(value, float) else str(value)


def table_lines(
    table: Table[Any], *, wide: bool = False, width: int | None = None, colour: bool = False, now: float | None = None
) -> list[str]:
    """The lines of a table, heading first. width: cells it must fit into; left-aligned columns give way, last first."""
    moment = time.time() if now is None else now
    columns = shown_columns(table.columns, Format.WIDE if wide else Format.TABLE)
    titles = [_(c.title).upper() if _(c.title).isascii() else _(c.title) for c in columns]
    body = [texts(c, table.rows, moment) for c in columns]
    widths = [max(cells(title), _longest(column)) for title, column in zip(titles, body, strict=True)]
    gap = GAP
    if not wide:
        widths = [min(w, LONGEST) for w in widths]
    if width is not None:
        gap = GAP if sum(widths) + len(GAP) * (len(columns) - 1) <= width else " "
        _shrink(columns, widths, width - len(gap) * (len(columns) - 1))
    painted = [_pad_column(c, t, w) for c, t, w in zip(columns, body, widths, strict=True)]
    if colour:
        painted = [
            _paint(c, table.rows, column) if c.role == "state" else column
            for c, column in zip(columns, painted, strict=True)
        ]
    heading = gap.join(pad(t, w, right=c.right) for c, t, w in zip(columns, titles, widths, strict=True)).rstrip()
    return [heading, *(gap.join(line).rstrip() for line in zip(*painted, strict=True))]


def _longest(column: list[str]) -> int:
    if not column:
        return 0
    return max(map(len, column)) if "".join(column).isascii() else max(map(cells, column))


def _pad_column(column: Column[Any], shown: list[str], width: int) -> list[str]:
    if "".join(shown).isascii():
        if column.right:
            return [t.rjust(width) if len(t) <= width else cut(t, width) for t in shown]
        return [t.ljust(width) if len(t) <= width else cut(t, width) for t in shown]
    return [pad(t, width, right=column.right) for t in shown]


def _paint(column: Column[Any], rows: Sequence[Any], shown: list[str]) -> list[str]:
    return [paint(text, str(column.value(row))) for row, text in zip(rows, shown, strict=True)]


def _shrink(columns: Sequence[Column[Any]], widths: list[int], room: int) -> None:
    """Take cells from the widest left-aligned columns until they fit; below their declared width only if they must."""
    for lowest in ([max(c.width, 6) for c in columns], [6] * len(columns)):
        while sum(widths) > room:
            able = [i for i, c in enumerate(columns) if not c.right and widths[i] > lowest[i]]
            if not able:
                break
            widths[max(able, key=lambda i: (widths[i], i))] -= 1


def record(columns: Sequence[Column[Any]], row: Any) -> dict[str, Any]:
    """One row for machines: raw values by column name; moments as UTC text."""
    return {c.name: _moment(c.value(row)) if c.role in MOMENTS else c.value(row) for c in columns}


def records(table: Table[Any]) -> list[dict[str, Any]]:
    """All rows for machines, all columns."""
    names = [c.name for c in table.columns]
    raw = [
        [_moment(v) for v in map(c.value, table.rows)] if c.role in MOMENTS else list(map(c.value, table.rows))
        for c in table.columns
    ]
    return [dict(zip(names, values, strict=True)) for values in zip(*raw, strict=True)]


def _moment(value: Cell) -> str | None:
    return iso_moment(float(value)) if isinstance(value, int | float) else None


def to_json(data: Any) -> str:
    """JSON for people and jq: UTF-8, two spaces, and nothing a terminal would obey."""
    import json

    text = json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False, default=str)
    return text if text.isascii() and "\x7f" not in text else _UNSAFE_JSON.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def to_yaml(data: Any) -> str:
    """Block YAML with JSON scalars, which every YAML reader takes."""
    return "\n".join(_yaml(data, ""))


def _yaml(data: Any, indent: str) -> Iterable[str]:
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _yaml_item(f"{indent}{_scalar(str(key))}:", value, indent)
    elif isinstance(data, list | tuple) and data:
        for value in data:
            inner = list(_yaml(value, indent + "  "))
            yield f"{indent}- {inner[0].lstrip()}"
            yield from inner[1:]
    else:
        yield indent + _scalar(data)


def _yaml_item(head: str, value: Any, indent: str) -> Iterable[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        yield head
        yield from _yaml(value, indent + "  ")
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]*", value) and value not in _YAML_WORDS:
        return value
    text = to_json(value)
    # YAML 1.1 reads 1e-05 as a word; with a point it is a number.
    return text.replace("e", ".0e", 1) if isinstance(value, float) and "e" in text and "." not in text else text


_YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def to_csv(table: Table[Any]) -> str:
    """CSV with a heading line of column names; unknown is empty.

    A host's text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection); numbers
    and dashes stay as they are.
    """
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([c.name for c in table.columns])
    for item in records(table):
        writer.writerow(["" if v is None else _cell(clean(v)) if isinstance(v, str) else v for v in item.values()])
    return out.getvalue()


def _cell(text: str) -> str:
    """One cell of text that no spreadsheet takes for a formula."""
    return "'" + text if re.match(r"[=+@]|-[^\d\s-]", text) else text


def print_table(
    table: Table[Any], fmt: Format | str = Format.TABLE, *, stream: TextIO | None = None, now: float | None = None
) -> None:
    """Print a table in one of the formats of `-o`. `name` prints nodes folded on one line, other keys one a line."""
    out = stream or sys.stdout
    form = Format(fmt)
    if form is Format.JSON:
        out.write(to_json(records(table)) + "\n")
    elif form is Format.YAML:
        out.write(to_yaml(records(table)) + "\n")
    elif form is Format.CSV:
        out.write(to_csv(table))
    elif form is Format.NAME:
        keys = [clean(table.key(row)) for row in table.rows]
        if keys:
            out.write((fold(keys) if table.noun == "node" else "\n".join(keys)) + "\n")
    elif not table.rows:
        print(_("nothing to show"), file=sys.stderr)
    else:
        lines = table_lines(
            table,
            wide=form is Format.WIDE,
            width=None if form is Format.WIDE else terminal_width(out),
            colour=use_colour(out),
            now=now,
        )
        out.write("\n".join(lines) + "\n")


def print_data(data: Any, fmt: Format | str, *, stream: TextIO | None = None) -> None:
    """Print nested data as JSON or YAML; other formats are for tables."""
    out = stream or sys.stdout
    out.write((to_yaml(data) if Format(fmt) is Format.YAML else to_json(data)) + "\n")


def print_text(text: str) -> None:
    """Data that is text of its own, not a table, on stdout; what hosts, tenants and files say in it is made safe."""
    print(clean_lines(text), flush=True)


def say(text: str) -> None:
    """Talk: goes to stderr, so that stdout stays data."""
    print(clean_lines(text), file=sys.stderr)
