"""How a setting is declared: a dataclass field with a sentence, a unit and limits. Everything else is generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, field
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
