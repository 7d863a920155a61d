"""Reading traces: nodes and jobs from CSV, plain or gzipped, in openb's columns or our own.

openb (Alibaba, 2023): nodes `sn,cpu_milli,memory_mib,gpu,model`, pods `name,cpu_milli,memory_mib,num_gpu,gpu_milli,...`.
Ours: nodes may add `site,rack,power_cap_w`; jobs are `job,submit_s,duration_s,gpus` and, optionally, `gpu_milli,
cpu_milli,memory_mib,model,tenant,estimate_s,site,movable`. A file is read line by line and never held as text; what is
wrong is a UsageError that names file, line and column.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fleetctl.errors import NotFoundError, UsageError
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.task import WHOLE, Task, TaskClass

MAX_LINE = 65_536  # characters; a longer line is no trace
MAX_BYTES = 2 * 2**30  # of text, so that a small archive cannot unpack for ever
BYTES_OF_A_LINE = 256  # counted beside its text, so that a flood of blank lines ends too
MAX_NODES = 200_000
MAX_JOBS = 3_000_000
MAX_KINDS = 100_000  # asks that are read once for all lines with the same words
MAX_CARDS = 256  # of one node
MAX_NUMBER = 10**12

GZIP = b"\x1f\x8b"
_NO_UTF8 = re.compile("[\udc80-\udcff]")

OPENB_JOB = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
OWN_JOB = ("job", "submit_s", "duration_s", "gpus")
NODE = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
MORE = (
    *(
        "gpu_milli",
        "cpu_milli",
        "memory_mib",
        "model",
        "tenant",
        "estimate_s",
        "site",
        "movable",
        "rack",
        "power_cap_w",
    ),
    *("gpu_spec", "creation_time", "deletion_time", "scheduled_time"),
)
KNOWN = {*OPENB_JOB, *OWN_JOB, *NODE, *MORE}
_YES = {"1", "true", "yes", "y"}
_NO = {"", "0", "false", "no", "n"}


def read_nodes(path: Path) -> list[NodeSpec]:
    """Nodes in order of the file. Raises UsageError, NotFoundError."""
    nodes: list[NodeSpec] = []
    names: set[str] = set()
    for row in _rows(path, NODE, MAX_NODES):
        name = row.text("sn")
        if not name:
            raise row.wrong("sn", "a node needs a name")
        if name in names:
            raise row.wrong("sn", f"{name} stands here twice")
        names.add(name)
        nodes.append(
            NodeSpec(
                name,
                row.whole("cpu_milli"),
                row.whole("memory_mib"),
                row.whole("gpu", most=MAX_CARDS),
                row.text("model"),
                row.text("site"),
                row.text("rack"),
                row.number("power_cap_w"),
            )
        )
    if not nodes:
        raise UsageError(f"{path}: no nodes", hint=f"one line per node: {','.join(NODE)}")
    return nodes


def read_jobs(path: Path, watch: Callable[[int], None] | None = None) -> list[Task]:
    """Jobs in order of the file, in either form. watch: is told how many after each. Raises UsageError, NotFoundError."""
    kinds = _Kinds()
    jobs: list[Task] = []
    for row in _rows(path, OPENB_JOB, MAX_JOBS, other=OWN_JOB):
        jobs.append(_openb_job(row, kinds) if row.has("num_gpu") else _own_job(row, kinds))
        if watch is not None:
            watch(len(jobs))
    return jobs


class _Row:
    """One line with what is needed to say what is wrong with it."""

    __slots__ = ("_columns", "_line", "_path", "_values")

    def __init__(self, path: Path, line: int, columns: Mapping[str, int], values: list[str]) -> None:
        self._path, self._line, self._columns, self._values = path, line, columns, values

    def has(self, column: str) -> bool:
        return column in self._columns

    def text(self, column: str) -> str:
        """ "" where the column or its value is missing."""
        place = self._columns.get(column)
        return "" if place is None or place >= len(self._values) else self._values[place].strip()

    def texts(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """As text, of several; not stripped."""
        places, values = self._columns, self._values
        return tuple([values[p] if (p := places.get(c, len(values))) < len(values) else "" for c in columns])

    def number(self, column: str, *, needed: bool = False) -> float | None:
        """A number of at least 0; None where it is missing."""
        text = self.text(column)
        if not text:
            if needed:
                raise self.wrong(column, "a number is missing")
            return None
        try:
            if not text.isascii() or "_" in text:  # which float takes, and no other reader of the file
                raise ValueError
            value = float(text)
        except ValueError:
            raise self.wrong(column, f"{text[:40]!r} is not a number") from None
        if not (math.isfinite(value) and 0 <= value <= MAX_NUMBER):
            raise self.wrong(column, f"{text[:40]} is out of range")
        return value

    def whole(self, column: str, *, default: int | None = None, most: int = MAX_NUMBER) -> int:
        value = self.number(column, needed=default is None)
        if value is None:
            return default or 0
        if value != int(value):
            raise self.wrong(column, f"{value:g} is not a whole number")
        if value > most:
            raise self.wrong(column, f"{value:g} is more than {most}")
        return int(value)

    def flag(self, column: str) -> bool:
        text = self.text(column).lower()
        if text not in _YES | _NO:
            raise self.wrong(column, f"{text[:40]!r} is neither 1 nor 0")
        return text in _YES

    def wrong(self, column: str, what: str) -> UsageError:
        place = self._columns.get(column)
        where = f"column {column}" + ("" if place is None else f" (number {place + 1})")
        return UsageError(
            f"{self._path}: line {self._line}, {where}: {what}", hint="`fleetctl simulate --help` names the columns"
        )


class _Kinds:
    """What jobs ask for. The same words are read once, and equal classes and tenants share one object."""

    def __init__(self) -> None:
        self._of_words: dict[tuple[str, ...], tuple[TaskClass, TaskClass | None]] = {}
        self._classes: dict[TaskClass, TaskClass] = {}
        self._tenants: dict[str, str] = {}

    def tenant(self, name: str) -> str:
        return self._tenants.setdefault(name, name)

    def read(self, row: _Row, gpus: str, models: str) -> tuple[TaskClass, TaskClass | None]:
        """(what it asks for, the same without its site where it may move). gpus, models: names of columns."""
        words = row.texts((gpus, "gpu_milli", "cpu_milli", "memory_mib", models, "site", "movable"))
        found = self._of_words.get(words)
        if found is None:
            if len(self._of_words) >= MAX_KINDS:
                self._of_words.clear()
            found = self._of_words[words] = self._parse(row, gpus, models)
        return found

    def _parse(self, row: _Row, gpus: str, models: str) -> tuple[TaskClass, TaskClass | None]:
        cards, site = row.whole(gpus, most=MAX_JOBS), row.text("site")
        milli = row.whole("gpu_milli", default=WHOLE) if cards else WHOLE
        if not 1 <= milli <= WHOLE:
            raise row.wrong("gpu_milli", f"{milli} is not in 1..{WHOLE}")
        accepted = tuple(sorted({m.strip() for m in row.text(models).split("|") if m.strip()}))
        cpu, memory = row.whole("cpu_milli", default=0), row.whole("memory_mib", default=0)
        kind = TaskClass(cpu, memory, cards, milli, accepted, site)
        free = TaskClass(cpu, memory, cards, milli, accepted) if row.flag("movable") and site else None
        share = self._classes.setdefault
        return share(kind, kind), None if free is None else share(free, free)


def _openb_job(row: _Row, kinds: _Kinds) -> Task:
    kind, free = kinds.read(row, "num_gpu", "gpu_spec")
    submit = row.number("creation_time") or 0.0
    begun, ended = row.number("scheduled_time"), row.number("deletion_time")
    start = submit if begun is None else max(submit, begun)
    duration = None if ended is None else max(0.0, ended - start)
    return Task(_name(row, "name"), kind, submit, duration, free=free)


def _own_job(row: _Row, kinds: _Kinds) -> Task:
    kind, free = kinds.read(row, "gpus", "model")
    submit = row.number("submit_s", needed=True)
    assert submit is not None
    tenant = kinds.tenant(row.text("tenant"))
    return Task(_name(row, "job"), kind, submit, row.number("duration_s"), row.number("estimate_s"), tenant, free)


def _name(row: _Row, column: str) -> str:
    name = row.text(column)
    if not name:
        raise row.wrong(column, "a job needs a name")
    return name


def _rows(path: Path, needed: tuple[str, ...], most: int, *, other: tuple[str, ...] = ()) -> Iterator[_Row]:
    """Lines below the heading, blank ones left out. other: a second set of columns that would do."""
    try:
        with _opened(path) as file:
            reader = csv.reader(_lines(path, file))
            heading = [c.strip() for c in next(reader, [])]
            _check_heading(path, heading, needed, other)
            columns = {name: place for place, name in reversed(list(enumerate(heading)))}
            count = 0
            for values in reader:
                if not values or not any(v.strip() for v in values):
                    continue
                count += 1
                if count > most:
                    raise UsageError(f"{path}: line {reader.line_num}: more than {most} lines", hint="split the trace")
                if len(values) > len(heading):
                    raise UsageError(
                        f"{path}: line {reader.line_num}, column {len(heading) + 1}: "
                        f"{len(values)} values under {len(heading)} headings",
                        hint="a comma too many, or a quote that is missing",
                    )
                yield _Row(path, reader.line_num, columns, values)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such file", hint="a path to a CSV file, plain or .gz") from error
    except (OSError, EOFError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise UsageError(f"{path}: cannot be read: {error}", hint="a CSV file, plain or .gz") from error
    except csv.Error as error:
        raise UsageError(f"{path}: line {reader.line_num}: {error}", hint="a CSV file with a heading line") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Text of a file, unpacked where it begins as gzip does or is named so; bytes that are no UTF-8 become surrogates."""
    with path.open("rb") as raw:
        packed = path.suffix == ".gz" or raw.peek(2)[:2] == GZIP
        source = gzip.GzipFile(fileobj=raw) if packed else raw
        yield io.TextIOWrapper(source, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _lines(path: Path, file: IO[str]) -> Iterator[str]:
    read = 0
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        read += len(line) + BYTES_OF_A_LINE
        if len(line) > MAX_LINE:
            raise UsageError(f"{path}: line {number}: longer than {MAX_LINE} characters", hint="this is no trace")
        if read > MAX_BYTES:
            raise UsageError(f"{path}: line {number}: more than {MAX_BYTES >> 30} GiB of text", hint="split the trace")
        if "\0" in line:
            raise UsageError(f"{path}: line {number}: holds a NUL", hint="this is no text file")
        if not line.isascii() and _NO_UTF8.search(line):
            raise UsageError(
                f"{path}: line {number}: not UTF-8", hint="iconv -f GB18030 -t UTF-8, or what it was written in"
            )
        yield line


def _check_heading(path: Path, heading: list[str], needed: tuple[str, ...], other: tuple[str, ...]) -> None:
    if other and "num_gpu" not in heading and ("gpus" in heading or "job" in heading):
        needed = other
    missing = [c for c in needed if c not in heading]
    twice = [c for c in heading if c in KNOWN and heading.count(c) > 1]
    if twice:
        place = len(heading) - heading[::-1].index(twice[0])
        raise UsageError(f"{path}: line 1, column {twice[0]} (number {place}): it stands there twice", hint="drop one")
    if not missing:
        return
    forms = f"{','.join(needed)}" + (f" or {','.join(other)}" if other and other != needed else "")
    unknown = [c for c in heading if c not in needed]
    instead = f"; column {heading.index(unknown[0]) + 1} is {unknown[0][:40]!r}" if unknown else ""
    raise UsageError(
        f"{path}: line 1, column {missing[0]}: it is missing{instead}", hint=f"the heading must name {forms}"
    )
