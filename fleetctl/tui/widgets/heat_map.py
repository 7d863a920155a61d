"""A picture of all cards: one cell a card, eight cards a host, hosts of a rack side by side.

Only cells whose level changed are sent: 100,000 cards cost what the visible ones cost. A level shows by its colour and,
from "warm" on, by a sign; without colour by a ramp of signs. An unknown value is a question mark, never cold.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from fleetctl.i18n import _
from fleetctl.tui.look import clean, fit
from fleetctl.tui.widgets.drawn import Drawn, Run

UNKNOWN = 8  # level of a card that says nothing; 0..7 are cold..hot
LABEL = 16  # cells a rack's name at the left of its cards takes at most, a blank on either side included
GAP = 3  # cells between racks side by side


@dataclass(frozen=True, slots=True)
class CardGrid:
    """Values of all cards of a fleet for one metric.

    hosts: (name, group) in the order they are drawn; starts: index of a host's first card in `values`, one more
    entry than hosts; values: one per card, None unknown; bounds: seven rising values between the eight levels;
    at: epoch seconds of the newest value, None when there is none.
    """

    metric: str
    unit: str
    hosts: Sequence[tuple[str, str]]
    starts: Sequence[int]
    values: Sequence[float | None]
    bounds: tuple[float, ...]
    at: float | None = None

    def level(self, card: int) -> int:
        value = self.values[card]
        return UNKNOWN if value is None else bisect_right(self.bounds, value)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the picture. labels: (x, cells, rack); spans: (x, first card, cards, host) where a host's cards stand."""

    labels: tuple[tuple[int, int, str], ...]
    spans: tuple[tuple[int, int, int, int], ...]


