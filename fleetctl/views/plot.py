"""A plot made of characters: a value over time in a few lines. Pure; ASCII, so that every terminal draws it alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Sample(NamedTuple):
    """at: epoch seconds; value: mean; low, high: extremes behind it."""

    at: float
    value: float
    low: float
    high: float


def plot_lines(
    points: Sequence[Sample],
    since: float,
    until: float,
    *,
    width: int = 80,
    height: int = 10,
    show: Callable[[float], str] = str,
) -> list[str]:
    """Lines of a plot, axis labels included. `*` is the mean of a column, `|` reaches to its extremes; a gap is empty.

    width and height count cells of the whole picture and lines of the plot itself.
    """
    if not points:
        return []
    bottom, top = min(p.low for p in points), max(p.high for p in points)
    if top == bottom:
        bottom, top = bottom - 1, top + 1
    labels = [show(top), show((top + bottom) / 2), show(bottom)]
    gutter = max(len(label) for label in labels) + 1
    columns = max(width - gutter - 1, 10)
    rows = [[" "] * columns for _row in range(height)]
    buckets: dict[int, list[Sample]] = {}
    for point in points:
        column = int((point.at - since) / max(until - since, 1) * columns)
        buckets.setdefault(min(max(column, 0), columns - 1), []).append(point)

    def line_of(value: float) -> int:
        return round((top - value) / (top - bottom) * (height - 1))

    for column, members in buckets.items():
        for line in range(line_of(max(m.high for m in members)), line_of(min(m.low for m in members)) + 1):
            rows[line][column] = "|"
        rows[line_of(sum(m.value for m in members) / len(members))][column] = "*"
    at_line = {0: labels[0], (height - 1) // 2: labels[1], height - 1: labels[2]}
    lines = [f"{at_line.get(i, ''):>{gutter - 1}} |{''.join(row).rstrip()}" for i, row in enumerate(rows)]
    return [*lines, *_time_axis(since, until, gutter, columns)]


def _time_axis(since: float, until: float, gutter: int, columns: int) -> list[str]:
    """The line under the plot and its moments, local time."""
    form = "%H:%M" if until - since < 86400 else "%m-%d %H:%M"
    left, right = (time.strftime(form, time.localtime(at)) for at in (since, until))
    space = max(columns - len(left) - len(right), 1)
    return [f"{'':>{gutter - 1}} +{'-' * columns}", f"{'':>{gutter}} {left}{' ' * space}{right}"]
