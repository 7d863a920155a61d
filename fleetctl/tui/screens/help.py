"""`?`: every key that works on the screen beneath, read from the bindings themselves, and the filter language."""

from __future__ import annotations

from textual.binding import Binding
from textual.screen import Screen
from textual.widget import Widget

from fleetctl.i18n import _
from fleetctl.tui.look import fit
from fleetctl.tui.screens.text import TextScreen
from fleetctl.tui.widgets.drawn import Run

FILTER = (
    ("site=lingang", "a word, without regard to case; * and ? are wildcards; a,b means a or b"),
    ("chip~910", "a regular expression anywhere in the value"),
    ("temp>80  power>=5.6kW  age>5m", "a number with or without its unit"),
    ("state=drain*", "any of the four axes: reach, health, admin, load"),
    ("name=gpu[001-020]", "a node set"),
    ("not rack=r12  or  health!=ok", "terms side by side must all hold; or, not and parentheses work"),
    ("power=-", "unknown"),
)
# Keys of the toolkit that mean nothing to an operator.
THEIRS = {"screen.copy_text", "help_quit", "app.focus_next", "app.focus_previous"}
NAMES = {
    "question_mark": "?", "colon": ":", "slash": "/", "space": "Space", "enter": "Enter", "escape": "Esc",
    "up": "Up", "down": "Down", "left": "Left", "right": "Right", "pageup": "PgUp", "pagedown": "PgDn",
    "home": "Home", "end": "End", "tab": "Tab", "shift+tab": "Shift-Tab", "left_square_bracket": "[",
    "right_square_bracket": "]", "plus": "+", "minus": "-",
}  # fmt: skip


def key_name(key: str) -> str:
    """A key as people write it: `ctrl+p` is Ctrl-P."""
    return NAMES.get(key) or (f"Ctrl-{key[5:].upper()}" if key.startswith("ctrl+") else key)


class HelpScreen(TextScreen):
    def __init__(self, screen: Screen[None]) -> None:
        super().__init__(_("Keys"), help_lines(screen))


def help_lines(screen: Screen[None]) -> list[list[Run]]:
    """Keys by who answers them (screen, focused widget, everywhere), then the filter language."""
    lines: list[list[Run]] = []
    seen: set[str] = set()
    groups: list[tuple[str, Widget | Screen[None] | object]] = [
        (_("On this screen"), screen),
        (_("In lists"), screen.focused),
        (_("Everywhere"), screen.app),
    ]
    for title, owner in groups:
        entries: dict[tuple[str, str], list[str]] = {}
        for _key, binding in _bindings(owner):
            if binding.description and binding.key not in seen and binding.action not in THEIRS:
                seen.add(binding.key)
                entries.setdefault((binding.action, binding.description), []).append(
                    binding.key_display or key_name(binding.key)
                )
        if entries:
            lines += [[(title, "strong")], *([("  ", "plain"), (fit(" ".join(keys), 22), "accent"), (_(what), "plain")]
                      for (_action, what), keys in entries.items()), []]  # fmt: skip
    lines.append([(_("Filter"), "strong")])
    lines += [[("  ", "plain"), (fit(term, 32), "accent"), (_(meaning), "plain")] for term, meaning in FILTER]
    return lines


def _bindings(owner: object) -> list[tuple[str, Binding]]:
    bindings = getattr(owner, "_bindings", None)
    return list(bindings) if bindings is not None else []