def lay_cards(grid: CardGrid, width: int) -> list[_Line]:
    """Hosts on lines: racks side by side in equal columns where they fit, a host broken only if it is wider than all.

    Equal columns keep racks beneath each other, so that a hot row of a hall shows as a stripe.
    """
    margin = min(LABEL, 2 + max((cell_len(clean(group)) for _name, group in grid.hosts), default=0))
    room = max(8, width - margin)
    racks: list[tuple[str, list[tuple[int, int, int]]]] = []  # label, (first card, cards, host)
    for number, (_name, group) in enumerate(grid.hosts):
        start, end = grid.starts[number], grid.starts[number + 1]
        if end == start:
            continue
        if not racks or racks[-1][0] != group:
            racks.append((group, []))
        for first in range(start, end, room):
            racks[-1][1].append((first, min(room, end - first), number))
    blocks: list[tuple[str, list[tuple[int, int, int, int]]]] = []  # label, spans from x 0; a wide rack is several
    for label, hosts in racks:
        x, spans = 0, list[tuple[int, int, int, int]]()
        for first, cards, number in hosts:
            if spans and x + cards > room:
                blocks.append((label, spans))
                x, spans, label = 0, [], ""
            spans.append((x, first, cards, number))
            x += cards + 1
        blocks.append((label, spans))
    widest = max((spans[-1][0] + spans[-1][2] for _label, spans in blocks), default=1)
    beside = max(1, (width + GAP) // (margin + widest + GAP))
    lines = []
    for at in range(0, len(blocks), beside):
        labels, spans = [], []
        for column, (label, cells) in enumerate(blocks[at : at + beside]):
            left = column * (margin + widest + GAP)
            labels.append((left, margin, label))
            spans += [(left + margin + x, first, cards, number) for x, first, cards, number in cells]
        lines.append(_Line(tuple(labels), tuple(spans)))
    return lines


class HeatMap(Drawn, can_focus=True):
    """The cards of a CardGrid, by rack. The cursor stands on a card; Enter opens its host."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "line(-1)", "up", show=False),
        Binding("down,j", "line(1)", "down", show=False),
        Binding("left,h", "card(-1)", "card before", show=False),
        Binding("right,l", "card(1)", "card after", show=False),
        Binding("pageup", "line(-20)", "page up", show=False),
        Binding("pagedown", "line(20)", "page down", show=False),
        Binding("home,g", "edge(0)", "first card", show=False),
        Binding("end,G", "edge(1)", "last card", show=False),
        Binding("enter", "choose", "open"),
    ]

    class Chosen(Message):
        """Enter on a card."""

        def __init__(self, host: str, card: int) -> None:
            super().__init__()
            self.host, self.card = host, card

    class Moved(Message):
        """The cursor stands on another card, or values changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.grid: CardGrid | None = None
        self._lines: list[_Line] = []
        self._shape: tuple[Any, ...] = ()
        self._drawn: dict[int, bytes] = {}  # screen line -> levels, as last drawn
        self._card = 0

    def show(self, grid: CardGrid) -> None:
        """Take new values. Cards stay where they are unless hosts or their card counts changed."""
        here = self.here
        self.grid = grid
        shape = (self.size.width, tuple(grid.starts), tuple(grid.hosts))
        if shape != self._shape:
            self._shape = shape
            self._lay(grid)
            if here is not None:
                self._card = self._find(*here)
            self.refresh()
        else:
            self._send_changes(grid)
        self.post_message(self.Moved())

    @property
    def here(self) -> tuple[str, int] | None:
        """(host, number of its card from 0) under the cursor."""
        if self.grid is None or not self.grid.values:
            return None
        host = bisect_right(self.grid.starts, self._card) - 1
        return self.grid.hosts[host][0], self._card - self.grid.starts[host]

    @property
    def value(self) -> float | None:
        return self.grid.values[self._card] if self.grid is not None and self.grid.values else None

    def _find(self, host: str, card: int) -> int:
        assert self.grid is not None
        for number, (name, _group) in enumerate(self.grid.hosts):
            if name == host:
                start, end = self.grid.starts[number], self.grid.starts[number + 1]
                return min(start + card, max(start, end - 1))
        return 0

    def _lay(self, grid: CardGrid) -> None:
        self._lines = lay_cards(grid, self.size.width - 1)
        self._card = min(self._card, max(0, len(grid.values) - 1))
        self._drawn.clear()
        self.virtual_size = Size(self.size.width, len(self._lines))

    def on_resize(self) -> None:
        self._shape = ()
        if self.grid is not None:
            self.show(self.grid)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._drawn.clear()

    def _levels(self, line: _Line) -> bytes:
        grid = self.grid
        assert grid is not None
        values, bounds = grid.values, grid.bounds
        return bytes(
            UNKNOWN if (v := values[i]) is None else bisect_right(bounds, v)
            for _x, start, cards, _host in line.spans
            for i in range(start, start + cards)
        )

    def _send_changes(self, grid: CardGrid) -> None:
        top = self.scroll_offset.y
        for y, old in list(self._drawn.items()):
            line = self._lines[top + y]
            new = self._levels(line)
            if new == old:
                continue
            at = 0
            regions = []
            for x, _start, cards, _host in line.spans:
                for i in range(cards):
                    if new[at + i] != old[at + i]:
                        regions.append(Region(x + i, y, 1, 1))
                at += cards
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        width = self.room
        number = self.scroll_offset.y + y
        if self.grid is None or number >= len(self._lines):
            self._drawn.pop(y, None)
            if y == 0 and not self._lines:
                text = _("reading the store ...") if self.grid is None else _("no card has said anything yet")
                return self.strip([("  " + text, "muted")], width=width)
            return self.blank()
        line = self._lines[number]
        levels = self._levels(line)
        self._drawn[y] = levels
        mono = self.app.no_color
        signs = self.glyphs.heat if mono else "      !" + self.glyphs.crit
        segments: list[Segment] = []
        labels = list(line.labels)
        at = end = 0
        for x, start, cards, _host in line.spans:
            if labels and labels[0][0] < x:
                left, margin, label = labels.pop(0)
                segments.append(Segment(" " * (left - end), self.tone("plain")))
                segments.append(Segment(" " + fit(clean(label), margin - 2) + " ", self.tone("muted")))
                end = left + margin
            if x > end:
                segments.append(Segment(" " * (x - end), self.tone("plain")))
            end = x + cards
            i = 0
            while i < cards:
                level, first = levels[at + i], i
                if self._card == start + i and self.has_focus:
                    i += 1
                    tone = self.tone(f"heat{level}" if level != UNKNOWN else "blind", "cursor")
                else:
                    while i < cards and levels[at + i] == level and not (self._card == start + i and self.has_focus):
                        i += 1
                    tone = self.tone(f"heat{level}" if level != UNKNOWN else "blind")
                sign = "?" if level == UNKNOWN else signs[level]
                segments.append(Segment(sign * (i - first), tone))
            at += cards
        return Strip(segments).adjust_cell_length(width, self.tone("plain"))

    def legend(self) -> list[Run]:
        """The scale in words: sign, colour and bound of every level, and of unknown."""
        if self.grid is None:
            return []
        signs = self.glyphs.heat if self.app.no_color else "      !" + self.glyphs.crit
        runs: list[Run] = []
        for level in range(8):
            bound = f"<{self.grid.bounds[level]:g}" if level < 7 else f">={self.grid.bounds[6]:g}"
            blank = " " if self.size.width >= 110 else ""
            runs += [(f"{blank}{signs[level]}{blank}", f"heat{level}"), (f" {bound} {blank}", "muted")]
        return [*runs, (f"? {_('unknown')}", "blind")]

    # Keys

    def _line_of(self, card: int) -> tuple[int, tuple[int, int, int, int]]:
        for number, line in enumerate(self._lines):
            for span in line.spans:
                if span[1] <= card < span[1] + span[2]:
                    return number, span
        return 0, (0, 0, 0, 0)

    def go_to(self, card: int) -> None:
        """Put the cursor on a card, by its place in the grid."""
        if self.grid is None or not self.grid.values:
            return
        before = self._card
        self._card = min(max(0, card), len(self.grid.values) - 1)
        top, room = self.scroll_offset.y, max(1, self.size.height)
        line, _span = self._line_of(self._card)
        if line < top:
            self.scroll_to(y=line, animate=False)
        elif line >= top + room:
            self.scroll_to(y=line - room + 1, animate=False)
        else:
            for changed in (before, self._card):
                number, span = self._line_of(changed)
                self.refresh(Region(span[0] + changed - span[1], number - top, 1, 1))
        self.post_message(self.Moved())

    def action_card(self, by: int) -> None:
        self.go_to(self._card + by)

    def action_line(self, by: int) -> None:
        if not self._lines:
            return
        number, span = self._line_of(self._card)
        x = span[0] + self._card - span[1]
        target = self._lines[min(max(0, number + by), len(self._lines) - 1)]
        nearest = min(
            target.spans, key=lambda s: 0 if s[0] <= x < s[0] + s[2] else min(abs(s[0] - x), abs(s[0] + s[2] - x))
        )
        self.go_to(nearest[1] + min(max(0, x - nearest[0]), nearest[2] - 1))

    def action_edge(self, end: int) -> None:
        self.go_to(len(self.grid.values) - 1 if end and self.grid is not None else 0)

    def action_choose(self) -> None:
        if self.here is not None:
            self.post_message(self.Chosen(*self.here))

    def on_click(self, event: events.Click) -> None:
        number = self.scroll_offset.y + event.y
        if number < len(self._lines):
            for x, start, cards, _host in self._lines[number].spans:
                if x <= event.x < x + cards:
                    self.go_to(start + event.x - x)
