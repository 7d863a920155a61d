"""A change before, while and after it is made: reason, times and cards, plan, yes (or the count, typed), progress.

The plan is worked out again while the reason is typed, so what is confirmed is what was read. Nothing is written before
the last Enter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from fleetctl.errors import FleetctlError
from fleetctl.i18n import _
from fleetctl.model.states import Admin, ReasonClass
from fleetctl.tui.look import state_text
from fleetctl.tui.messages import StoreChanged
from fleetctl.tui.source import PlanPreview, Source
from fleetctl.tui.widgets.bars import RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.text_pane import TextPane
from fleetctl.views.nodes import NodeRow

if TYPE_CHECKING:
    from fleetctl.tui.app import Console

PAUSE_S = 0.25  # after the last key, before a plan for thousands of nodes is worked out again
SHOWN = 200  # nodes whose progress is listed
NAMED = 2  # leases and jobs named that hold a drain back
# Words of a finding that tell its class; anything else is hardware, the usual cause of an urgent drain.
_CLASSES = (("link", "net"), ("network", "net"), ("nic", "net"), ("power", "power"), ("psu", "power"), ("temp", "cool"),
            ("therm", "cool"), ("hot", "cool"), ("disk", "hw"), ("driver", "sw"), ("kernel", "sw"))  # fmt: skip


_NO_REASON = frozenset({"resume", "undo"})
_ENDING = frozenset({"drain", "maint"})  # verbs that wait for running work, or end it
# What may be said besides the reason, by verb, and what stands there while nothing is.
_FIELDS = {"drain": ("from", "cards"), "maint": ("from", "until"), "cordon": ("cards",), "resume": ("cards",)}
_WORDS = {"from": "begin", "until": "until", "cards": "cards"}  # as Source.plan calls them
_LABELS = {"cards": "only cards"}
_EMPTY = {"from": "now; or 2h, 22:00", "until": "open; or 4h, 06:00", "cards": "all; or 0,3"}
# What Tab goes through: as Source.plan takes it, and for people.
HOWS = (
    ("wait", "running work ends by itself"),
    ("1h", "work may run for 1 hour, then it is ended"),
    ("4h", "work may run for 4 hours, then it is ended"),
    ("24h", "work may run for 24 hours, then it is ended"),
    ("now", "running work is ended now"),
)


def first_reason(row: NodeRow | None) -> str:
    """A reason to begin with, `class: text`, from what is wrong with the node; "" when nothing is."""
    text = row.findings or row.error if row is not None else None
    if not text:
        return ""
    low = text.lower()
    return f"{next((c for word, c in _CLASSES if word in low), 'hw')}: {text}"


class ActScreen(ModalScreen[None]):
    """Steps: reason -> confirm -> progress. Esc leaves at any of them; before the last Enter nothing has happened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back"),
        Binding("enter", "go", "go on", show=False),
        Binding("tab", "how", "how work ends", show=False, priority=True),
        Binding("down", "field(1)", "next field", show=False),
        Binding("up", "field(-1)", "previous field", show=False),
    ]
    AUTO_FOCUS = None

    def __init__(
        self, verb: str, nodes: Sequence[str], row: NodeRow | None = None, undo: str = "", cards: str = ""
    ) -> None:
        """cards: numbers or ids of the only cards of the node that are meant, as they would be typed."""
        super().__init__()
        self.verb, self.nodes, self.undo = verb, list(nodes), undo
        self.fields = _FIELDS.get(verb, ()) if not undo else ()
        self.said = {"cards": cards}
        self.how = 0
        self.step = "reason"
        self.preview: PlanPreview | None = None
        self.plan_id = ""
        self._reason = first_reason(row) if verb not in _NO_REASON else ""
        self._asked = 0
        self._looking = False

    @property
    def source(self) -> Source:
        return cast("Console", self.app).source

    def compose(self) -> ComposeResult:
        with Vertical(classes="sheet"):
            yield RunLine(id="act-title", classes="sheet-title")
            with Horizontal(id="act-question"):
                yield Static("", id="act-label")
                yield Input(id="act-input", compact=True, select_on_focus=False)
            with Horizontal(id="act-more"):
                for name in self.fields:
                    yield Static(f" {_(_LABELS.get(name, name))} ", classes="act-name")
                    yield Input(
                        self.said.get(name, ""),
                        placeholder=_(_EMPTY[name]),
                        id=f"act-{name}",
                        compact=True,
                        select_on_focus=False,
                    )
                yield Static(f" {_('Up Down: fields')} ", id="act-keys")
            yield TextPane(id="act-plan")
            yield RunLine(id="act-foot")

    def on_mount(self) -> None:
        folded = self.source.fold(self.nodes)
        count = f"{len(self.nodes):,} {_('nodes')}" if len(self.nodes) > 1 else _("1 node")
        self.query_one("#act-title", RunLine).show(
            [(f" {_(self.verb)} ", "cursor"), (f" {folded} ", "strong")], [(f"{count} ", "muted")]
        )
        self.query_one("#act-more").display = bool(self.fields)
        if self.verb in _NO_REASON:
            self.query_one("#act-question").display = False
            self.query_one("#act-plan").focus()
        else:
            classes = " ".join(c.value for c in ReasonClass)
            self._ask(_("reason"), self._reason, f"{_('class: text, class is one of')} {classes}")
        self._plan()

    def _ask(self, label: str, text: str, placeholder: str) -> None:
        self.query_one("#act-question").display = True
        self.query_one("#act-label", Static).update(f" {label} ")
        field = self.query_one("#act-input", Input)
        field.placeholder = placeholder
        with field.prevent(Input.Changed):
            field.value = text
        field.cursor_position = len(text)
        field.focus()

    def _foot(self, left: Sequence[Run], right: str = "") -> None:
        self.query_one("#act-foot", RunLine).show(left, [(f"{right} ", "muted")])

    # The plan

    def action_how(self) -> None:
        """Another way to treat running work; the plan follows."""
        if self.step == "reason" and self.verb in _ENDING:
            self.how = (self.how + 1) % len(HOWS)
            self._plan()

    def action_field(self, by: int) -> None:
        """The next or previous thing that may be typed."""
        inputs = [field for field in self.query(Input) if field.parent is not None and field.parent.display]
        if self.step == "reason" and inputs:
            here = next((place for place, field in enumerate(inputs) if field.has_focus), -1 if by > 0 else 0)
            inputs[(here + by) % len(inputs)].focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if self.step == "reason":
            name = (event.input.id or "").removeprefix("act-")
            if name in self.fields:
                self.said[name] = event.value
            else:
                self._reason = event.value
            self._plan(PAUSE_S)

    def _plan(self, pause_s: float = 0.0) -> None:
        self._asked += 1
        self.run_worker(self._plan_soon(self._asked, pause_s), group="plan", exclusive=True)

    async def _plan_soon(self, number: int, pause_s: float) -> None:
        if pause_s:
            await asyncio.sleep(pause_s)
        try:
            preview = await asyncio.to_thread(
                partial(self.source.plan, self.verb, self.nodes, self._reason.strip(), **self._more())
            )
        except FleetctlError as error:
            preview = PlanPreview(self.verb, "", 0, [], refused=f"{error}{'. ' + error.hint if error.hint else ''}")
        if number != self._asked or self.step != "reason":
            return
        self.preview = preview
        glyph = self.query_one(TextPane).glyphs
        lines: list[list[Run]] = [
            [(f" {part}", tone)]
            for text, tone in preview.lines
            for part in wrap(text, self._room(), subsequent_indent="     ", drop_whitespace=False) or [""]
        ]
        if preview.refused:
            said = [part for line in preview.refused.splitlines() for part in wrap(line, self._room())]
            marks = [f" {glyph.crit} ", *["   "] * len(said)]
            lines = [[(mark + line, "crit")] for mark, line in zip(marks, said, strict=False)] + [[]] + lines
        if preview.needs:
            lines = [*([(f" {part}", "muted")] for part in wrap(preview.needs, self._room())), [], *lines]
        how: list[Run] = [(f"   Tab: {_(HOWS[self.how][1])}", "muted")] if self.verb in _ENDING else []
        self.query_one(TextPane).show(lines)
        if preview.refused:
            self._foot([(f" {_('not possible as it stands')}", "crit"), *how], _("Esc back"))
        elif preview.needs:
            self._foot([(f" {_('type the reason')}", "warn"), *how], _("Esc back"))
        else:
            self._foot([(f" {_('Enter goes on')}", "accent"), *how], _("Esc back"))

    def _more(self) -> dict[str, str]:
        said = {_WORDS[name]: self.said.get(name, "").strip() for name in self.fields}
        return {"how": HOWS[self.how][0], "undo": self.undo, **said}

    def _room(self) -> int:
        return max(20, self.query_one(TextPane).size.width - 4)

    # Going on

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_go()

    def action_go(self) -> None:
        if self.step == "reason":
            self._confirm()
        elif self.step == "confirm":
            self._yes()
        elif self.step == "progress":
            self.dismiss()

    def _confirm(self) -> None:
        preview = self.preview
        if preview is None or preview.refused or preview.needs or not preview.count:
            self._plan()
            return
        self.step = "confirm"
        self.query_one("#act-more").display = False
        if preview.must_type:
            self._ask(_("type {count} to go on").format(count=preview.count), "", "")
            self._foot([(f" {_('this is a large share of a site')}", "warn")], _("Esc back"))
        else:
            self.query_one("#act-question").display = False
            self.query_one(TextPane).focus()
            words = _("{verb} {count} nodes?") if preview.count != 1 else _("{verb} 1 node?")
            asked = words.format(verb=_(self.verb), count=preview.count)
            self._foot([(f" {asked} ", "warn"), (f" {_('Enter: yes')}", "accent")], _("Esc back"))

    def _yes(self) -> None:
        preview = self.preview
        assert preview is not None
        if preview.must_type and self.query_one("#act-input", Input).value.strip() != str(preview.count):
            self._foot([(f" {_('that is not {count}').format(count=preview.count)}", "crit")], _("Esc back"))
            return
        self.step = "applying"
        self.run_worker(self._apply(preview), group="apply", exclusive=True)

    async def _apply(self, preview: PlanPreview) -> None:
        try:
            self.plan_id = await asyncio.to_thread(self.source.apply, preview)
        except FleetctlError as error:
            self.step = "reason"
            self.query_one("#act-more").display = bool(self.fields)
            self._plan()
            hint = f". {error.hint}" if error.hint else ""
            self._foot([(f" {self.query_one(TextPane).glyphs.crit} {error}{hint}", "crit")], _("Esc back"))
            return
        self.step = "progress"
        self.query_one("#act-question").display = False
        self.query_one(TextPane).focus()
        await self._progress()

    # Progress

    def on_store_changed(self, event: StoreChanged) -> None:
        if self.step == "progress" and not self._looking:
            self.run_worker(self._progress(), group="progress")

    async def _progress(self) -> None:
        self._looking = True
        try:
            table = await asyncio.to_thread(self.source.nodes)
        except FleetctlError as error:
            self._foot([(f" {error}", "crit")], _("Esc back"))
            return
        finally:
            self._looking = False
        wanted = set(self.nodes)
        rows = [r for r in table.rows if r.name in wanted]
        glyphs = self.query_one(TextPane).glyphs
        counts: dict[str, int] = {}
        lines: list[list[Run]] = []
        for row in rows:
            counts[row.admin.value] = counts.get(row.admin.value, 0) + 1
            if len(lines) < SHOWN:
                word, tone = state_text(row.admin.value, glyphs)
                load, load_tone = state_text(row.load.value, glyphs)
                lines.append([(f" {row.name:<20} ", "strong"), (f"{word}  ", tone), (load, load_tone)])
                if row.admin is Admin.DRAINING and (held := [*row.leases, *row.jobs]):
                    more = f" +{len(held) - NAMED}" if len(held) > NAMED else ""
                    lines[-1].append((f"  {_('waits for')} {', '.join(held[:NAMED])}{more}", "muted"))
        head: list[Run] = [(f" {_('plan')} {self.plan_id}  ", "strong")]
        for state, count in counts.items():
            word, tone = state_text(state, glyphs)
            head += [(f"{count:,} {word}  ", tone)]
        self.query_one(TextPane).show([head, [], *lines])
        self._foot([(f" {_('saved; the engine carries it out')}", "ok")], _("Esc leaves, it goes on"))

    def action_leave(self) -> None:
        if self.step == "confirm":
            self.step = "reason"
            self.query_one("#act-more").display = bool(self.fields)
            if self.verb not in _NO_REASON:
                self._ask(_("reason"), self._reason, "")
            else:
                self.query_one("#act-question").display = False
            self._plan()
        else:
            self.dismiss()
