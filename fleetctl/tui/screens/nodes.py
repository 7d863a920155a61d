"""All nodes: a table that scrolls at any size, filtered by words, sorted, marked, folded into groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetctl.errors import FleetctlError
from fleetctl.i18n import _
from fleetctl.tui.screens.data_screen import DataScreen, pick
from fleetctl.tui.widgets.arranged import Arranged, Order, arrange
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.tui.widgets.prompt import Prompt
from fleetctl.views import groups, nodes
from fleetctl.views.column import Column, Table
from fleetctl.views.filter import compile_filter
from fleetctl.views.groups import GroupRow, group_nodes, keys_of
from fleetctl.views.nodes import NodeRow

# Left to right by how often they decide something; a wide screen shows them all.
SHOWN = (
    "name health reach admin load age_at cards_found util_pct temp_c power_w mem_pct cpu_pct site rack chip pools note"
)
NARROW = "name health reach admin load age_at util_pct temp_c power_w cards_found note chip site rack pools mem_pct"
FOLDS: tuple[str | None, ...] = (None, *groups.BY)


@dataclass(frozen=True, slots=True)
class Loaded:
    table: Table[Any]
    view: Arranged
    nodes: Table[NodeRow]
    at: float
    fold: str | None
    sieve: tuple[object, object]  # filter and group it was arranged by


class NodesScreen(DataScreen):
    MODE: ClassVar[str] = "nodes"
    AUTO_FOCUS = "#nodes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("space", "mark", "mark"),
        Binding("f", "fold", "fold"),
        Binding("d", "act('drain')", "drain"),
        Binding("r", "act('resume')", "resume"),
        Binding("m", "act('maint')", "maint"),
        Binding("a", "acknowledge", "acknowledge"),
        Binding("A", "mark_all", "mark all shown", show=False),
        Binding("M", "mark_rack", "mark the whole rack", show=False),
        Binding("u", "unmark", "unmark all", show=False),
        Binding("o", "sort", "sort"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""
        self._keep: Callable[[Any], bool] | None = None
        self._group: tuple[str, str, str] | None = None  # by, key, label: one opened group
        self._before = ""  # the filter while another is being typed
        self._bad = ""  # why the text being typed is no filter
        self.fold: str | None = None
        self._given: Table[NodeRow] | None = None

    @property
    def table(self) -> FleetTable:
        return self.query_one("#nodes", FleetTable)

    def body(self) -> ComposeResult:
        yield FleetTable(pick(nodes.COLUMNS, SHOWN), id="nodes", empty="no node passes the filter", markable=True)

    # Loading

    def load(self) -> Loaded:
        return self._arrange(self.source.nodes())

    def _arrange(self, table: Table[NodeRow]) -> Loaded:
        keep, group, fold, order = self._keep, self._group, self.fold, self.table.order
        before, sieve = self.table.view, (self._keep, self._group)
        if fold is not None:
            rows = [r for r in table.rows if keep is None or keep(r)]
            folded = groups.table(group_nodes(rows, fold, self.source.fold))
            return Loaded(folded, arrange(folded, order), table, self.source.now(), fold, sieve)
        if group is not None:
            by, key, _label = group
            test = keep
            keep = lambda r: key in keys_of(r, by) and (test is None or test(r))  # noqa: E731
        return Loaded(table, arrange(table, order, keep, before), table, self.source.now(), None, sieve)

    def show(self, data: Loaded) -> None:
        if data.fold != self.fold:  # folded otherwise while it was read: the next load is on its way
            return
        if data.sieve != (self._keep, self._group):  # filtered otherwise while it was read
            data = self._arrange(data.nodes)
        self._given = data.nodes
        self._choose_columns()
        self.table.show(data.table, data.view, now=data.at)

    def again(self) -> None:
        """Arrange what is here already: a new filter, fold or group needs no reading."""
        if self._given is not None:
            self.show(self._arrange(self._given))
            self.tell()

    def _choose_columns(self) -> None:
        if self.fold is not None:
            wanted: list[Column[Any]] = list(groups.COLUMNS)
        else:
            wanted = pick(nodes.COLUMNS, SHOWN if self.size.width >= 132 else NARROW)
        meters = self.fold is not None or self.size.width >= 100
        if list(self.table.columns) != wanted or self.table.meters != meters:
            self.table.meters = meters
            self.table.set_columns(wanted)

    # Status

    def status(self) -> tuple[list[Run], list[Run]]:
        view = self.table.view
        left: list[Run] = []
        if self._bad:
            left += [(f" {self.table.glyphs.crit} {self._bad}", "crit")]
            return left, []
        if self.fold is not None:
            left += [(f" {_('folded by')} {_(self.fold)} ", "accent")]
        if self._group is not None:
            left += [(f" {_(self._group[0])}={self._group[1]} ", "accent")]
        if self.filter_text:
            left += [(f" / {self.filter_text} ", "accent")]
        marks = len(self.table.marks)
        if marks:
            left += [(f" {self.table.glyphs.mark} {marks} {_('marked')} ", "mark")]
        row = self.table.row
        if isinstance(row, NodeRow) and (note := row.findings or row.error or row.reason):
            left += [(f" {note}", "muted")]
        here = min(self.table.cursor + 1, len(view.rows))
        total = f" / {view.total:,}" if view.total != len(view.rows) else ""
        return left, [(f"{here:,} {_('of')} {len(view.rows):,}{total} ", "muted")]

    # Filter

    def set_filter(self, text: str) -> None:
        """Filter by words; a text that is none stays what it was and says why. Raises UsageError."""
        keep = compile_filter(text, nodes.COLUMNS, now=self.source.now) if text.strip() else None
        self.filter_text, self._keep, self._bad = text.strip(), keep, ""
        self.again()

    def show_only(self, text: str) -> None:
        """Come here with a filter: unfolded, no group open."""
        self.fold, self._group = None, None
        self.set_filter(text)

    def action_filter(self) -> None:
        self._before = self.filter_text
        self.query_one(Prompt).ask("filter", "/", self.filter_text)

    def on_prompt_typed(self, event: Prompt.Typed) -> None:
        if event.what == "filter":
            self._try(event.text)

    def on_prompt_answered(self, event: Prompt.Answered) -> None:
        super().on_prompt_answered(event)
        if event.what == "filter" and not self._try(event.text):
            bad = self._bad
            self.set_filter(self._before)
            self.say(bad, "crit")

    def on_prompt_dropped(self, event: Prompt.Dropped) -> None:
        super().on_prompt_dropped(event)
        if event.what == "filter":
            self._bad = ""
            self.set_filter("")

    def _try(self, text: str) -> bool:
        try:
            self.set_filter(text)
        except FleetctlError as error:
            self._bad = str(error)
            self.tell()
            return False
        return True

    # Marks and folds

    def action_mark(self) -> None:
        row = self.table.row
        if isinstance(row, GroupRow):
            every = all(m in self.table.marks for m in row.members)
            self.table.mark(row.members, not every)
        elif self.table.key is not None:
            self.table.mark([self.table.key])
            self.table.action_move(1)

    def action_mark_all(self) -> None:
        rows = self.table.view.rows
        self.table.mark([m for r in rows for m in (r.members if isinstance(r, GroupRow) else (r.name,))], True)

    def action_mark_rack(self) -> None:
        row = self.table.row
        if isinstance(row, NodeRow) and row.rack and self._given is not None:
            self.table.mark([r.name for r in self._given.rows if r.rack == row.rack], True)

    def action_unmark(self) -> None:
        self.table.mark(list(self.table.marks), False)

    def action_fold(self) -> None:
        self.fold = FOLDS[(FOLDS.index(self.fold) + 1) % len(FOLDS)]
        self._group = None
        self.table.order = Order()
        self.again()

    def action_out(self) -> None:
        """One step back at a time: what was typed, the open group, marks, the filter, the screen."""
        if self._group is not None:
            self.fold, self._group = self._group[0], None
            self.again()
        elif self.table.marks:
            self.action_unmark()
        elif self.filter_text:
            self.set_filter("")
        elif self.fold is not None:
            self.fold = None
            self.again()
        else:
            super().action_out()

    def on_fleet_table_chosen(self, event: FleetTable.Chosen) -> None:
        if isinstance(event.row, GroupRow):
            self._group, self.fold = (self.fold or "site", event.row.key, event.row.label), None
            self.table.order = Order()
            self.again()
        else:
            self.home.open_node(event.key)

    # Acts

    def targets(self) -> list[str]:
        """Marked nodes; else the node, or all nodes of the group, under the cursor."""
        if self.table.marks:
            return sorted(self.table.marks, key=self._place)
        row = self.table.row
        if isinstance(row, GroupRow):
            return list(row.members)
        return [row.name] if isinstance(row, NodeRow) else []

    def _place(self, name: str) -> tuple[int, str]:
        return self.table.view.place.get(name, 1 << 30), name

    def action_act(self, verb: str) -> None:
        targets = self.targets()
        if targets:
            row = self._row_of(targets[0]) if len(targets) == 1 else None  # a mark may stand elsewhere than the cursor
            self.home.act(verb, targets, row)

    def _row_of(self, name: str) -> NodeRow | None:
        line = self.table.view.place.get(name)
        row = self.table.view.rows[line] if line is not None else None
        return row if isinstance(row, NodeRow) and row.name == name else None

    def action_acknowledge(self) -> None:
        self.home.acknowledge("node", self.targets())

    def action_copy(self) -> None:
        targets = self.targets()
        if targets:
            text = self.source.fold(targets)
            self.app.copy_to_clipboard(text)
            self.say(_("copied: {text}").format(text=text))
