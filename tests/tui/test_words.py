"""Every word of the console has a Chinese one: calls of `_`, keys, empty lists, headings, states."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fleetctl.tui
from fleetctl.i18n import LOCALES, read_po
from fleetctl.tui.app import TABS
from fleetctl.tui.look import STATES
from fleetctl.tui.screens.cards import METRICS
from fleetctl.tui.screens.help import FILTER
from fleetctl.tui.screens.node import PANES
from fleetctl.tui.screens.power import LEVEL_TITLES
from fleetctl.views import (
    cooling,
    devices,
    events,
    facility,
    facility_curves,
    findings,
    groups,
    leases,
    node_history,
    nodes,
    plans,
    power,
    power_places,
    probe_states,
)
from fleetctl.views.node_cards import TITLES

TREE = Path(fleetctl.tui.__file__).parent
# The same in every language.
SAME = {"-", ""}


def literals(path: Path) -> set[str]:
    """Message ids that a file spells out: `_("x")`, the third word of a Binding, `empty="x"`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name == "_" and node.args and isinstance(node.args[0], ast.Constant):
            found.add(node.args[0].value)
        if name == "Binding" and len(node.args) > 2 and isinstance(node.args[2], ast.Constant):
            found.add(node.args[2].value)
        found |= {
            k.value.value for k in node.keywords if k.arg == "empty" and isinstance(k.value, ast.Constant)
        }  # fmt: skip
    return found


def words() -> set[str]:
    found = {word for path in TREE.rglob("*.py") for word in literals(path)}
    found |= {title for _key, _mode, title in TABS} | {word for _tone, _sign, word in STATES.values()}
    found |= {title for _name, title in METRICS} | {meaning for _term, meaning in FILTER} | set(PANES) | set(groups.BY)
    found |= {curve[0] for curve in node_history.CURVES} | set(TITLES.values())
    found |= {
        "drain",
        "resume",
        "no open finding",
        "nothing has happened",
        "no lease holds it",
        "no probe has answered yet",
    }
    found |= {*facility_curves.TITLES, *node_history.BESIDE_TITLES, "PUE by day", *LEVEL_TITLES.values()}
    building = (power_places.PLACE_COLUMNS, power_places.NODE_COLUMNS, power.FEED_COLUMNS, power.RACK_COLUMNS)
    for columns in (*building, cooling.COLUMNS, facility.COLUMNS):
        found |= {column.title for column in columns}
    tables = (nodes.COLUMNS, groups.COLUMNS, events.COLUMNS, findings.COLUMNS, leases.LEASE_COLUMNS)
    for columns in (*tables, leases.REQUEST_COLUMNS, plans.COLUMNS, plans.NODE_COLUMNS, probe_states.COLUMNS):
        found |= {column.title for column in columns}
    found |= {column.title for column in devices.COLUMNS if not column.wide}
    return found - SAME


@pytest.fixture(scope="module")
def chinese() -> set[str]:
    entries = read_po((LOCALES / "zh_CN" / "LC_MESSAGES" / "fleetctl.po").read_text(encoding="utf-8"))
    return {e.msgid for e in entries if e.msgstr and not e.fuzzy}


def test_every_word_of_the_console_has_a_chinese_one(chinese: set[str]) -> None:
    assert sorted(words() - chinese) == []
