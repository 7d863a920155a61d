"""Words of a command line to plain Python values, without the validation library behind Typer.

Typer 0.29 builds a pydantic adapter per parameter; importing pydantic costs more than importing Typer itself, on every
command. Words, numbers, paths and enums are read here; anything else still goes Typer's way, and so does everything
where a later Typer keeps its parts elsewhere (ADR 0041).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
import typer.core

Reader = Callable[[Any], Any]


def install() -> None:
    """Let Typer ask us first. Safe to call again; does nothing where Typer is built otherwise."""
    theirs = getattr(typer.core, "build_runtime_param", None)
    if theirs is None or getattr(theirs, "plain", False):
        return

    def build(descriptor: Any) -> Any:
        reader = _reader(getattr(descriptor, "annotation", None), getattr(descriptor, "parameter_info", None))
        return theirs(descriptor) if reader is None else PlainParam(reader)

    build.plain = True  # type: ignore[attr-defined]
    setattr(typer.core, "build_runtime_param", build)  # noqa: B010 - private to Typer, so not known to mypy


class PlainParam:
    """What Typer calls a runtime parameter: one method that turns what was typed into a value."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """None stays None (or (), where several values may be given). Raises BadParameter saying what would do."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        try:
            return self._reader(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error


def _reader(annotation: Any, info: Any) -> Reader | None:
    """The reader for an annotation, None when it is none of the plain ones."""
    if get_origin(annotation) is list:
        (inner,) = get_args(annotation) or (None,)
        one = _reader(inner, info)
        return None if one is None else lambda values: [one(value) for value in values]
    if not isinstance(annotation, type):
        return None
    if annotation is str:
        return str
    if annotation is bool:
        return _flag
    if annotation in (int, float):
        return _number(
            annotation, getattr(info, "min", None), getattr(info, "max", None), getattr(info, "clamp", False)
        )
    if issubclass(annotation, Enum):
        return _choice(annotation)
    if annotation is Path and not any(
        getattr(info, name, False) for name in ("exists", "resolve_path", "path_type", "allow_dash")
    ):
        return Path
    return None


def _flag(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _FLAGS:
        raise ValueError(f"{value!r} is neither yes nor no.")
    return _FLAGS[word]


_FLAGS = dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True) | dict.fromkeys(
    ("0", "false", "f", "no", "n", "off"), False
)


def _number(kind: type, low: float | None, high: float | None, clamp: bool) -> Reader | None:
    if clamp:
        return None

    def read(value: Any) -> Any:
        try:
            number = kind(value)
        except (TypeError, ValueError):
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"{value!r} is not {what}.") from None
        if (low is not None and number < low) or (high is not None and number > high):
            limits = f"{'' if low is None else f'{low}<='}x{'' if high is None else f'<={high}'}"
            raise ValueError(f"{number} is not in the range {limits}.")
        return number

    return read


def _choice(kind: type[Enum]) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        try:
            return kind(value)
        except ValueError:
            known = ", ".join(repr(one.value) for one in kind)
            raise ValueError(f"{value!r} is not one of {known}.") from None

    return read
