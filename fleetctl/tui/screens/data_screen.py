"""What all screens share: title and key lines, a prompt, and one way to load: in a worker, never twice at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import WorkerCancelled

from fleetctl.errors import FleetctlError
from fleetctl.i18n import _
from fleetctl.tui.messages import StoreChanged
from fleetctl.tui.source import Source
from fleetctl.tui.widgets.arranged import Order
from fleetctl.tui.widgets.bars import KeyBar, RunLine, TitleBar
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.tui.widgets.prompt import Prompt
from fleetctl.views.column import Column

if TYPE_CHECKING:
    from fleetctl.tui.app import Console


LEAST_S = 0.5  # between two loads that nobody asked for
PAUSES = 5.0  # loads take at most a sixth of the time: reading shares one interpreter with the keys


class DataScreen(Screen[None]):
    """A screen of the console. Subclasses give `body`, `load` (in a thread) and `show` (in the event loop)."""

    MODE: ClassVar[str] = ""  # the mode whose tab is lit
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon", "jump", "jump", key_display=":"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("escape", "out", "back", show=False),
        Binding("o", "sort", "sort", show=False),
        Binding("c", "copy", "copy", show=False),
        Binding("y", "record", "raw record", show=False),
        Binding("tab", "next_pane", "next pane", show=False),
        Binding("shift+tab", "next_pane(-1)", "previous pane", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._wanted = False
        self._loading = False
        self._seen = -1
        self._next_at = 0.0  # monotonic; before that the store's changes wait
        self._later: Timer | None = None
        self._sorting: dict[str, Column[Any]] = {}
        self._said: tuple[Run, ...] | None = None

    # For subclasses

    def body(self) -> ComposeResult:
        """The widgets between title and key line."""
        yield from ()

    def load(self) -> Any:
        """Ask the source. Runs in a worker thread; must not touch widgets."""
        raise NotImplementedError

    def show(self, data: Any) -> None:
        """Put what was loaded on the screen."""
        raise NotImplementedError

    def status(self) -> tuple[list[Run], list[Run]]:
        """Left and right of the line above the keys, when there is nothing more urgent to say."""
        return [], []

    def sortable(self) -> FleetTable | None:
        """The table that `o` sorts and `c`, `y` speak of."""
        return self.focused if isinstance(self.focused, FleetTable) else None

    def noun_and_key(self) -> tuple[str, str] | None:
        """What `y` shows the record of."""
        table = self.sortable()
        if table is None or table.key is None:
            return None
        return (table.noun or "node"), table.key

    # Frame

    @property
    def home(self) -> Console:
        return cast("Console", self.app)

    @property
    def source(self) -> Source:
        return self.home.source

    @property
    def alive(self) -> bool:
        """False before the first frame and once the screen is being taken down: its widgets go before it does."""
        return self.is_mounted and self.is_attached and self.is_running and bool(self.query(KeyBar))

    def compose(self) -> ComposeResult:
        yield TitleBar(id="title")
        yield from self.body()
        yield RunLine(id="status")
        yield Prompt(id="prompt")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.set_interval(1.0, self.tick)
        self.tick()
        self.reload()

    def on_screen_resume(self) -> None:
        self.tick()
        if not self._loading and self._seen != self.home.version:
            self.reload()

    def on_store_changed(self, event: StoreChanged) -> None:
        """Others write all the time; a fleet that takes half a second to read is read once in three seconds then."""
        if event.version == self._seen:
            return
        wait = self._next_at - time.monotonic()
        if wait <= 0:
            self.reload()
        elif self._later is None:
            self._later = self.set_timer(wait, self._reload_now)

    def _reload_now(self) -> None:
        self._later = None
        self.reload()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.tick)

    def tick(self) -> None:
        """Once a second: ages grow, nothing is read."""
        if not self.is_current:
            return
        now = self.source.now()
        for table in self.query(FleetTable):
            if table.loaded:
                table.tick(now)
        self.tell()

    def tell(self) -> None:
        """Refresh title, status and key lines; each draws only when its text differs."""
        if not self.alive:
            return
        self.home.tell_title(self.query_one(TitleBar), self.MODE)
        left, right = self.status()
        self.query_one("#status", RunLine).show(self._said or left, right)
        self.query_one(KeyBar).tell(self.home.key_line(self))

    def say(self, text: str, tone: str = "accent") -> None:
        """One line to the operator; it stays until the next key."""
        self._said = ((f" {text}", tone),)
        self.tell()

    def hush(self) -> None:
        """What was said is over."""
        self._said = None
        self.tell()

    def say_error(self, error: FleetctlError) -> None:
        mark = self.query_one(TitleBar).glyphs.crit
        hint = error.hint.replace("\n", " ") if error.hint else ""
        self.say(f"{mark} {error}" + (f" - {hint}" if hint else ""), "crit")

    # Loading

    def reload(self) -> None:
        """Load again, soon. While a load runs, one more is remembered, never two."""
        self._wanted = True
        if not self._loading and self.is_mounted:
            self._loading = True
            self.run_worker(self._reload(), group="reload", exit_on_error=True)

    async def _reload(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                began = time.monotonic()
                try:
                    version, data = await asyncio.to_thread(self._load)
                except FleetctlError as error:
                    self.say_error(error)
                    continue
                ended = time.monotonic()
                self._next_at = ended + max(LEAST_S, PAUSES * (ended - began))
                if self.is_attached:
                    self._seen = version
                    self.show(data)
                    self.tell()
        except WorkerCancelled:
            return
        finally:
            self._loading = False

    def _load(self) -> tuple[int, Any]:
        """What is there, and which version of the store it is at least."""
        version = self.source.version()
        return version, self.load()

    # Keys

    def takes_key(self, event: events.Key) -> bool:
        """Before anything else sees a key: what was said is read by now, and a letter may be meant for `o`."""
        if self._sorting:
            self._sort_by(event.character or "")
            return True
        if self._said is not None:
            self._said = None
            self.tell()
        return False

    def on_fleet_table_moved(self) -> None:
        self.tell()

    def action_out(self) -> None:
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def action_next_pane(self, by: int = 1) -> None:
        if by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_help(self) -> None:
        from fleetctl.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self))

    def action_jump(self) -> None:
        self.query_one(Prompt).ask("jump", ":", names=self.home.jump_names())

    def action_sort(self) -> None:
        table = self.sortable()
        if table is None or not table.columns:
            return
        self._sorting = sort_letters(table.columns)
        runs: list[Run] = [(f" {_('sort by')} ", "strong")]
        for letter, column in self._sorting.items():
            runs += [(f" {letter}", "accent"), (f" {_(column.title)} ", "muted")]
        self._said = tuple(runs)
        self.tell()

    def _sort_by(self, letter: str) -> None:
        column = self._sorting.get(letter)
        self._sorting, self._said = {}, None
        table = self.sortable()
        if column is not None and table is not None:
            again = table.order.column == column.name
            # Figures are asked for to see the largest, words and ages to read from the top.
            first = column.right and column.role != "age"
            table.set_order(Order(column.name, not table.order.reverse if again else first))
        self.tell()

    def action_copy(self) -> None:
        table = self.sortable()
        keys = table.chosen_keys() if table is not None else []
        if keys:
            text = self.source.fold(keys) if table is not None and table.noun == "node" else "\n".join(keys)
            self.app.copy_to_clipboard(text)
            self.say(_("copied: {text}").format(text=text))

    def action_record(self) -> None:
        wanted = self.noun_and_key()
        if wanted is not None:
            self.run_worker(self._record(*wanted), group="record", exclusive=True)

    async def _record(self, noun: str, key: str) -> None:
        from fleetctl.tui.screens.text import TextScreen

        try:
            record = await asyncio.to_thread(self.source.record, noun, key)
        except FleetctlError as error:
            self.say_error(error)
            return
        text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
        self.app.push_screen(TextScreen(f"{noun} {key}", [[(line, "plain")] for line in text.splitlines()]))

    # Prompt

    def on_prompt_answered(self, event: Prompt.Answered) -> None:
        self.leave_prompt()
        if event.what == "jump" and event.text.strip():
            self.home.jump(event.text.strip())

    def on_prompt_dropped(self, event: Prompt.Dropped) -> None:
        self.leave_prompt()

    def leave_prompt(self) -> None:
        """Focus goes back to where work is."""
        target = next((w for w in self.query("FleetTable, HeatMap, TextPane") if w.display and w.focusable), None)
        if target is not None:
            target.focus()


def sort_letters(columns: Sequence[Column[Any]]) -> dict[str, Column[Any]]:
    """A letter per column: the first free one of its name, so that most are what one would guess."""
    letters: dict[str, Column[Any]] = {}
    for column in columns:
        spare = "abcdefghijklmnopqrstuvwxyz"
        letter = next((c for c in column.name + spare if c.isalpha() and c not in letters), None)
        if letter is not None:
            letters[letter] = column
    return letters


def pick(columns: Sequence[Column[Any]], names: str) -> list[Column[Any]]:
    """Columns by name, in the order of the names; names nobody knows are left out."""
    by_name = {c.name: c for c in columns}
    return [by_name[name] for name in names.split() if name in by_name]
