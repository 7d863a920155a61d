"""The filter language of tables and screens: `site=lingang chip~910 temp>80 state=drain*`.

Terms stand side by side (and), or are joined by `or`; `not` or `!` denies; parentheses group. A term is
`column operator value`, or a bare word that is looked for in every text column:

    =  !=        whole value, without regard to case; * ? are wildcards; a,b means a or b; `-` means unknown;
                 a node set where the column holds node names: name=gpu[001-020]
    ~  !~        regular expression, anywhere in the value
    >  >=  <  <= number, with a unit if you like: temp>80C, power>=5.6kW, mem<10G, age>5m

A column is named by its name, by its name without the unit (`temp` for temp_c) or by any unambiguous start; `state`
means any of the four axes. Unknown values satisfy only `=-`, and every denial.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fleetctl.errors import UsageError, nearest
from fleetctl.i18n import _
from fleetctl.views.column import Cell, Column
from fleetctl.views.units import parse_duration, parse_number

Row = TypeVar("Row")
Test = Callable[[Any], bool]
_WORD = re.compile(r"""\s*(?:(?P<paren>[()])|(?P<term>(?:"[^"]*"|'[^']*'|[^\s()"'])+))""")
_TERM = re.compile(
    r"(?P<bang>!?)(?P<column>[A-Za-z_][A-Za-z0-9_.-]*)(?P<op>!=|!~|>=|<=|==|=|~|>|<)(?P<value>.*)$", re.DOTALL
)
_UNITS = ("_c", "_w", "_pct", "_bytes", "_s", "_mhz", "_rpm", "_at", "_j")
MAX_DEPTH = 50  # nesting; a person never gets there, a paste might


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    at: int  # 0-based position in the filter


def compile_filter(
    text: str, columns: Sequence[Column[Row]], *, now: Callable[[], float] = time.time
) -> Callable[[Row], bool]:
    """A test for rows. An empty filter keeps all. now: for columns that hold moments and are asked for their age.

    Raises UsageError naming the position, and for an unknown column the nearest known one.
    """
    reader = _Reader(text, columns, now)
    if not reader.tokens:
        return lambda row: True
    test = reader.any_of()
    if reader.next < len(reader.tokens):
        token = reader.tokens[reader.next]
        raise _error(text, token.at, _("unexpected {token}").format(token=repr(token.text)))
    return test


def is_filter(word: str) -> bool:
    """Does one word of a command line read as part of a filter rather than as a node set?"""
    return word.lower() in ("and", "or", "not", "(", ")") or re.search(r"[=~<>]", word) is not None


def sort_rows(rows: Sequence[Row], spec: str, columns: Sequence[Column[Row]]) -> list[Row]:
    """Rows by columns, `-` before a name for descending: `-temp,name`. Unknown values come last either way.

    Raises UsageError as compile_filter does.
    """
    ordered = list(rows)
    reader = _Reader("", columns, time.time)
    reader.text = spec
    at = len(spec)
    for name in reversed(spec.split(",")):
        at -= len(name)
        descending = name.strip().startswith("-")
        (value,) = (c.value for c in reader.find(name.strip().lstrip("-"), at)[:1])
        known = [row for row in ordered if value(row) is not None]
        known.sort(key=lambda row: _order_key(value(row)), reverse=descending)
        ordered = known + [row for row in ordered if value(row) is None]
        at -= 1
    return ordered


def _order_key(value: Cell) -> tuple[bool, Any]:
    return isinstance(value, str), value


def _error(text: str, at: int, message: str, hint: str = "") -> UsageError:
    marker = f"{text}\n  {' ' * at}^" if "\n" not in text else text
    where = _("filter, position {at}").format(at=at + 1)
    return UsageError(f"{where}: {message}", hint=f"{marker}{chr(10) + '  ' + hint if hint else ''}")


class _Reader:
    """Recursive descent: any_of is all_of (or all_of)*; all_of is one+; one is `not` one, (any_of) or a term."""

    def __init__(self, text: str, columns: Sequence[Column[Any]], now: Callable[[], float]) -> None:
        self.text, self.columns, self.now = text, columns, now
        self.tokens = self._split()
        self.next = 0
        self.depth = 0

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        while self.text[at:].strip():
            found = _WORD.match(self.text, at)
            if found is None:
                start = at + len(self.text[at:]) - len(self.text[at:].lstrip())
                raise _error(self.text, start, _("a quotation mark is not closed"))
            name = "paren" if found["paren"] else "term"
            tokens.append(_Token(found[name], found.start(name)))
            at = found.end()
        return tokens

    def _peek(self) -> str:
        return self.tokens[self.next].text.lower() if self.next < len(self.tokens) else ""

    def any_of(self) -> Test:
        tests = [self._all_of()]
        while self._peek() in ("or", "||"):
            self.next += 1
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else lambda row: any(t(row) for t in tests)

    def _all_of(self) -> Test:
        tests = [self._one()]
        while (word := self._peek()) and word not in ("or", "||", ")"):
            if word in ("and", "&&"):
                self.next += 1
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda row: all(t(row) for t in tests)

    def _one(self) -> Test:
        if self.next >= len(self.tokens):
            raise _error(self.text, len(self.text), _("the filter ends too early"))
        token = self.tokens[self.next]
        self.next += 1
        word = token.text.lower()
        if word in ("not", "!"):
            return self._deeper(token, self._one, deny=True)
        if word == "(":
            test = self._deeper(token, self.any_of)
            if self._peek() != ")":
                raise _error(self.text, token.at, _("this parenthesis is not closed"))
            self.next += 1
            return test
        if word in (")", "or", "||", "and", "&&"):
            raise _error(self.text, token.at, _("unexpected {token}").format(token=repr(token.text)))
        return self._term(token)

    def _deeper(self, token: _Token, read: Callable[[], Test], *, deny: bool = False) -> Test:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _error(self.text, token.at, _("nested too deeply"))
        test = read()
        self.depth -= 1
        return (lambda row: not test(row)) if deny else test

    def _term(self, token: _Token) -> Test:
        found = _TERM.match(token.text)
        if found is None:
            return self._bare(token)
        op, value = found["op"], found["value"]
        columns = self.find(found["column"], token.at + len(found["bang"]))
        at = token.at + found.start("value")
        value = _unquote(value)
        if value == "":
            raise _error(self.text, at, _("a value is missing after {op}").format(op=op))
        tests = [self._compare(c, op.removeprefix("!") or op, value, at) for c in columns]
        deny = op.startswith("!") != bool(found["bang"])
        values = [c.value for c in columns]
        if len(tests) == 1:
            test, get = tests[0], values[0]
            return (lambda row: not test(get(row))) if deny else (lambda row: test(get(row)))
        pairs = list(zip(tests, values, strict=True))
        if deny:
            return lambda row: not any(t(g(row)) for t, g in pairs)
        return lambda row: any(t(g(row)) for t, g in pairs)

    def _bare(self, token: _Token) -> Test:
        deny = token.text.startswith("!")
        needle = _unquote(token.text.removeprefix("!")).lower()
        gets = [c.value for c in self.columns if not c.right and c.role != "age"]

        def test(row: Any) -> bool:
            return any(isinstance(v, str) and needle in v.lower() for v in (g(row) for g in gets))

        return (lambda row: not test(row)) if deny else test

    def find(self, name: str, at: int) -> list[Column[Any]]:
        """The columns a name means. `state` means all columns with that role."""
        wanted = name.lower()
        by_name = {c.name: c for c in self.columns}
        if wanted in by_name:
            return [by_name[wanted]]
        if wanted == "state":
            states = [c for c in self.columns if c.role == "state"]
            if states:
                return states
        for unit in _UNITS:
            if wanted + unit in by_name:
                return [by_name[wanted + unit]]
        starts = [c for c in self.columns if c.name.startswith(wanted)]
        if len(starts) == 1:
            return starts
        if starts:
            names = ", ".join(c.name for c in starts)
            raise _error(self.text, at, _("{name} is ambiguous: {names}").format(name=repr(name), names=names))
        near = nearest(wanted, [*by_name, *(n.rsplit("_", 1)[0] for n in by_name)], cutoff=0.4)
        hint = _("did you mean {name}?").format(name=near) if near else ""
        known = _("columns: {names}").format(names=" ".join(by_name))
        raise _error(self.text, at, _("no column named {name}").format(name=repr(name)), f"{hint} {known}".strip())

    def _compare(self, column: Column[Any], op: str, value: str, at: int) -> Callable[[Cell], bool]:
        if op in (">", ">=", "<", "<="):
            return self._order(column, op, value, at)
        if op == "~":
            try:
                pattern = re.compile(value, re.IGNORECASE)
            except re.error as error:
                raise _error(self.text, at, _("not a regular expression: {error}").format(error=error)) from error
            return lambda cell: cell is not None and pattern.search(str(cell)) is not None
        tests = [self._equal(column, part, at) for part in _alternatives(value)]
        return tests[0] if len(tests) == 1 else lambda cell: any(t(cell) for t in tests)

    def _order(self, column: Column[Any], op: str, value: str, at: int) -> Callable[[Cell], bool]:
        if column.role == "age":
            limit, moment = parse_duration(value), self.now()
        else:
            limit, moment = parse_number(value), None
            if limit is None:
                limit = parse_duration(value)
        if limit is None:
            raise _error(self.text, at, _("{value} is not a number").format(value=repr(value)))
        bound = limit

        def number(cell: Cell) -> float | None:
            if cell is None or isinstance(cell, str):
                return None
            return float(cell) if moment is None else moment - float(cell)

        if op == ">":
            return lambda cell: (n := number(cell)) is not None and n > bound
        if op == ">=":
            return lambda cell: (n := number(cell)) is not None and n >= bound
        if op == "<":
            return lambda cell: (n := number(cell)) is not None and n < bound
        return lambda cell: (n := number(cell)) is not None and n <= bound

    def _equal(self, column: Column[Any], value: str, at: int) -> Callable[[Cell], bool]:
        if value == "-":
            return lambda cell: cell is None or cell == ""
        if column.name in ("name", "node", "host") and re.search(r"\[[\d,/-]+\]", value):
            return _in_node_set(self.text, value, at)
        if any(c in value for c in "*?"):
            pattern = re.compile(fnmatch.translate(value.lower()))
            return lambda cell: cell is not None and pattern.match(str(cell).lower()) is not None
        number = parse_number(value)
        lower = value.lower()
        # Pools and the like are several words in one cell; a state may be written as people read it.
        words = {lower, lower.replace(" ", "_")}

        def equal(cell: Cell) -> bool:
            if cell is None:
                return False
            if isinstance(cell, bool):
                return ("yes" if cell else "no") == lower
            if isinstance(cell, str):
                text = cell.lower()
                return text in words or ("," in text and lower in text.split(","))
            return number is not None and float(cell) == number

        return equal


def _alternatives(value: str) -> list[str]:
    """Parts between commas that stand outside brackets: `gpu[1,3],cpu1` has two."""
    parts = re.findall(r"(?:\[[^\]]*\]|[^,\[]|\[)+", value)
    return parts or [value]


def _in_node_set(text: str, value: str, at: int) -> Callable[[Cell], bool]:
    from fleetctl.inventory.nodesets import expand

    try:
        names = frozenset(expand(value))
    except UsageError as error:
        raise _error(text, at, str(error)) from error
    return lambda cell: cell in names


def _unquote(value: str) -> str:
    return re.sub(r""""([^"]*)"|'([^']*)'""", lambda m: m[1] if m[1] is not None else m[2], value)
