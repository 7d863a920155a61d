"""The console: names modes and keys, and carries what screens ask of each other. It reads through the source only."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from fleetctl.config import Config
from fleetctl.errors import FleetctlError
from fleetctl.i18n import _, set_language
from fleetctl.inventory import Inventory
from fleetctl.tui.feed import Feed
from fleetctl.tui.look import TONE_CLASSES
from fleetctl.tui.messages import FeedBroken, StoreChanged
from fleetctl.tui.palette import FleetCommands
from fleetctl.tui.screens.data_screen import DataScreen
from fleetctl.tui.screens.overview import OverviewScreen
from fleetctl.tui.source import Pulse, Source
from fleetctl.tui.themes import DARK, LIGHT, SIXTEEN
from fleetctl.tui.widgets.bars import TitleBar
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.views.nodes import NodeRow
from fleetctl.views.units import show_age

# key, mode, title (English message id): the tabs of the title line, in order.
TABS: tuple[tuple[str, str, str], ...] = (
    ("1", "overview", "Overview"),
    ("2", "nodes", "Nodes"),
    ("3", "cards", "Cards"),
    ("4", "queue", "Queue"),
    ("5", "plans", "Plans"),
    ("6", "events", "Events"),
    ("7", "power", "Power"),
    ("8", "cooling", "Cooling"),
)
ENGINE_SILENT_S = 90.0  # without a beat for so long the engine counts as gone, whatever its row says


def _later(name: str, screen: str) -> Callable[[], Screen[Any]]:
    """A screen whose file is imported when it is first opened: the first frame waits for the overview's alone."""

    def open_it() -> Screen[Any]:
        made: Screen[Any] = getattr(importlib.import_module(f"fleetctl.tui.screens.{name}"), screen)()
        return made

    return open_it


