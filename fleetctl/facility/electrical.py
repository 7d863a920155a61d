"""The electrical picture: what racks and feeds draw, what they have left, and what happens when one feed fails. Pure.

A rack's draw comes from exactly one level: its PDUs where all of them tell, else the sum of its servers. Levels are
never added; a part that is silent makes the sum a lower bound, and the picture says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# A continuous load may use this share of a breaker (IEC 60364 and NEC practice: 80 %).
CONTINUOUS_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Watts:
    """A power with its age and its completeness. known of parts: how many of the things it is made of told theirs."""

    value: float | None
    source: str = ""
    at: float | None = None
    known: int = 0
    parts: int = 0

    @property
    def is_complete(self) -> bool:
        return self.value is not None and self.known == self.parts


class _Budgeted:
    """Whatever draws power and has a budget, in watts."""

    __slots__ = ()
    draw: Watts
    budget_w: float | None

    @property
    def left_w(self) -> float | None:
        """Budget minus draw; negative over budget; None where either is unknown."""
        if self.draw.value is None or self.budget_w is None:
            return None
        return self.budget_w - self.draw.value

    @property
    def used_pct(self) -> float | None:
        """Draw as a share of the budget, %; None where either is unknown."""
        if self.draw.value is None or not self.budget_w:
            return None
        return 100 * self.draw.value / self.budget_w


@dataclass(frozen=True, slots=True)
class RackLoad(_Budgeted):
    """One rack: its draw, its budget, and the share of it that comes by each feed."""

    name: str
    site: str
    hall: str
    draw: Watts
    budget_w: float | None
    feeds: Mapping[str, float | None] = field(default_factory=dict)  # feed -> W now; None: not measured per side
    nodes: int = 0


@dataclass(frozen=True, slots=True)
class PlaceLoad(_Budgeted):
    """A hall or a site: its racks added up. budget_w: None as soon as one rack declares none."""

    name: str
    site: str
    draw: Watts
    budget_w: float | None
    racks: int
    nodes: int
    over: int  # racks over their budget
    stranded_w: float | None  # left in pieces too small for one more server; None: no server tells what it draws


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """One node in its rack. wall: what its BMC says; cards_w: the sum of its cards; share_w: an equal part of the
    rack's budget."""

    name: str
    rack: str
    wall: Watts
    cards_w: float | None
    share_w: float | None
    inlet_c: float | None = None

    @property
    def used_pct(self) -> float | None:
        if self.wall.value is None or not self.share_w:
            return None
        return 100 * self.wall.value / self.share_w


@dataclass(frozen=True, slots=True)
class FeedLoad:
    """One feed: what it carries, its breaker, and the racks on it."""

    name: str
    site: str
    side: str
    draw: Watts
    limit_w: float | None
    racks: tuple[str, ...] = ()

    @property
    def usable_w(self) -> float | None:
        return None if self.limit_w is None else self.limit_w * CONTINUOUS_SHARE

    @property
    def left_w(self) -> float | None:
        if self.usable_w is None or self.draw.value is None:
            return None
        return self.usable_w - self.draw.value

    @property
    def used_pct(self) -> float | None:
        """Of the breaker's limit; a continuous load may use 80."""
        if self.draw.value is None or not self.limit_w:
            return None
        return 100 * self.draw.value / self.limit_w


@dataclass(frozen=True, slots=True)
class FailureEffect:
    """What one feed's failure does to another feed, or to a rack that has no other."""

    feed: str  # the one that fails
    hits: str  # the feed or rack that is hit
    kind: str  # "over limit", "over usable", "dark", "unknown", "holds"
    before_w: float | None
    after_w: float | None
    limit_w: float | None


def add_up(parts: Sequence[Watts], source: str) -> Watts:
    """Things side by side on one level. The value is a lower bound when known < parts."""
    known = [p for p in parts if p.value is not None]
    times = [p.at for p in known if p.at is not None]
    return Watts(
        value=sum(p.value for p in known if p.value is not None) if known else None,
        source=source,
        at=min(times) if times else None,
        known=len(known),
        parts=len(parts),
    )


