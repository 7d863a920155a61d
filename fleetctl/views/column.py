"""What a table is made of: one Column per thing to see; table, JSON, CSV, filter, sort and help all follow from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column of rows of one noun.

    name: stable key in JSON, CSV, filters and sort (never translated); title: English message id of the heading;
    value: the raw value, None when unknown; show: text for people, given a known value, unit included;
    width: cells it needs in a table; numbers are right-aligned; wide: only with -o wide; role: "state" words are
    translated and coloured by the screen, "age" values are epoch seconds shown as an age, "moment"
    values epoch seconds shown as a date; both are UTC text for machines.
    """

    name: str
    title: str
    value: Callable[[Row], Cell]
    show: Callable[[Any], str] | None = None
    width: int = 10
    right: bool = False
    wide: bool = False
    role: str = ""
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """Rows of one noun with their columns. key: what `-o name`, marks and the cursor go by."""

    noun: str
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    key: Callable[[Row], str]
