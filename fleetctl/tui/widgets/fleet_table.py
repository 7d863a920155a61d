"""A table for whole fleets: draws only the lines that are seen, sends only the cells that changed.

Cursor and marks go by key, so they stay with their node while rows are sorted, filtered and updated beneath them.
12,500 rows cost what fifty cost; see docs/performance.md and docs/adr/0040-console.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from fleetctl.i18n import _
from fleetctl.tui.look import METERS, clean, fit, level_tone, meter, state_text
from fleetctl.tui.widgets.arranged import AS_GIVEN, Arranged, Order, arrange
from fleetctl.tui.widgets.drawn import Drawn, Run
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_age

BLIND = {"stale", "unreachable", "unknown"}  # reach without a fresh answer
GAP = 2  # cells between columns
MARGIN = 2  # the mark before the first column
METER_WIDTH = 6
SAMPLE = 64  # rows looked at to judge a column's width
AGE_STEP_S = 5.0  # ages are told in such steps: a screen full of running seconds tells nobody anything
WIDEST = 60  # cells a column may take by itself; the last one gets the rest


class FleetTable(Drawn, can_focus=True):
    """Rows of one Table. The first column stays; the others move with left and right when they do not all fit."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "page up", show=False),
        Binding("pagedown,ctrl+f", "page(1)", "page down", show=False),
        Binding("home,g", "edge(0)", "first row", show=False),
        Binding("end,G", "edge(1)", "last row", show=False),
        Binding("left,h", "shift(-1)", "columns left", show=False),
        Binding("right,l", "shift(1)", "columns right", show=False),
        Binding("enter", "choose", "open"),
    ]

    class Chosen(Message):
        """Enter on a row."""

        def __init__(self, table: FleetTable, key: str, row: Any) -> None:
            super().__init__()
            self.table, self.key, self.row = table, key, row

        @property
        def control(self) -> FleetTable:
            return self.table

    class Moved(Message):
        """The cursor stands on another row, or rows, marks or order changed."""

        def __init__(self, table: FleetTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> FleetTable:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[Any]] = (),
        *,
        empty: str = "",
        markable: bool = False,
        order: Order = AS_GIVEN,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """columns: left to right, () takes those of the table that is shown; empty: English message id shown when there
        is no row; markable: Space marks."""
        super().__init__(id=id, classes=classes)
        self.empty = empty
        self.markable = markable
        self.order = order
        self.meters = True  # bars beside shares; a narrow screen has better use for the room
        self.marks: set[str] = set()
        self.now = 0.0
        self.loaded = False
        self._columns: tuple[Column[Any], ...] = tuple(columns)
        self._fixed = bool(columns)  # otherwise the columns of each table, those for wide output left out
        self._table: Table[Any] | None = None
        self._view = Arranged()
        self._cursor = 0
        self._first_column = 1
        self.noun = ""
        self._layout_of: tuple[Any, ...] = ()
        self._laid: list[tuple[Column[Any], int, int]] = []  # column, x, width
        self._shown: dict[int, tuple[int, list[list[Run]]]] = {}  # screen line -> (row, cells as they were last drawn)
        self._ready: dict[
            int, list[list[Run]]
        ] = {}  # row -> cells worked out by `redraw`, for the drawing that follows
        self._words: dict[str, tuple[str, str]] = {}

    # What is given

    def show(self, table: Table[Any], view: Arranged | None = None, *, now: float) -> None:
        """Take new rows. `view` is `arrange(table, order)` when a worker has done it already.

        The cursor stays on its key; if the row has gone it stays on its line. Marks of rows that are gone are dropped.
        """
        here = self.key
        self._table, self.noun, self.now, self.loaded = table, table.noun, now, True
        if not self._fixed:
            self._columns = tuple(c for c in table.columns if not c.wide)
        old = self._view
        self._view = view if view is not None and view.order == self.order else arrange(table, self.order, before=old)
        if self.marks:
            known = self._view.place if self._view.total == len(self._view.rows) else {table.key(r) for r in table.rows}
            self.marks &= set(known)
        self._settle(here)
        if len(old.rows) != len(self._view.rows) or old.key_width != self._view.key_width:
            self._layout_of = ()
            self._shown.clear()
            self._resize()
        self.redraw()
        self.post_message(self.Moved(self))

    def set_columns(self, columns: Sequence[Column[Any]]) -> None:
        """Show other columns of the same rows."""
        self._columns, self._fixed = tuple(columns), True
        self._first_column = 1
        self._forget()

    def set_order(self, order: Order) -> None:
        """Sort by another column; the cursor stays on its row."""
        self.order = order
        if self._table is not None:
            here = self.key
            kept = set(self._view.keys)
            key = self._table.key
            whole = self._view.total == len(self._view.rows)
            self._view = arrange(self._table, order, None if whole else lambda row: key(row) in kept)
            self._settle(here)
        self._forget()
        self.post_message(self.Moved(self))

    def tick(self, now: float) -> None:
        """Time passed: ages grow. Only cells whose text changes are sent."""
        self.now = now
        self.redraw()

    def relabel(self) -> None:
        """The language changed: words are looked up again."""
        self._forget()

    # What can be asked

    @property
    def columns(self) -> tuple[Column[Any], ...]:
        return self._columns

    @property
    def key(self) -> str | None:
        """Key of the row under the cursor, None when there is no row."""
        return self._view.keys[self._cursor] if self._cursor < len(self._view.keys) else None

    @property
    def row(self) -> Any | None:
        return self._view.rows[self._cursor] if self._cursor < len(self._view.rows) else None

    @property
    def cursor(self) -> int:
        return self._cursor

    @property
    def view(self) -> Arranged:
        return self._view

    def chosen_keys(self) -> list[str]:
        """Marked rows in the order shown (then those the filter hides), or the row under the cursor."""
        if not self.marks:
            return [self.key] if self.key is not None else []
        seen = [key for key in self._view.keys if key in self.marks]
        return seen + sorted(self.marks.difference(seen))

    def go_to(self, key: str) -> bool:
        """Put the cursor on a row by key. False when it is not shown."""
        line = self._view.place.get(key)
        if line is None:
            return False
        self._put(line)
        return True

    # Keys

    def action_move(self, by: int) -> None:
        self._put(self._cursor + by)

    def action_page(self, by: int) -> None:
        step = max(1, self.size.height - 2)
        self.scroll_to(y=max(0, self.scroll_offset.y + by * step), animate=False)
        self._put(self._cursor + by * step)

    def action_edge(self, end: int) -> None:
        self._put(len(self._view.rows) - 1 if end else 0)

    def action_shift(self, by: int) -> None:
        last = max(1, len(self._columns) - 1)
        if by > 0 and self._fits_all():
            return
        self._first_column = min(last, max(1, self._first_column + by))
        self._forget()

    def action_choose(self) -> None:
        if self.key is not None:
            self.post_message(self.Chosen(self, self.key, self.row))

    def mark(self, keys: Sequence[str], on: bool | None = None) -> None:
        """Mark rows, unmark them, or turn marks over (on=None)."""
        for key in keys:
            add = key not in self.marks if on is None else on
            (self.marks.add if add else self.marks.discard)(key)
        self.redraw()
        self.post_message(self.Moved(self))

    def on_click(self, event: events.Click) -> None:
        if event.y >= 1:
            line = event.y - 1 + self.scroll_offset.y
            if line < len(self._view.rows):
                again = line == self._cursor
                self._put(line)
                if again and event.chain > 1:
                    self.action_choose()

    # Where the cursor is

    def _settle(self, here: str | None) -> None:
        line = self._view.place.get(here) if here is not None else None
        self._cursor = line if line is not None else min(self._cursor, max(0, len(self._view.rows) - 1))
        self._follow()

    def _put(self, line: int) -> None:
        line = min(max(0, line), max(0, len(self._view.rows) - 1))
        if line == self._cursor:
            return
        before, self._cursor = self._cursor, line
        top = self.scroll_offset.y
        self._follow()
        if self.scroll_offset.y == top:  # otherwise the scroll has asked for everything
            for changed in (before, line):
                self.refresh(Region(0, changed - top + 1, self.size.width, 1))
        self.post_message(self.Moved(self))

    def _follow(self) -> None:
        """Scroll so that the cursor can be seen."""
        room = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + room:
            self.scroll_to(y=self._cursor - room + 1, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._shown.clear()

    def _resize(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._view.rows) + 1)

    def on_resize(self) -> None:
        self._resize()
        self._follow()
        self._forget()

    def on_focus(self) -> None:
        self._forget()

    def on_blur(self) -> None:
        self._forget()

    # Drawing

    def _forget(self) -> None:
        self._layout_of = ()
        self._shown.clear()
        self._ready.clear()
        self._words.clear()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._words.clear()
        self._shown.clear()

    def _fits_all(self) -> bool:
        return len(self._lay()) >= 1 + len(self._columns) - self._first_column

    def _lay(self) -> list[tuple[Column[Any], int, int]]:
        """(column, x, width) of the columns that fit; the first always, the last of them up to the edge.

        Each first gets the width it declares; what is left goes, from the left, to columns whose text needs more.
        """
        wanted = (self.room, self._first_column, self._view.key_width, self._columns)
        if wanted == self._layout_of:
            return self._laid
        self._layout_of = wanted
        room = self.room - MARGIN
        shown: list[tuple[Column[Any], int]] = []
        for number, column in enumerate([*self._columns[:1], *self._columns[self._first_column :]]):
            least = max(column.width, cell_len(_(column.title)) + 2 * (column.name == self.order.column))
            if number == 0:
                least = min(self._natural(column), max(12, room // 3))
            elif column.role == "state":
                least = self._natural(column)  # half a state word is none
            elif self.meters and column.name in METERS:
                least = max(least, METER_WIDTH + 5)
            if number and min(least, 6) > room:
                break
            least = min(least, room)
            shown.append((column, least))
            room -= least + GAP
        before, self._laid = self._laid, []
        x, room = MARGIN, max(0, room + GAP)
        for column, least in shown:
            more = min(room, max(0, self._natural(column) - least)) if not column.right else 0
            room -= more
            self._laid.append((column, x, least + more))
            x += least + more + GAP
        if self._laid and not self._laid[-1][0].right:
            column, x, _width = self._laid[-1]
            self._laid[-1] = (column, x, self.room - x)
        if self._laid != before:  # a filter that leaves no scroll bar makes room: what was drawn has other columns
            self._shown.clear()
            self._ready.clear()
        return self._laid

    def _natural(self, column: Column[Any]) -> int:
        """Cells the texts of a column need, judged by a sample of its rows: widths that jump about help nobody."""
        rows = self._view.rows
        step = max(1, len(rows) // SAMPLE)
        widest = max(column.width, cell_len(_(column.title)))
        for row in rows[::step][:SAMPLE]:
            value = column.value(row)
            if value is None or column.role == "age":
                continue
            if column.role == "state":
                text = self._word(str(value))[0]
            else:
                text = column.show(value) if column.show is not None else str(value)
            widest = max(widest, cell_len(text))
        return min(widest, WIDEST)

    def _word(self, key: str) -> tuple[str, str]:
        word = self._words.get(key)
        if word is None:
            word = self._words[key] = state_text(key, self.glyphs)
        return word

    def _cell(self, column: Column[Any], row: Any, width: int) -> list[Run]:
        """One cell as runs of text and tone, exactly `width` cells wide."""
        value = column.value(row)
        if value is None or value == "":
            return [(fit("-", width, column.right), "muted")]
        if column.role == "state":
            word = self._word(str(value))
            return [(fit(word[0], width), word[1])]
        if column.role == "age":
            at, stepped = float(value), self.now - self.now % AGE_STEP_S
            return [(fit(show_age(at, max(stepped, min(at, self.now))), width, column.right), "muted")]
        text = clean(column.show(value) if column.show is not None else str(value))
        tone = level_tone(column.name, value)
        if self.meters and column.name in METERS and isinstance(value, (int, float)) and width >= METER_WIDTH + 4:
            filled, rest = meter(float(value), METER_WIDTH, self.glyphs)
            bar = "accent" if tone == "plain" else tone
            return [(filled, bar), (rest, "track"), (fit(text, width - METER_WIDTH, True), tone)]
        return [(fit(text, width, column.right), tone)]

    def _cells(self, line: int) -> list[list[Run]]:
        row = self._view.rows[line]
        cells = [self._cell(column, row, width) for column, _x, width in self._lay()]
        if getattr(row, "reach", None) in BLIND:
            # What a silent node said last is history: its figures step back, so that nobody takes them for now.
            for i, (column, _x, _width) in enumerate(self._laid):
                if column.right and column.role != "state":
                    cells[i] = [(text, "muted") for text, _tone in cells[i]]
        return cells

    def redraw(self) -> None:
        """Compare what is seen with what should be seen, and ask for the differing cells only."""
        if not self.is_attached or self.size.height < 2:
            return
        top, count = self.scroll_offset.y, len(self._view.rows)
        layout = self._lay()
        if not self._shown or not count:
            self.refresh()
            return
        self._ready.clear()
        for y in range(1, self.size.height):
            line = top + y - 1
            shown = self._shown.get(y)
            if line >= count:
                if shown is not None:
                    del self._shown[y]
                    self.refresh(Region(0, y, self.size.width, 1))
                continue
            state = self._state(line)
            if shown is None or shown[0] != state:
                self.refresh(Region(0, y, self.size.width, 1))
                continue
            cells = self._cells(line)
            changed = [i for i, cell in enumerate(cells) if cell != shown[1][i]]
            if changed:
                self._ready[line] = cells
                self.refresh(*(Region(layout[i][1], y, layout[i][2], 1) for i in changed))

    def _state(self, line: int) -> int:
        """What besides its cells makes a line look as it does: cursor and mark, as bits."""
        return (line == self._cursor) | (self._view.keys[line] in self.marks) << 1

    def render_line(self, y: int) -> Strip:
        width = self.room
        if y == 0:
            return self._header(width)
        line = self.scroll_offset.y + y - 1
        if line >= len(self._view.rows):
            self._shown.pop(y, None)
            if y == 1 and not self._view.rows:
                text = _(self.empty) if self.loaded else _("reading the store ...")
                return self.strip([("  " + text, "muted")], width=width)
            return self.blank()
        ready = self._ready.pop(line, None)
        cells = ready if ready is not None else self._cells(line)
        state = self._state(line)
        self._shown[y] = (state, cells)
        marked = state & 2
        runs: list[Run] = [(fit(self.glyphs.mark if marked else " ", MARGIN), "mark" if marked else "plain")]
        last = len(cells) - 1
        for i, cell in enumerate(cells):
            if i == 0 and marked:
                cell = [(text, "mark") for text, _tone in cell]
            elif i == 0:
                cell = [(text, "strong" if tone == "plain" else tone) for text, tone in cell]
            runs += cell
            if i != last:
                runs.append((" " * GAP, "plain"))
        over = (("cursor" if self.has_focus else "cursor-off"),) if state & 1 else ()
        return self.strip(runs, *over, width=width)

    def _header(self, width: int) -> Strip:
        runs: list[Run] = [(" " * MARGIN, "head")]
        for column, _x, cells in self._lay():
            title = _(column.title)
            if column.name == self.order.column:
                arrow = "v" if self.order.reverse else "^"
                runs.append(
                    (fit(f"{title} {arrow}" if len(title) + 2 <= cells else title, cells, column.right), "sorted")
                )
            else:
                runs.append((fit(title, cells, column.right), "head"))
            runs.append((" " * GAP, "head"))
        return self.strip(runs, width=width, fill="head")