class Console(App[None]):
    """The app. `source` answers; `feed` says when to ask again."""

    TITLE = "fleetctl"
    COMPONENT_CLASSES: ClassVar[set[str]] = TONE_CLASSES  # see Drawn.tone
    CSS_PATH = ["styles/tones.tcss", "styles/frame.tcss", "styles/screens.tcss"]  # noqa: RUF012
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "overview": OverviewScreen,
        "nodes": _later("nodes", "NodesScreen"),
        "cards": _later("cards", "CardsScreen"),
        "queue": _later("queue", "QueueScreen"),
        "plans": _later("plans", "PlansScreen"),
        "events": _later("events", "EventsScreen"),
        "power": _later("power", "PowerScreen"),
        "cooling": _later("cooling", "CoolingScreen"),
    }
    DEFAULT_MODE = "overview"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (132, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (36, "-high")]  # noqa: RUF012
    COMMANDS: ClassVar[set[Any]] = {FleetCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"mode('{mode}')", title, show=False) for key, mode, title in TABS),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False),  # what everybody's fingers do; a selected text is copied first
        Binding("ctrl+p", "command_palette", "palette", show=False),
    ]

    def __init__(self, source: Source, *, watch: bool = True) -> None:
        """watch: follow the store; without it, screens load once and when told (tests)."""
        plain = bool(os.environ.get("NO_COLOR"))
        if not plain:
            os.environ.pop("NO_COLOR", None)  # set but empty means nothing; the toolkit would take it as set
        super().__init__(ansi_color=True if plain or few_colours() else None)
        self.source = source
        self.version = 0
        self.pulse = Pulse()
        self._asking_pulse = False
        self._broken = ""
        self._feed = Feed(source.version, self.post_message) if watch else None
        for theme in (DARK, LIGHT, SIXTEEN):
            self.register_theme(theme)
        self.theme = SIXTEEN.name if plain or few_colours() else DARK.name
        self.animation_level = "none"  # over SSH every frame is a round trip's worth of bytes

    async def on_event(self, event: events.Event) -> None:
        """Keys are answered here, one after the other, unless a text field has them.

        The toolkit hands a key to the widget in focus and takes the next one before it was answered; typed fast, or
        coming in one packet over a slow line, the name after `:` would then be taken for keys of the table.
        """
        if isinstance(event, events.Key) and not event.is_forwarded and self._running_screen():
            screen = self.screen
            if isinstance(screen, DataScreen) and screen.takes_key(event):
                return
            if not isinstance(self.focused, Input) and (
                await self._check_bindings(event.key, priority=True) or await self._check_bindings(event.key)
            ):
                return
        await super().on_event(event)

    def _running_screen(self) -> bool:
        return bool(self._screen_stack) and self.screen.is_running

    # The store

    def on_mount(self) -> None:
        if self._feed is not None:
            self._feed.start()
        self._ask_pulse()

    def on_unmount(self) -> None:
        if self._feed is not None:
            self._feed.stop()

    def on_store_changed(self, event: StoreChanged) -> None:
        if self._broken and isinstance(self.screen, DataScreen):
            self.screen.hush()
        self.version, self._broken = event.version, ""
        self._ask_pulse()
        self.screen.post_message(StoreChanged(event.version))

    def on_feed_broken(self, event: FeedBroken) -> None:
        self._broken = event.text
        if isinstance(self.screen, DataScreen):
            self.screen.say(event.text, "crit")

    def _ask_pulse(self) -> None:
        if not self._asking_pulse:
            self._asking_pulse = True
            self.run_worker(self._read_pulse(), group="pulse", exit_on_error=False)

    async def _read_pulse(self) -> None:
        """The title says it as soon as it is known, whether or not the screen has been drawn by then."""
        try:
            self.pulse = await asyncio.to_thread(self.source.pulse)
        except FleetctlError as error:
            self.post_message(FeedBroken(str(error)))
        else:
            if self._running_screen() and isinstance(self.screen, DataScreen):
                self.screen.tell()
        finally:
            self._asking_pulse = False

    # What screens show of the whole

    def tell_title(self, bar: TitleBar, mode: str) -> None:
        """Fill the title line: which fleet, where we are, how old the data is, whether an engine lives."""
        now, pulse = self.source.now(), self.pulse
        if self._broken:
            engine = (f"{bar.glyphs.crit} {_('store')}", "crit")
        elif pulse.beat_at is None:
            engine = (f"{bar.glyphs.blind} {_('no engine yet')}", "blind")
        elif pulse.stopped_at is not None and pulse.stopped_at >= pulse.beat_at:
            engine = (f"{bar.glyphs.out} {_('engine stopped')} {show_age(pulse.stopped_at, now)}", "warn")
        elif now - pulse.beat_at > ENGINE_SILENT_S:
            engine = (f"{bar.glyphs.crit} {_('engine silent')} {show_age(pulse.beat_at, now)}", "crit")
        else:
            engine = (f"{bar.glyphs.ok} {_('engine')}", "ok")
        age = None if pulse.data_at is None else now - pulse.data_at
        tabs = [(key, _(title), name == mode) for key, name, title in TABS]
        bar.tell(self.source.fleet, tabs, age, engine, self.source.stale_s)

    def key_line(self, screen: Screen[Any]) -> list[tuple[str, str]]:
        """(key, what) of the bindings worth showing: those of the screen, then what works everywhere."""
        from fleetctl.tui.screens.help import key_name

        keys = [
            (b.key_display or key_name(b.key), _(b.description))
            for _key, b in screen._bindings
            if b.show and b.description
        ]
        keys.sort(key=lambda pair: pair[0] in (":", "?"))
        return [("Enter", _("go in")), *keys, ("^P", _("palette")), ("q", _("quit"))]

    def mode_list(self) -> Sequence[tuple[str, str, str]]:
        return TABS

    # What screens ask of the whole

    def action_mode(self, mode: str) -> None:
        self.go_mode(mode)

    def go_mode(self, mode: str) -> None:
        """Show a mode from its first screen."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if self.current_mode != mode:
            self.switch_mode(mode)

    def show_nodes(self, text: str) -> None:
        """The nodes that pass a filter."""
        self.run_worker(self._show_nodes(text), group="jump")

    async def _show_nodes(self, text: str) -> None:
        from fleetctl.tui.screens.nodes import NodesScreen

        while len(self.screen_stack) > 1:
            await self.pop_screen()
        if self.current_mode != "nodes":
            await self.switch_mode("nodes")  # the filter has to find the screen there, however busy the machine is
        if isinstance(self.screen, NodesScreen):
            try:
                self.screen.show_only(text)
            except FleetctlError as error:
                self.screen.say_error(error)

    def open_node(self, name: str) -> None:
        from fleetctl.tui.screens.node import NodeScreen

        self.push_screen(NodeScreen(name))

    def neighbour(self, name: str, by: int) -> str | None:
        """The node that stands after (or before) another in the list the node screen was opened from."""
        for screen in reversed(self.screen_stack[:-1]):
            for table in screen.query(FleetTable):
                line = table.view.place.get(name)
                if line is not None and table.noun == "node":
                    to = line + by
                    if 0 <= to < len(table.view.keys):
                        key: str = table.view.keys[to]
                        table.go_to(key)
                        return key
        return None

    def act(self, verb: str, nodes: Sequence[str], row: NodeRow | None = None, undo: str = "", cards: str = "") -> None:
        """Plan, confirm and follow one change. cards: only these of the node, as they would be typed."""
        from fleetctl.tui.screens.act import ActScreen

        self.push_screen(ActScreen(verb, nodes, row, undo, cards))

    def acknowledge(self, noun: str, keys: Sequence[str]) -> None:
        self.run_worker(lambda: self._acknowledge(noun, keys), thread=True, group="act", exit_on_error=False)

    def _acknowledge(self, noun: str, keys: Sequence[str]) -> None:
        try:
            count = self.source.acknowledge(noun, keys)
        except FleetctlError as error:
            self.call_from_thread(self._say_error, error)
            return
        self.call_from_thread(self._say, _("{count} findings acknowledged").format(count=count))

    def _say(self, text: str) -> None:
        if isinstance(self.screen, DataScreen):
            self.screen.say(text)

    def _say_error(self, error: FleetctlError) -> None:
        if isinstance(self.screen, DataScreen):
            self.screen.say_error(error)

    def jump_names(self) -> Sequence[str]:
        """Host names, sorted, for completion."""
        return self.source.places.hosts

    def names_like(self, text: str) -> Iterator[tuple[str, str]]:
        """(name, kind) of sites, pools, racks and hosts whose name contains the text."""
        places = self.source.places
        kinds = ((places.sites, "site"), (places.pools, "pool"), (places.racks, "rack"), (places.hosts, "node"))
        for names, kind in kinds:
            for name in names:
                if text in name:
                    yield name, kind

    def jump(self, text: str) -> None:
        """Go to a mode, node, rack, pool, site, group or node set, whichever the text names."""
        places = self.source.places
        word = text.removeprefix("@")
        mode = next((m for _key, m, title in TABS if word.lower() in (m, title.lower(), _(title))), None)
        if mode is not None:
            self.go_mode(mode)
        elif word in places.racks:
            self.show_nodes(f"rack={word}")
        elif word in places.pools:
            self.show_nodes(f"pools~\\b{word}\\b")
        elif word in places.sites:
            self.show_nodes(f"site={word}")
        else:
            self._jump_to_nodes(text)

    def _jump_to_nodes(self, text: str) -> None:
        try:
            names = self.source.select(text)
        except FleetctlError as error:
            self._say_error(error)
            return
        if len(names) == 1:
            self.open_node(names[0])
        else:
            self.show_nodes(f"name={self.source.fold(names)}")

    def speak(self, language: str) -> None:
        """Another language, at once."""
        set_language(language)
        for screen in self.screen_stack:
            for table in screen.query(FleetTable):
                table.relabel()
            if isinstance(screen, DataScreen):
                screen.reload()
                screen.tell()

    def action_light(self) -> None:
        if self.theme != SIXTEEN.name:
            self.theme = LIGHT.name if self.theme == DARK.name else DARK.name


def few_colours() -> bool:
    """True where the terminal says it has sixteen colours or less."""
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return False
    term = os.environ.get("TERM", "")
    return not any(word in term for word in ("256", "direct", "kitty", "alacritty", "ghostty", "truecolor"))


def open_console(config: Config, inventory: Inventory, *, config_path: Path | None = None) -> None:
    """Run the console on a fleet until it is left. Whoever calls it starts an engine if none runs."""
    from fleetctl.tui.store_source import StoreSource

    source = StoreSource(config, inventory)
    # A thread that reads a fleet holds the interpreter for this long before a key gets its turn.
    sys.setswitchinterval(0.001)
    try:
        Console(source).run()
    finally:
        source.close()
