"""The whole fleet at a glance, without a key: counts on the four axes, places, and the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from fleetctl.i18n import _
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.store.facility import RULE_PREFIX
from fleetctl.tui.look import clean, fit, meter, state_text
from fleetctl.tui.screens.data_screen import DataScreen, pick
from fleetctl.tui.source import FleetView
from fleetctl.tui.widgets.bars import RunBlock, RunLine
from fleetctl.tui.widgets.drawn import Run
from fleetctl.tui.widgets.fleet_table import FleetTable
from fleetctl.views import groups, nodes
from fleetctl.views.column import Table
from fleetctl.views.findings import FindingRow
from fleetctl.views.groups import GroupRow, group_nodes
from fleetctl.views.nodes import NodeRow
from fleetctl.views.totals import Totals, total
from fleetctl.views.units import show_age, show_count, show_watts

NAMED = 4  # findings of the building told in words
WORST = 200  # rows kept for "worst first": more than anybody scrolls through, less than a fleet
_AXES: tuple[tuple[str, str, Sequence[StrEnum]], ...] = (
    ("reach", "reach", [Reach.FRESH, Reach.STALE, Reach.HUNG, Reach.UNREACHABLE, Reach.UNKNOWN]),
    ("health", "health", [Health.CRIT, Health.UNKNOWN, Health.WARN, Health.OK]),
    ("admin", "admin", list(Admin)),
    ("load", "load", [Load.ALLOCATED, Load.MIXED, Load.IDLE, Load.UNKNOWN]),
)


@dataclass(frozen=True, slots=True)
class Glance:
    """What the screen shows, worked out in the worker."""

    fleet: Totals
    places: Table[GroupRow]
    worst: Table[NodeRow]
    view: FleetView
    at: float


def worst_first(rows: Iterable[NodeRow]) -> list[NodeRow]:
    """Nodes that deserve a look: not ok or silent, by health, then by reach, then by name. Nodes out of service for a
    stated reason come after those nobody has touched yet."""
    order = {Reach.UNREACHABLE: 0, Reach.HUNG: 1, Reach.UNKNOWN: 2, Reach.STALE: 3, Reach.FRESH: 4}
    odd = [r for r in rows if r.health is not Health.OK or r.reach is not Reach.FRESH]
    odd.sort(key=lambda r: (r.admin is not Admin.IN_SERVICE, r.health.rank, order[r.reach], r.name))
    return odd[:WORST]


def glance(view: FleetView, now: float) -> Glance:
    """The overview from all nodes. Pure."""
    rows = view.nodes.rows
    places = group_nodes(rows, "site")
    if any(r.pools for r in rows):
        pools = group_nodes((r for r in rows if r.pools), "pool")
        places += [replace(g, key=f"pool {g.key}", label=f"  {_('pool')} {g.label}") for g in pools]
    worst = Table("node", nodes.COLUMNS, worst_first(rows), lambda r: r.name)
    return Glance(total(rows), groups.table(places), worst, view, now)


class OverviewScreen(DataScreen):
    MODE: ClassVar[str] = "overview"
    AUTO_FOCUS = "#worst"

    def body(self) -> ComposeResult:
        yield RunBlock(id="glance")
        with Container(id="overview"):
            with Vertical(id="places-box"):
                yield RunLine(id="places-title", classes="heading")
                yield FleetTable(
                    [c for c in groups.COLUMNS if not c.wide], id="places", empty="no site declared in fleet.toml"
                )
            with Vertical(id="worst-box"):
                yield RunLine(id="worst-title", classes="heading")
                yield FleetTable(
                    pick(nodes.COLUMNS, "name health reach admin load site rack age_at note"),
                    id="worst",
                    empty="nothing is wrong that fleetctl knows of",
                )

    def __init__(self) -> None:
        super().__init__()
        self._whole = False  # the first look is at states only: figures cost as much again

    def load(self) -> Glance:
        return glance(self.source.overview(figures=self._whole), self.source.now())

    def show(self, data: Glance) -> None:
        if not self._whole:
            self._whole = True
            self.reload()
        self.query_one("#glance", RunBlock).show(self._glance(data))
        self.query_one("#places", FleetTable).show(data.places, now=data.at)
        worst = self.query_one("#worst", FleetTable)
        narrow = self.size.width < 132
        names = (
            "name health reach admin age_at note" if narrow else "name health reach admin load site rack age_at note"
        )
        wanted = pick(nodes.COLUMNS, names)
        if list(worst.columns) != wanted:
            worst.set_columns(wanted)
        worst.show(data.worst, now=data.at)
        self._head("#places-title", _("Sites and pools"), len(data.places.rows))
        self._head("#worst-title", _("Worst first"), len(data.worst.rows), WORST)
        places = self.query_one("#places-box")
        places.styles.height = min(len(data.places.rows) + 2, max(4, (self.size.height - 9) // 2))

    def _head(self, where: str, title: str, count: int, limit: int | None = None) -> None:
        more = "+" if limit is not None and count >= limit else ""
        bar = self.query_one(where, RunLine)
        bar.show([(f" {title} ", "strong"), (f"{count}{more} ", "muted")])

    def _glance(self, data: Glance) -> list[list[Run]]:
        fleet, nodes_in_all = data.fleet, max(1, data.fleet.nodes)
        glyphs = self.query_one("#worst", FleetTable).glyphs
        cards = "-" if fleet.cards_found is None else show_count(fleet.cards_found)
        if fleet.cards is not None and fleet.cards != fleet.cards_found:
            cards += f" / {show_count(fleet.cards)}"
        power = "-" if fleet.power_w is None else show_watts(fleet.power_w)
        if fleet.power_w is not None and fleet.power_nodes < fleet.nodes:
            power = ">=" + power
        util = "-" if fleet.util_pct is None else f"{fleet.util_pct:.0f}%"
        roomy = self.size.width >= 110
        filled, rest = meter(fleet.util_pct, 10, glyphs)
        figures: list[Run] = [
            (f"  {show_count(fleet.nodes)}", "strong"), (f" {_('nodes')}   ", "muted"),
            (cards, "strong"), (f" {_('cards')}   ", "muted"),
            (power, "strong"), (f" {_('power')}   " if roomy else "   ", "muted"),
            (filled, "accent"), (f"{rest} ", "track"), (util, "strong"), (f" {_('utilisation')}   " if roomy else "   ", "muted"),
        ]  # fmt: skip
        view = data.view
        if view.waiting is not None:
            figures += [
                (show_count(view.waiting), "strong" if not view.waiting else "warn"),
                (f" {_('waiting')}   ", "muted"),
            ]
        if view.leased is not None:
            figures += [(show_count(view.leased), "strong"), (f" {_('leases')}", "muted")]
        lines: list[list[Run]] = [[], figures, []]
        for axis, title, states in _AXES:
            line: list[Run] = [("  ", "plain"), (fit(_(title), 8), "muted")]
            counted: Mapping[Any, int] = getattr(fleet, axis)
            for state in states:
                count = counted.get(state, 0)
                if not count and (axis == "admin" or state.value == "unknown"):
                    continue
                word, tone = state_text(state.value, glyphs)
                share = (
                    f" {100 * count / nodes_in_all:.1f}%"
                    if axis in ("reach", "health") and self.size.width >= 110
                    else ""
                )
                line += [(f" {word} ", tone if count else "muted"), (show_count(count), "strong" if count else "muted"),
                         (f"{share}  ", "muted")]  # fmt: skip
            lines.append(line)
        silent = fleet.oldest_at
        if silent is not None:
            lines[-1] += [(f"   {_('oldest answer')} {show_age(silent, data.at)}", "muted")]
        return [*lines, *self._building(data.view), []]

    def _building(self, view: FleetView) -> list[list[Run]]:
        """What is wrong with power and cooling, where anything is: no node's line would tell of a rack or a leak."""
        found = [f for f in view.findings.rows if isinstance(f, FindingRow) and f.rule.startswith(RULE_PREFIX)]
        if not found:
            return []
        found.sort(key=lambda f: f.severity.rank)
        glyphs = self.query_one("#worst", FleetTable).glyphs
        line: list[Run] = [("  ", "plain"), (fit(_("building"), 8), "muted")]
        for severity, count in Counter(f.severity.value for f in found).items():
            word, tone = state_text(severity, glyphs)
            line += [(f" {word} ", tone), (f"{show_count(count)}  ", "strong")]
        worst = [f for f in found if f.severity is found[0].severity]
        line.append(
            (" " + "; ".join(clean(f.text) for f in worst[:NAMED]), state_text(worst[0].severity.value, glyphs)[1])
        )
        return [line]

    def on_fleet_table_chosen(self, event: FleetTable.Chosen) -> None:
        if event.table.id == "worst":
            self.home.open_node(event.key)
            return
        pool = event.key.removeprefix("pool ")
        self.home.show_nodes(f"pools~\\b{pool}\\b" if pool != event.key else f"site={event.key}")

    def status(self) -> tuple[list[Run], list[Run]]:
        table = self.sortable()
        row = table.row if table is not None else None
        if isinstance(row, NodeRow):
            note = row.findings or row.error or row.reason or ""
            return [(f" {row.name} ", "strong"), (note, "muted")], []
        return [], []