def rack_draw(pdus: Sequence[Watts], servers: Sequence[Watts]) -> Watts:
    """The rack's PDUs where all of them tell, else its servers where more is known of them, else what the PDUs say."""
    by_pdu, by_server = add_up(pdus, "pdu"), add_up(servers, "servers")
    if pdus and by_pdu.is_complete:
        return by_pdu
    if by_server.value is not None and (by_server.is_complete or by_pdu.value is None):
        return by_server
    return by_pdu if by_pdu.value is not None else by_server


def what_if_feed_fails(feed: str, feeds: Mapping[str, FeedLoad], racks: Iterable[RackLoad]) -> list[FailureEffect]:
    """Every rack of the failed feed moves to its other feeds, in equal parts; a rack without another goes dark.

    A rack whose share per side is not measured is taken to draw evenly from its feeds.
    """
    moved: dict[str, float] = {}
    blind: set[str] = set()
    out: list[FailureEffect] = []
    for rack in racks:
        if feed not in rack.feeds:
            continue
        others = [name for name in rack.feeds if name != feed and name in feeds]
        share = rack.feeds[feed]
        if share is None and rack.draw.value is not None:
            share = rack.draw.value / len(rack.feeds)
        if not others:
            out.append(FailureEffect(feed, rack.name, "dark", share, 0.0, None))
            continue
        for name in others:
            if share is None:
                blind.add(name)
            else:
                moved[name] = moved.get(name, 0.0) + share / len(others)
    for name in sorted(moved.keys() | blind):
        other = feeds[name]
        before = other.draw.value
        after = None if before is None or name in blind else before + moved.get(name, 0.0)
        if after is None or other.limit_w is None:
            kind = "unknown"
        elif after > other.limit_w:
            kind = "over limit"  # also where a part is silent: it can only be more
        elif not other.draw.is_complete:
            kind = "unknown"
        elif other.usable_w is not None and after > other.usable_w:
            kind = "over usable"
        else:
            kind = "holds"
        out.append(FailureEffect(feed, name, kind, before, after, other.limit_w))
    return out


def add_places(racks: Iterable[RackLoad], by: str, least_server_w: Mapping[str, float]) -> list[PlaceLoad]:
    """Racks added up by "site" or "hall", in the order they come. least_server_w: site -> what one more server takes."""
    groups: dict[str, list[RackLoad]] = {}
    for rack in racks:
        groups.setdefault(rack.site if by == "site" else rack.hall or rack.site, []).append(rack)
    out = []
    for name, found in groups.items():
        told = add_up([rack.draw for rack in found], "")
        sources = sorted({rack.draw.source for rack in found if rack.draw.value is not None})
        whole = sum(1 for rack in found if rack.draw.is_complete)
        budgets = [rack.budget_w for rack in found]
        server = least_server_w.get(found[0].site)
        out.append(
            PlaceLoad(
                name=name,
                site=found[0].site,
                draw=Watts(told.value, ", ".join(sources), told.at, whole, len(found)),
                budget_w=None if None in budgets else sum(b for b in budgets if b is not None),
                racks=len(found),
                nodes=sum(rack.nodes for rack in found),
                over=len(over_budget(found)),
                stranded_w=None if server is None else stranded_w(found, server),
            )
        )
    return out


def stranded_w(racks: Iterable[RackLoad], least_server_w: float) -> float:
    """Power that is left in racks in pieces too small for one more server."""
    return sum(left for r in racks if (left := r.left_w) is not None and 0 < left < least_server_w)


def over_budget(racks: Iterable[RackLoad]) -> list[RackLoad]:
    """Racks that draw more than their budget, worst first. A lower bound over budget is over budget."""
    found = [r for r in racks if (left := r.left_w) is not None and left < 0]
    return sorted(found, key=lambda r: r.left_w or 0.0)
