"""One node: its cards, how they were lately, what is wrong, what happened, who is on it, and how its probes fare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical

from fleetctl.i18n import _
from fleetctl.tui.look import fit, state_text
from fleetctl.tui.screens.data_screen import DataScreen, pick
from fleetctl.tui.source import NodeView
from fleetctl.tui.widgets.bars import RunBlock, RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.tui.widgets.plot import Plot
from fleetctl.tui.widgets.text_pane import TextPane
from fleetctl.views import events, findings
from fleetctl.views.column import Column
from fleetctl.views.units import show_age

PLOTS = 4
JOBS = 4  # of another scheduler, named above the cards; eight jobs of a card each would push them off a small screen
SPANS_H = (1.0, 6.0, 24.0, 168.0)
# On the page of one node its own name says nothing.
_COLUMNS: dict[str, list[Column[Any]]] = {
    "findings": pick(findings.COLUMNS, "severity device rule text since_at acked_by"),
    "events": pick(events.COLUMNS, "last_at severity device kind text count"),
}
PANES = ("history", "findings", "events", "leases", "probes", "facts")


class NodeScreen(DataScreen):
    """Panes below the cards: all at once where there is room, one at a time (Tab) where there is not."""

    MODE: ClassVar[str] = "nodes"
    AUTO_FOCUS = "#cards"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "next_pane(1)", "next pane", key_display="Tab"),
        Binding("shift+tab", "next_pane(-1)", "previous pane", show=False),
        Binding("d", "act('drain')", "drain"),
        Binding("r", "act('resume')", "resume"),
        Binding("m", "act('maint')", "maint"),
        Binding("c", "act('cordon')", "cordon", show=False),
        Binding("space", "mark", "mark cards"),
        Binding("a", "acknowledge", "acknowledge"),
        Binding("t", "span", "time span"),
        Binding("n", "neighbour(1)", "next node", show=False),
        Binding("p", "neighbour(-1)", "previous node", show=False),
        Binding("o", "sort", "sort", show=False),
        Binding("y", "record", "raw record"),
        Binding("escape", "out", "back"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.node = name
        self.hours = SPANS_H[0]
        self.view: NodeView | None = None
        self._pane = "history"

    def body(self) -> ComposeResult:
        yield RunBlock(id="node-head")
        yield FleetTable(id="cards", empty="no accelerator has been seen here", markable=True)
        yield RunLine(id="pane-tabs", classes="heading")
        with Container(id="panes"):
            with Container(id="pane-history", classes="pane"):
                for number in range(PLOTS):
                    yield Plot(id=f"plot-{number}")
            for name, empty in (
                ("findings", "no open finding"),
                ("events", "nothing has happened"),
                ("leases", "no lease holds it"),
                ("probes", "no probe has answered yet"),
            ):
                with Vertical(id=f"pane-{name}", classes="pane"):
                    yield RunLine(classes="heading pane-title")
                    yield FleetTable(_COLUMNS.get(name, ()), id=f"table-{name}", empty=empty)
            with Vertical(id="pane-facts", classes="pane"):
                yield RunLine(classes="heading pane-title")
                yield TextPane(id="facts")

    def on_mount(self) -> None:
        super().on_mount()
        for name in PANES[1:]:
            self.query_one(f"#pane-{name} .pane-title", RunLine).show([(f" {_(name)}", "strong")])
        self._select("history")

    def load(self) -> NodeView:
        return self.source.node(self.node, self.hours)

    def show(self, data: NodeView) -> None:
        self.view = data
        now = self.source.now()
        self.query_one("#node-head", RunBlock).show(self._head(data, now))
        tables: Sequence[tuple[str, Any]] = (
            ("cards", data.cards), ("table-findings", data.findings), ("table-events", data.events),
            ("table-leases", data.leases), ("table-probes", data.probes),
        )  # fmt: skip
        for name, table in tables:
            self.query_one(f"#{name}", FleetTable).show(table, now=now)
        room = max(3, self.size.height - 15) if self.size.height < 36 else max(6, self.size.height // 3)
        self.query_one("#cards").styles.height = min(len(data.cards.rows) + 1, room) if data.cards.rows else 2
        for number in range(PLOTS):
            plot = self.query_one(f"#plot-{number}", Plot)
            plot.display = number < len(data.plots)
            if number < len(data.plots):
                plot.show(data.plots[number])
        width = max((len(k) for k, _v in data.facts), default=0) + 2
        self.query_one("#facts", TextPane).show(
            [[(f" {fit(name, width)}", "muted"), (text, "plain")] for name, text in data.facts]
        )
        self._tabs()

    def _head(self, data: NodeView, now: float) -> list[list[Run]]:
        row, glyphs = data.row, self.query_one("#cards", FleetTable).glyphs
        states: list[Run] = [(f" {row.name} ", "strong"), (" ", "plain")]
        for key in (row.health, row.reach, row.admin, row.load):
            word, tone = state_text(key.value, glyphs)
            states += [(f" {word} ", tone)]
        age = _("never answered") if row.age_at is None else f"{_('answered')} {show_age(row.age_at, now)} {_('ago')}"
        states += [(f"  {age}", "muted")]
        if row.reason:
            owner = f" ({row.owner})" if row.owner else ""
            states += [(f"   {row.reason}{owner}", "warn")]
        place = [row.site, row.hall, row.row, row.rack]
        where = " / ".join(p for p in place if p)
        found = "-" if row.cards_found is None else str(row.cards_found)
        wanted = f" {_('of')} {row.cards}" if row.cards is not None and row.cards != row.cards_found else ""
        second: list[Run] = [
            (f" {where}", "plain"),
            (f"   {row.model or '-'}", "muted"),
            (f"   {found}{wanted} x {row.chip or '-'}", "plain" if not wanted else "warn"),
            (f"   {_('pools')} {','.join(row.pools) or '-'}", "muted"),
        ]
        lines: list[list[Run]] = [[], states, second]
        if row.outside:  # another scheduler owns it: its word, and who runs there
            lines.append([(f" {row.outside}", "plain")])
            lines += [[(f" {_('job')} {who}", "plain"), (f"   {what}", "muted")] for who, what in data.jobs[:JOBS]]
            if len(data.jobs) > JOBS:
                lines.append([(" " + _("{count} more: `fleetctl jobs --node {node}`").format(
                    count=len(data.jobs) - JOBS, node=row.name), "muted")])  # fmt: skip
        third: list[Run] = []
        if row.findings:
            more = f"  +{row.findings_open - 1}" if row.findings_open > 1 else ""
            third = [(f" {state_text(row.health.value, glyphs)[0]} ", state_text(row.health.value, glyphs)[1]),
                     (f" {row.findings}{more}", "plain")]  # fmt: skip
        elif row.error:
            third = [(f" {glyphs.crit} {row.error}", "crit")]
        return [*lines, third, []] if third else [*lines, []]

    # Panes

    @property
    def _wide(self) -> bool:
        return self.size.width >= 132 and self.size.height >= 36

    def _select(self, pane: str) -> None:
        self._pane = pane
        for name in PANES:
            self.query_one(f"#pane-{name}").set_class(name == pane, "-active")
        self._tabs()

    def _tabs(self) -> None:
        view = self.view
        counts = {} if view is None else {
            "findings": len(view.findings.rows), "events": len(view.events.rows), "leases": len(view.leases.rows),
            "probes": len(view.probes.rows), "facts": len(view.facts),
        }  # fmt: skip
        runs: list[Run] = [(" ", "plain")]
        for name in PANES:
            count = f" {counts[name]}" if name in counts else f" {span_text(self.hours)}"
            runs += [(f" {_(name)}{count} ", "cursor" if name == self._pane and not self._wide else "muted")]
        self.query_one("#pane-tabs", RunLine).show(runs)

    def action_next_pane(self, by: int = 1) -> None:
        if self._wide:
            super().action_next_pane(by)
            return
        self._select(PANES[(PANES.index(self._pane) + by) % len(PANES)])
        inside = self.query(f"#pane-{self._pane} FleetTable, #pane-{self._pane} TextPane")
        (inside.first() if inside else self.query_one("#cards")).focus()

    def action_span(self) -> None:
        self.hours = SPANS_H[(SPANS_H.index(self.hours) + 1) % len(SPANS_H)]
        self._tabs()
        self.reload()

    def action_neighbour(self, by: int) -> None:
        """The node after or before this one in the list it was opened from."""
        other = self.home.neighbour(self.node, by)
        if other is not None:
            self.node, self.view = other, None
            self.query_one("#cards", FleetTable).marks.clear()
            self.reload()

    # Acts

    def status(self) -> tuple[list[Run], list[Run]]:
        return [], [(f"{_('history')} {span_text(self.hours)} ", "muted")]

    def noun_and_key(self) -> tuple[str, str] | None:
        table = self.sortable()
        if table is not None and table.id != "cards" and table.key is not None:
            return table.noun, table.key
        return "node", self.node

    def action_mark(self) -> None:
        """Mark the card under the cursor: drain, resume and cordon then mean the marked cards alone."""
        table = self.query_one("#cards", FleetTable)
        if table.key is not None:
            table.mark([table.key])
            table.action_move(1)

    def action_act(self, verb: str) -> None:
        """On the whole node, or on its cards that are marked."""
        view, table = self.view, self.query_one("#cards", FleetTable)
        cards = ""
        if view is not None and table.marks:
            index = next(column for column in view.cards.columns if column.name == "index")
            names = {key: str(index.value(row) or key) for row in view.cards.rows if (key := view.cards.key(row))}
            cards = ",".join(names[key] for key in table.chosen_keys() if key in names)
        self.home.act(verb, [self.node], view.row if view is not None else None, cards=cards)

    def action_acknowledge(self) -> None:
        table = self.query_one("#table-findings", FleetTable)
        if table.has_focus and table.key is not None:
            self.home.acknowledge("finding", [table.key])
        else:
            self.home.acknowledge("node", [self.node])


def span_text(hours: float) -> str:
    """1h, 7d."""
    return f"{hours:g}h" if hours < 48 else f"{hours / 24:g}d"
