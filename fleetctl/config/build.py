"""A parsed TOML table -> a frozen dataclass of the schema, with every mistake named by path, line and remedy."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fleetctl.config.lines import Path, key_lines, line_of
from fleetctl.errors import nearest


@dataclass
class Problems:
    """Collects mistakes while a file is read, so that one run names them all."""

    file: str
    text: str  # of the file, for the lines; most files have no mistake, and finding lines costs as much as reading
    found: list[str] = field(default_factory=list)

    @cached_property
    def lines(self) -> dict[Path, int]:
        return key_lines(self.text)

    def add(self, path: Path, what: str) -> None:
        line = line_of(path, self.lines)
        where = f"{self.file}:{line}" if line else self.file
        self.found.append(f"{where}: {dotted(path)}: {what}" if path else f"{where}: {what}")


def dotted(path: Path) -> str:
    """("hosts", 0, "site") -> "hosts[0].site"."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else (f".{part}" if out else part)
    return out


def build(cls: type[Any], table: Any, path: Path, problems: Problems) -> Any:
    """An instance of `cls`, or None when something in it is wrong; what is wrong is added to `problems`."""
    if not isinstance(table, dict):
        problems.add(path, f"should be a table, not {_kind(table)}")
        return None
    before = len(problems.found)
    hints, fields = _declared(cls)
    for key in table:
        if key not in fields:
            near = nearest(key, fields)
            remedy = f"did you mean {near!r}?" if near else f"known here: {', '.join(fields)}"
            problems.add((*path, key), f"unknown key; {remedy}")
    values: dict[str, Any] = {}
    for name, declared in fields.items():
        if name in table:
            values[name] = _convert(hints[name], table[name], declared.metadata, (*path, name), problems)
        elif declared.default is dataclasses.MISSING and declared.default_factory is dataclasses.MISSING:
            problems.add(path, f"{name} is missing: {declared.metadata['doc']}")
    return cls(**values) if len(problems.found) == before else None


Declared = tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]
_declared_by: dict[type[Any], Declared] = {}


def _declared(cls: type[Any]) -> Declared:
    """Types and fields by name. Kept, because reading the types compiles each of them, and a fleet has a thousand racks."""
    if cls not in _declared_by:
        _declared_by[cls] = typing.get_type_hints(cls), {f.name: f for f in dataclasses.fields(cls)}
    return _declared_by[cls]


def _convert(hint: Any, value: Any, metadata: Any, path: Path, problems: Problems) -> Any:
    if type(value) is hint:  # text, a number, true or false: nearly all there is in a fleet file
        _check_limits(value, metadata, path, problems)
        return value
    if isinstance(hint, types.UnionType):  # X | None: TOML has no null, so the value is an X
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if dataclasses.is_dataclass(hint):
        return build(typing.cast("type[Any]", hint), value, path, problems)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            problems.add(path, f"should be a list, not {_kind(value)}")
            return ()
        inner = typing.get_args(hint)[0]
        return tuple(_convert(inner, item, metadata, (*path, index), problems) for index, item in enumerate(value))
    if typing.get_origin(hint) is dict:
        if not isinstance(value, dict):
            problems.add(path, f"should be a table, not {_kind(value)}")
            return {}
        inner = typing.get_args(hint)[1]
        return {key: _convert(inner, item, metadata, (*path, key), problems) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        problems.add(path, f"should be {_name(hint)}, not {_kind(value)}")
        return value
    _check_limits(value, metadata, path, problems)
    return value


def _check_limits(value: Any, metadata: Any, path: Path, problems: Problems) -> None:
    choices, low, high = metadata.get("choices"), metadata.get("minimum"), metadata.get("maximum")
    unit = f" {metadata['unit']}" if metadata.get("unit") else ""
    if choices and value not in choices:
        near = nearest(str(value), choices)
        hint = f"; did you mean {near!r}?" if near else ""
        problems.add(path, f"{value!r} is not one of {', '.join(repr(c) for c in choices if c)}{hint}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            problems.add(path, f"{value} is not a usable number")
        if low is not None and value < low:
            problems.add(path, f"{value:g}{unit} is below the least allowed, {low:g}{unit}")
        if high is not None and value > high:
            problems.add(path, f"{value:g}{unit} is above the most allowed, {high:g}{unit}")


def _name(hint: Any) -> str:
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(hint, str(hint))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return {str: f"the text {value!r}", int: f"the number {value}", float: f"the number {value}", dict: "a table",
            list: "a list"}.get(type(value), type(value).__name__)  # fmt: skip
