"""A small line plot drawn with braille dots: two dots a column, four a line, gaps where nothing is known."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from textual.strip import Strip

from fleetctl.i18n import _
from fleetctl.tui.look import BRAILLE, fit
from fleetctl.tui.widgets.drawn import Drawn, Run
from fleetctl.views.units import show_age

# Bit of each dot of a braille cell: DOTS[row][column], Unicode 2800 block.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_LEFT = 0x01 | 0x02 | 0x04 | 0x40  # the left column of dots
OLD_S = 1800.0  # twice the step of what is kept of power and cooling
AXIS = 7  # cells of the numbers at the left


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over time. points: (epoch seconds, value or None), rising; bottom, top: None fits the data.

    limit: drawn across, dashed; beside: a second line in the same unit, dotted, named by beside_title.
    """

    title: str
    unit: str
    points: Sequence[tuple[float, float | None]]
    since: float
    until: float
    bottom: float | None = None
    top: float | None = None
    limit: float | None = None
    beside: Sequence[tuple[float, float | None]] = ()
    beside_title: str = ""


def raster(
    points: Sequence[tuple[float, float | None]],
    since: float,
    until: float,
    columns: int,
    lines: int,
    bottom: float,
    top: float,
) -> list[list[int]]:
    """Braille bits, lines x columns. Each dot column spans from the lowest to the highest value that falls in it.

    Neighbouring dot columns are joined, unless time passed between them without a known value.
    """
    wide, high = columns * 2, lines * 4
    cells = [[0] * columns for _line in range(lines)]
    span = until - since
    if wide <= 0 or high <= 0 or span <= 0 or top <= bottom:
        return cells
    low: list[float | None] = [None] * wide
    peak: list[float | None] = [None] * wide
    gap: list[bool] = [False] * wide
    for at, value in points:
        x = int((at - since) / span * (wide - 1) + 0.5)
        if not 0 <= x < wide:
            continue
        if value is None:
            gap[x] = True
            continue
        old_low, old_peak = low[x], peak[x]
        low[x] = value if old_low is None else min(old_low, value)
        peak[x] = value if old_peak is None else max(old_peak, value)

    def row(value: float) -> int:
        return dot_row(value, lines, bottom, top)

    steps = sorted(b - a for (a, _v), (b, _w) in itertools.pairwise(points) if b > a)
    pace = steps[len(steps) // 2] if steps else 0.0
    reach = max(2, int(pace * 3 / span * wide) + 1)  # dot columns a line may bridge before it is a gap
    last: tuple[int, int] | None = None
    for x in range(wide):
        here_low, here_peak = low[x], peak[x]
        if here_low is None or here_peak is None:
            last = None if gap[x] else last
            continue
        first, final = row(here_peak), row(here_low)
        for y in range(first, final + 1):
            cells[y // 4][x // 2] |= DOTS[y % 4][x % 2]
        if last is not None and x - last[0] <= reach:
            x0, y0 = last
            y1 = (first + final) // 2
            for step in range(1, x - x0):
                y = y0 + (y1 - y0) * step // (x - x0)
                cells[y // 4][(x0 + step) // 2] |= DOTS[y % 4][(x0 + step) % 2]
            for y in range(min(y0, first), max(y0, final) + 1):
                cells[y // 4][x // 2] |= DOTS[y % 4][x % 2]
        last = (x, (first + final) // 2)
    return cells


def dot_row(value: float, lines: int, bottom: float, top: float) -> int:
    """The line of dots, from above, on which a value stands."""
    high = lines * 4
    return high - 1 - min(high - 1, max(0, int((value - bottom) / (top - bottom) * (high - 1) + 0.5)))


def bounds(series: Series) -> tuple[float, float]:
    """(bottom, top) of the scale: the given ends, else the data with a little room; never of zero height. A limit is
    always in the picture: how far away it is, is what it is drawn for."""
    known = [value for _at, value in (*series.points, *series.beside) if value is not None]
    if known and series.limit is not None:
        known.append(series.limit)
    low = series.bottom if series.bottom is not None else min(known, default=0.0)
    high = series.top if series.top is not None else max(known, default=1.0)
    if high - low < 1e-9:
        low, high = (low - 1.0, high + 1.0) if series.bottom is None else (low, low + 1.0)
    elif series.top is None:
        high += (high - low) * 0.05
    return low, high


class Plot(Drawn):
    """One Series with its scale, newest value and span of time. First line title, last line time."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.series: Series | None = None
        self._picture: tuple[tuple[int, int], tuple[float, float, list[list[Run]]]] | None = None

    def show(self, series: Series) -> None:
        self.series = series
        self._picture = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size.width, self.size.height
        series = self.series
        if series is None or height < 3:
            return self.blank()
        if y == 0:
            return self.strip(self._title(series), width=width)
        if y == height - 1:
            return self.strip(self._times(series, width), width=width)
        lines = height - 2
        low, high, cells = self._cells(series, max(1, width - AXIS), lines)
        number = {0: high, lines - 1: low}.get(y - 1)
        label = fit("" if number is None else _short(number), AXIS - 1, right=True) + " "
        return self.strip([(label, "muted"), *cells[y - 1]], width=width)

    def _cells(self, series: Series, columns: int, lines: int) -> tuple[float, float, list[list[Run]]]:
        """Bottom and top of the scale, and the picture as runs, line by line; made once per size."""
        if self._picture is None or self._picture[0] != (columns, lines):
            low, high = bounds(series)
            layers = []
            for points in (series.points, series.beside):
                layers.append(raster(points, series.since, series.until, columns, lines, low, high))
            limit = dot_row(series.limit, lines, low, high) if series.limit is not None else -1
            picture = [
                self._line(layers[0][y], layers[1][y], limit % 4 if limit // 4 == y and limit >= 0 else None)
                for y in range(lines)
            ]
            self._picture = ((columns, lines), (low, high, picture))
        return self._picture[1]

    def _line(self, first: list[int], second: list[int], limit: int | None) -> list[Run]:
        """One line of cells: the figure over the line beside it (every other column of dots), over the limit."""
        braille = self.glyphs is BRAILLE
        runs: list[Run] = []
        for x, (bits, other) in enumerate(zip(first, second, strict=True)):
            dotted = other & _LEFT
            if bits:
                runs.append((chr(0x2800 + bits) if braille else "*", "accent"))
            elif dotted:
                runs.append((chr(0x2800 + dotted) if braille else "o", "info"))
            elif limit is not None and x % 3 < 2:
                dash = DOTS[limit][0] | DOTS[limit][1]
                runs.append((chr(0x2800 + dash) if braille else "-", "warn"))
            else:
                runs.append((" ", "plain"))
        return runs

    def _title(self, series: Series) -> list[Run]:
        known = [value for _at, value in series.points if value is not None]
        runs: list[Run] = [(fit("", AXIS), "plain"), (_(series.title), "strong")]
        if not known and not any(value is not None for _at, value in series.beside):
            return [*runs, ("  " + _("no data"), "muted")]
        unit = f" {series.unit}" if series.unit else ""
        runs.append((f"  {_newest(series.points, unit, series.until)}", "accent"))
        if series.beside_title:
            runs += [(f"   {_(series.beside_title)} ", "muted"), (_newest(series.beside, unit, series.until), "info")]
        if series.limit is not None:
            runs += [(f"   {_('limit at')} ", "muted"), (_short(series.limit), "warn")]
        if known:
            runs.append((f"   {_('min')} {_short(min(known))}  {_('max')} {_short(max(known))}", "muted"))
        return runs

    def _times(self, series: Series, width: int) -> list[Run]:
        room = max(0, width - AXIS)
        form = "%H:%M" if series.until - series.since <= 2 * 86400 else "%m-%d"
        first = time.strftime(form, time.localtime(series.since))
        last = time.strftime(form, time.localtime(series.until))
        middle = self.glyphs.rule * max(0, room - len(first) - len(last) - 2)
        return [(" " * AXIS, "plain"), (first + " ", "muted"), (middle, "rule"), (" " + last, "muted")]


def _newest(points: Sequence[tuple[float, float | None]], unit: str, until: float) -> str:
    """The last value with its unit, and its age when it is not of now; a dash where the last moment has none."""
    at, value = points[-1] if points else (until, None)
    if value is None:
        return "-"
    age = f" ({show_age(at, until)} {_('old')})" if until - at > OLD_S else ""
    text = _short(value)
    if unit and text[-1].isalpha():  # 53.7 kW
        return f"{text[:-1]} {text[-1]}{unit.strip()}{age}"
    return f"{text}{unit}{age}"


def _short(value: float) -> str:
    """A number in at most six cells."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (size if letter != 'k' else 1e3):.3g}{letter}"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
