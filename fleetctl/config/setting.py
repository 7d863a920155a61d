"""How a setting is declared: a dataclass field with a sentence, a unit and limits. Everything else is generated."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, Field, field
from typing import Any


def setting(
    doc: str,
    *,
    default: Any = MISSING,
    factory: Callable[[], Any] | None = None,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    example: Any = None,
) -> Any:
    """A dataclass field of fleet.toml. Without default and factory it is required.

    doc: one sentence for the example file and the reference page; example: what the example file shows.
    """
    metadata = {
        "doc": doc,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "example": example,
    }
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    if default is not MISSING:
        return field(default=default, metadata=metadata)
    return field(metadata=metadata)


def kind_of(hint: Any) -> tuple[Any, bool]:
    """(type of one value, whether it is a list of them) of a field's type; None is left out of unions."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def is_required(declared: Field[Any]) -> bool:
    """Whether a setting has no default."""
    return declared.default is MISSING and declared.default_factory is MISSING


def default_of(declared: Field[Any]) -> Any:
    """The default of a setting; None where it is required."""
    if declared.default_factory is not MISSING:
        return declared.default_factory()
    return None if declared.default is MISSING else declared.default
