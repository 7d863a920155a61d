"""Ctrl-P: everything by name: places, nodes, and what can be done here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from fleetctl.i18n import _

if TYPE_CHECKING:
    from fleetctl.tui.app import Console

MOST = 20  # nodes offered at once


class FleetCommands(Provider):
    """Modes and acts always; nodes, racks, pools and sites when their name contains what was typed."""

    @property
    def _console(self) -> Console:
        return cast("Console", self.app)

    def _commands(self) -> Iterator[tuple[str, Callable[[], object], str]]:
        console = self._console
        for key, mode, title in console.mode_list():
            yield _(title), partial(console.go_mode, mode), f"{_('screen')} {key}"
        for action, title in (("filter", "filter"), ("fold", "fold"), ("act('drain')", "drain"),
                              ("act('resume')", "resume"), ("act('cordon')", "cordon"), ("act('maint')", "maint"),
                              ("act('quarantine')", "quarantine"), ("undo", "undo"), ("acknowledge", "acknowledge"), ("copy", "copy"),
                              ("record", "raw record"), ("sort", "sort"), ("help", "help")):  # fmt: skip
            if hasattr(self.screen, f"action_{action.split('(')[0]}"):
                yield _(title), partial(self.screen.run_action, action), _("on this screen")
        yield _("language: English"), partial(console.speak, "en"), ""
        yield _("language: Chinese"), partial(console.speak, "zh"), ""
        yield _("light or dark"), console.action_light, ""
        yield _("quit"), console.exit, ""

    async def discover(self) -> Hits:
        for title, command, help_text in self._commands():
            yield DiscoveryHit(title, command, help=help_text or None)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, command, help_text in self._commands():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), command, help=help_text or None)
        for name, kind in islice(self._console.names_like(query), MOST):
            score = 0.9 if name.startswith(query) else 0.5
            yield Hit(score, matcher.highlight(name), partial(self._console.jump, name), help=_(kind))
