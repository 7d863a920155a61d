"""Values of many devices at once, checked and rounded to what their sensor resolves, column by column.

This is the hot path of a round: 1.6 million values. A column of plain whole numbers (what good parsers return) is
checked at C speed; any other takes the way through floats; a column with strangers in it is cleaned value by value.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetctl.store.catalogue import Steps

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
LIMIT = 2**62  # steps; anything larger is no reading but a broken sensor


@dataclass(frozen=True, slots=True)
class Rounded:
    """One metric of N devices. values: for SQLite, None where unknown; steps: whole steps, 0 where unknown;
    known: None when all are; refused: values that were there but cannot be (NaN, infinite, huge, not a number)."""

    values: Sequence[int | float | None]
    steps: Int64
    known: Bool | None
    factor: float  # value of one step
    refused: int = 0


def round_column(column: Sequence[Any], steps: Steps) -> Rounded:
    """Round one column of readings to its metric's step."""
    try:
        whole = np.frombuffer(array("q", column), dtype=np.int64)
    except (TypeError, OverflowError):
        return _round_floats(column, steps)
    if len(whole) and (whole.max() > LIMIT // max(steps.parts, 1) or whole.min() < -LIMIT // max(steps.parts, 1)):
        return _round_floats(column, steps)
    if steps.times == 1:
        return Rounded(column, whole * steps.parts if steps.parts != 1 else whole, None, steps.times / steps.parts)
    if isinstance(steps.times, float):
        return _round_floats(column, steps)
    counted = (whole + steps.times // 2) // steps.times
    rounded = counted * steps.times
    values = column if np.array_equal(rounded, whole) else rounded.tolist()
    return Rounded(values, counted, None, steps.times)


def _round_floats(column: Sequence[Any], steps: Steps) -> Rounded:
    refused = 0
    try:
        floats = np.array(column, dtype=np.float64)  # None becomes NaN
        if floats.ndim != 1:
            raise TypeError("a value that is a list")
        if any(type(v) is str for v in column):
            raise TypeError("words are not numbers")
        unknown = sum(v is None for v in column)
    except (TypeError, ValueError, OverflowError):
        cleaned = [_number(v) for v in column]
        unknown = sum(v is None for v in column)
        floats = np.array(cleaned, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        counted = floats * steps.parts if steps.parts != 1 else floats / steps.times
        known = np.isfinite(counted) & (np.abs(counted) < LIMIT) & (np.abs(floats) < LIMIT)
        whole = np.rint(np.where(known, counted, 0.0)).astype(np.int64)
    refused = len(column) - unknown - int(known.sum())
    if steps.parts != 1:
        values: list[int | float | None] = (whole / steps.parts).tolist()
    elif steps.times != 1:
        values = (whole * steps.times).tolist()
    else:
        values = whole.tolist()
    if known.all():
        return Rounded(values, whole, None, steps.times / steps.parts, refused)
    for i in np.flatnonzero(~known).tolist():
        values[i] = None
    return Rounded(values, whole, known, steps.times / steps.parts, refused)


def _number(value: Any) -> float | None:
    """A value as a float, or None for everything that is no number of reasonable size."""
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
