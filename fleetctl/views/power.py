"""Racks and feeds against their budgets, and what the loss of a feed would do."""

from __future__ import annotations

from collections.abc import Iterable

from fleetctl.facility.electrical import FailureEffect, FeedLoad, RackLoad, Watts
from fleetctl.inventory import fold
from fleetctl.views.column import Column, Table
from fleetctl.views.units import show_pct, show_watts

BAR_CELLS = 10


def bar(used_pct: float | None) -> str:
    """Ten ASCII cells; `?` where it is unknown, `!` beyond the budget."""
    if used_pct is None:
        return "?" * BAR_CELLS
    full = min(BAR_CELLS, round(used_pct / 100 * BAR_CELLS))
    mark = "!" if used_pct > 100 else "#"
    return mark * full + "." * (BAR_CELLS - full)


def told(draw: Watts) -> str:
    """Where a draw comes from, and whether all of it was told."""
    if draw.value is None:
        return ""
    return draw.source if draw.is_complete else f"{draw.source}, {draw.known} of {draw.parts}: at least"


RACK_COLUMNS: tuple[Column[RackLoad], ...] = (
    Column("rack", "rack", lambda r: r.name, width=12, doc="rack"),
    Column("site", "site", lambda r: r.site, width=10, doc="site"),
    Column("hall", "hall", lambda r: r.hall or None, width=8, doc="hall"),
    Column("nodes", "nodes", lambda r: r.nodes, width=5, right=True, doc="hosts in it"),
    Column("power_w", "power", lambda r: r.draw.value, show_watts, 9, right=True, doc="what it draws now, W"),
    Column("budget_w", "budget", lambda r: r.budget_w, show_watts, 9, right=True, doc="what it may draw, W"),
    Column("left_w", "left", lambda r: r.left_w, show_watts, 9, right=True, doc="budget minus draw, W"),
    Column("used_pct", "used", lambda r: r.used_pct, show_pct, 6, right=True, doc="draw against budget, %"),
    Column("bar", "", lambda r: bar(r.used_pct), width=10, doc="the same as a bar"),
    Column("at", "age", lambda r: r.draw.at, width=6, right=True, role="age", doc="age of the oldest part"),
    Column(
        "source", "from", lambda r: told(r.draw) or None, width=22, doc="which level was measured, and how much of it"
    ),
)
FEED_COLUMNS: tuple[Column[FeedLoad], ...] = (
    Column("feed", "feed", lambda f: f.name, width=12, doc="feed"),
    Column("site", "site", lambda f: f.site or None, width=10, doc="site"),
    Column("side", "side", lambda f: f.side, width=4, doc="side of a redundant pair"),
    Column("load_pct", "load", lambda f: f.used_pct, show_pct, 6, right=True, doc="of the breaker's limit, %"),
    Column("power_w", "power", lambda f: f.draw.value, show_watts, 9, right=True, doc="what it carries, W"),
    Column("limit_w", "breaker", lambda f: f.limit_w, show_watts, 9, right=True, doc="where its breaker opens, W"),
    Column("usable_w", "usable", lambda f: f.usable_w, show_watts, 9, right=True, doc="80 % of it, W"),
    Column("left_w", "left", lambda f: f.left_w, show_watts, 9, right=True, doc="usable minus carried, W"),
    Column("at", "age", lambda f: f.draw.at, width=5, right=True, role="age", doc="age of the oldest part"),
    Column("racks", "racks", lambda f: fold(f.racks) or None, width=20, doc="racks on it"),
    Column("source", "from", lambda f: told(f.draw) or None, width=22, doc="which level was measured"),
)
EFFECT_COLUMNS: tuple[Column[FailureEffect], ...] = (
    Column("feed", "feed fails", lambda e: e.feed, width=12, doc="the feed that fails"),
    Column("hits", "hits", lambda e: e.hits, width=12, doc="feed or rack that is hit"),
    Column("effect", "effect", lambda e: e.kind, width=12, doc="holds, over usable, over limit, dark, unknown"),
    Column("before_w", "before", lambda e: e.before_w, show_watts, 9, right=True, doc="W before"),
    Column("after_w", "after", lambda e: e.after_w, show_watts, 9, right=True, doc="W after"),
    Column("limit_w", "breaker", lambda e: e.limit_w, show_watts, 9, right=True, doc="where its breaker opens, W"),
)


TONES = {"over limit": "crit", "dark": "crit", "over usable": "warn", "unknown": "blind"}


def effect_lines(effects: Iterable[FailureEffect]) -> list[tuple[str, str]]:
    """One line per feed or rack that is hit: (text, tone)."""
    lines = []
    for e in effects:
        before, after = (("-" if w is None else show_watts(w)) for w in (e.before_w, e.after_w))
        limit = "" if e.limit_w is None else f", breaker {show_watts(e.limit_w)}"
        lines.append((f"{e.hits:<16} {e.kind:<12} {before} -> {after}{limit}", TONES.get(e.kind, "plain")))
    return lines or [("nothing hangs on it", "plain")]


def rack_table(racks: Iterable[RackLoad]) -> Table[RackLoad]:
    return Table("rack", RACK_COLUMNS, list(racks), lambda r: r.name)


def feed_table(feeds: Iterable[FeedLoad]) -> Table[FeedLoad]:
    return Table("feed", FEED_COLUMNS, list(feeds), lambda f: f.name)


def effect_table(effects: Iterable[FailureEffect]) -> Table[FailureEffect]:
    return Table("effect", EFFECT_COLUMNS, list(effects), lambda e: e.hits)
