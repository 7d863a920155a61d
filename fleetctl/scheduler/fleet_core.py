"""The running fleet inside the core that places: its nodes, what is held on them, and which of them a request may use.

Made from a snapshot and the live leases; whoever keeps it tells it what changed (`set_node`, `begin`, `end`). Nothing here
reads the store.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from fleetctl.inventory.nodesets import fold
from fleetctl.model.lease import HOST_SLOT, WHOLE, Hold, Latency, Lease, Request, Shape
from fleetctl.scheduler.packing.fragments import ClassMix
from fleetctl.scheduler.packing.headroom import Headroom
from fleetctl.scheduler.packing.node import UNKNOWN, NodeSpec
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.policies import POLICIES, Policy
from fleetctl.scheduler.packing.power import IDLE_SHARE, CardPower, PowerModel
from fleetctl.scheduler.packing.promises import Ends, Promise
from fleetctl.scheduler.packing.state import Floats, Ints, Mask, Share
from fleetctl.scheduler.packing.task import TaskClass
from fleetctl.scheduler.placement.feasible import is_own, overlap, why_never, why_not
from fleetctl.scheduler.placement.snapshot import CardView, NodeView, Placement, Refusals, Snapshot, Window, stray_words

Held = tuple[tuple[Share, ...], float, float, tuple[str, ...]]  # shares, end, start, names shown to people


class FleetCore:
    """Not thread-safe: one user at a time."""

    def __init__(self, snapshot: Snapshot, leases: Sequence[Lease], policy: Policy = POLICIES["fgd"]) -> None:
        self.now = snapshot.now
        self.snapshot = snapshot  # what nodes are and do; what is held on them is asked of the packer
        self.nodes = dict(snapshot.nodes)  # as they were told last, whatever is held there
        self.odd: set[str] = set()  # hosts that something keeps from work, or some of their cards
        self._views = list(snapshot.nodes.values())
        self._numbers = {node.host: number for number, node in enumerate(self._views)}
        self._cards = [{card.key: place for place, card in enumerate(node.cards)} for node in self._views]
        widest = max((len(node.cards) for node in self._views), default=0)
        facts = snapshot.chips
        watts = {c: CardPower(f.tdp_w * IDLE_SHARE, f.tdp_w) for c, f in facts.items() if f.tdp_w}
        self.packer = Packer(
            [_spec(node) for node in self._views],
            policy,
            ClassMix(dict(snapshot.mix), max_cards=widest),
            power=PowerModel(watts),
            accepted=self._accepted,
            green_rank=_green_rank(self._views, snapshot.green_pct),
        )
        self.ends = Ends(self.packer)
        self._alike = _alike(self._views)
        self._kinds: dict[Shape, TaskClass] = {}
        self._jobs = itertools.count()
        self._held: dict[str, Held] = {}  # lease (or request that is starting) -> what it holds
        self._job_of: dict[str, int] = {}
        self._name_of: dict[int, str] = {}
        self._windowed: dict[int, tuple[Window, ...]] = {}
        self._working: tuple[Ints, Ints, Sequence[tuple[str, str, int, str]]] = (_NONE, _NONE, ())  # node, card, who
        self._known: Mask = np.array([node.most_cards is not None for node in self._views], dtype=np.bool_)
        self._away: Mask = np.zeros(len(self._views), dtype=np.bool_)
        self._repair: Mask = np.zeros(len(self._views), dtype=np.bool_)
        self._masks: dict[tuple[str, str, int | None], Mask | None] = {}
        for number, node in enumerate(self._views):
            self._set_conditions(number, node)
        self._take_over(leases)
        self.set_limits()

    # ---- what a request is to the core

    def kind(self, shape: Shape) -> TaskClass:
        found = self._kinds.get(shape)
        if found is None:
            alone = shape.cards == 0 or shape.exclusive
            found = self._kinds[shape] = TaskClass(
                cards=shape.cards,
                milli=WHOLE if alone else min(shape.milli, WHOLE),
                nodes=shape.nodes,
                same=shape.same,
                alone=alone,
                green=shape.green,
                rules=shape,
            )
        return found

    def allowed(self, request: Request) -> Mask | None:
        """Nodes without a window in its way if it began now; None where no window is."""
        if not self._windowed:
            return None
        key = (request.tenant, request.reservation, request.duration_s)
        if key not in self._masks:
            end = None if request.duration_s is None else self.now + request.duration_s
            shut = [n for n, windows in self._windowed.items() if _shut(request, windows, self.now, end)]
            mask: Mask | None = None
            if shut:
                mask = np.ones(len(self._views), dtype=np.bool_)
                mask[shut] = False
            self._masks[key] = mask
        return self._masks[key]

    def ready(self, request: Request) -> Callable[[Floats], None] | None:
        """As `Asker.ready`: behind the windows that are in its way."""
        if not self._windowed:
            return None

        def move(at: Floats) -> None:
            for number, windows in self._windowed.items():
                at[number] = _first_clear(request, windows, float(at[number]))

        return move

    def choose(self, request: Request, beside: Sequence[Promise] = ()) -> tuple[Share, ...]:
        """Where it would go now without delaying what is promised, () when nowhere."""
        allowed = self.allowed(request)
        end = np.inf if request.duration_s is None else float(self.now + request.duration_s)
        kind = self.kind(request.shape)
        barred = [p.barred(kind) for p in beside if p.bars(end)]
        if barred:
            free = ~np.logical_or.reduce(barred)
            allowed = free if allowed is None else free & allowed
        return self.packer.choose(kind, allowed)

    def promise(self, request: Request, taken: Sequence[Promise]) -> Promise | None:
        """When and where it could begin beside what others were promised."""
        free = None
        if taken:
            free = ~np.logical_or.reduce([p.nodes for p in taken])
        return self.ends.promise(self.kind(request.shape), self.now, free, self.ready(request), taken)

    # ---- what happens

    def begin(self, name: str, shares: tuple[Share, ...], end: float, *, names: tuple[str, ...] = ()) -> None:
        """A lease (or a request that starts) takes shares until `end`, infinite when it has none."""
        self.packer.apply(shares)
        self._note(name, shares, end, self.now, names or (name,))

    def _note(self, name: str, shares: tuple[Share, ...], end: float, start: float, names: tuple[str, ...]) -> None:
        job = next(self._jobs)
        self._held[name] = (shares, end, start, names)
        self._job_of[name], self._name_of[job] = job, name
        self.ends.start(job, shares, end, start)

    def end(self, name: str) -> None:
        """It is over, if it was there."""
        found = self._held.pop(name, None)
        if found is not None:
            job = self._job_of.pop(name)
            del self._name_of[job]
            self.packer.release(found[0])
            self.ends.stop(job, found[0])

    def book(self, lease: Lease) -> None:
        """A lease as the store has it, in place of what the core knew of it or of its request."""
        self.end(lease.request)
        self.end(lease.id)
        shares = self._shares(lease.holds, lease.exclusive)
        end = np.inf if lease.end_at is None else float(lease.end_at)
        self.packer.apply(shares)
        self._note(lease.id, shares, end, lease.start_at, (lease.id, lease.request))

    def rename(self, request: str, lease: str) -> None:
        """What a request began with is its lease's now."""
        shares, end, start, _names = self._held.pop(request)
        job = self._job_of.pop(request)
        self._held[lease] = (shares, end, start, (lease, request))
        self._job_of[lease], self._name_of[job] = job, lease

    def facts(self) -> Snapshot:
        """Nodes as they were told last, whatever is held there."""
        return replace(self.snapshot, nodes=self.nodes)

    def holds_anything(self, host: str) -> bool:
        number = self._numbers.get(host)
        return number is not None and bool(self.ends.on(number))

    @contextmanager
    def without(self, names: Collection[str]) -> Iterator[None]:
        """The fleet as if these were over."""
        away = [self._held[name][0] for name in names if name in self._held]
        for shares in away:
            self.packer.release(shares)
        try:
            yield
        finally:
            for shares in away:
                self.packer.apply(shares)

    @contextmanager
    def at(self, moment: int) -> Iterator[None]:
        """The fleet at a later time: what ends by then is over, nothing else is known to change."""
        now = self.now
        with self.without([name for name, held in self._held.items() if held[1] <= moment]):
            self.tell_time(moment)
            try:
                yield
            finally:
                self.tell_time(now)

    def tell_time(self, now: int) -> None:
        self.now = now
        self._masks.clear()

    # ---- what changes about nodes

    def set_working(self, working: Sequence[tuple[str, str, int, str]]) -> None:
        """The cards on which something works, leases or not: host, card, pid, user."""
        numbers, cards = self._numbers, self._cards
        nodes = [numbers.get(host, -1) for host, *_ in working]
        places = [cards[n].get(row[1], -1) if n >= 0 else -1 for n, row in zip(nodes, working, strict=True)]
        self._working = (np.array(nodes, dtype=np.int64), np.array(places, dtype=np.int64), working)

    def strays(self) -> dict[str, dict[str, str]]:
        """Host -> card -> who works there, though nobody holds the card."""
        nodes, places, working = self._working
        found: dict[str, dict[str, str]] = {}
        for at in np.flatnonzero((places >= 0) & self.ends.unheld(nodes, places)).tolist():
            number, place = int(nodes[at]), int(places[at])
            if self.packer.card_milli(number)[place] == WHOLE and not self.packer.taken_alone[number]:
                node = self._views[number]
                found.setdefault(node.host, {})[node.cards[place].key] = stray_words(*working[at][2:])
        return found

    def set_node(self, node: NodeView) -> None:
        """What a node does now: why it takes no work, its cards' reasons, windows, heat."""
        number = self._numbers[node.host]
        if node is not self._views[number]:
            self._views[number] = self.nodes[node.host] = node
            self._set_conditions(number, node)

    def _set_conditions(self, number: int, node: NodeView) -> None:
        shut = bool(node.why_not or node.hot)
        if shut != bool(self.packer.closed[number]):
            (self.packer.close if shut else self.packer.open)([number])
        self._away[number], self._repair[number] = node.away, node.repair
        self.packer.set_strayed(number, bool(node.stray))
        off = frozenset(place for place, card in enumerate(node.cards) if card.why_not or card.stray)
        if off != self.packer.off(number):
            self.packer.set_off(number, off)
            self.ends.refresh(number)
        if shut or off or node.windows or node.away or node.repair:
            self.odd.add(node.host)
        else:
            self.odd.discard(node.host)
        if node.windows:
            self._windowed[number] = node.windows
            self._masks.clear()
        elif self._windowed.pop(number, None) is not None:
            self._masks.clear()

    def set_limits(self) -> None:
        """Take the limits of the snapshot anew; what began after they were measured is not in the measure yet."""
        self.packer.headroom = None
        if not self.snapshot.limits:
            return
        card_w = [self.packer.power.card(node.chip or "").rated_w for node in self._views]
        cards = np.array([len(node.cards) for node in self._views], dtype=np.int64)
        limits = self.snapshot.limits
        room = Headroom(
            [node.host for node in self._views],
            limits,
            np.array(card_w, dtype=np.float64),
            cards,
            idle_share=IDLE_SHARE,
            measured_at=self.snapshot.limits_at,
        )
        for shares, _end, start, _names in self._held.values():
            if start >= self.snapshot.limits_at:
                room.take(shares)
        self.packer.headroom = room

    # ---- answers

    def placement(self, shares: Sequence[Share], refused: Mapping[str, str] | None = None) -> Placement:
        """What these shares are called outside, and what they cost an hour."""
        holds: list[Hold] = []
        price: float | None = 0.0
        for share in shares:
            node = self._views[share.node]
            if share.devices:
                cards = [(node.cards[place], milli) for place, milli in share.devices]
                holds += [Hold(node.host, card.key, milli, card.index) for card, milli in cards]
            else:
                holds.append(Hold(node.host, HOST_SLOT, WHOLE))
            each = self.snapshot.prices.get(node.chip or "")
            price = None if price is None or each is None else price + each * sum(m for _, m in share.devices) / WHOLE
        return Placement(tuple(holds), price, refused or {})

    def views(self) -> Iterator[NodeView]:
        """Every node with what is held on it now."""
        for number, node in enumerate(self._views):
            jobs = self.ends.on(number)
            named = tuple(sorted({name for job in jobs for name in self._held[self._name_of[job]][3]}))
            cards = tuple(
                CardView(card.key, card.index, free, card.why_not, card.stray)
                for card, free in zip(node.cards, self.packer.card_milli(number), strict=True)
            )
            yield replace(node, cards=cards, held_by=named, exclusive=bool(self.packer.taken_alone[number]))

    def reasons(self, request: Request) -> dict[str, str]:
        """For every node that would not take one member of it now, why."""
        snapshot, kind = replace(self.snapshot, now=self.now), self.kind(request.shape)
        found = {}
        for number, node in enumerate(self.views()):
            why = why_not(request, node, snapshot)
            if not why and self.packer.headroom is not None:
                why = self.packer.headroom.why_not(kind, number)
            if why:
                found[node.host] = why
        return found

    def why_waits(self, request: Request) -> str:
        """Why it cannot start now, in one sentence."""
        kind, shape = self.kind(request.shape), request.shape
        fits = self.packer.fitting(kind, self.allowed(request))
        count = int(fits.sum())
        room = self.packer.headroom
        if count >= shape.nodes and room is not None:
            borne = fits & room.bears(kind)
            tight = next(iter(np.flatnonzero(fits & ~borne).tolist()), None)
            if tight is not None and int(borne.sum()) < shape.nodes:
                return f"nodes are free, but power or cooling is not: {room.why_not(kind, tight)}"
            if not shape.same:
                return "nodes are free, but power or cooling would not bear all of them together"
        return f"{_asked(shape)}, {count} fit{'s' if count == 1 else ''} now of {self._could(shape)} that could"

    def never(self, request: Request) -> Refusals | None:
        """The refusal of what not even an empty fleet could hold; None when it could. Its nodes have no reasons yet."""
        shape = request.shape
        if self.packer.could(self.kind(shape), ~self._away) >= shape.nodes:
            return None
        room = self._could(shape)
        why = f"{_asked(shape)}, {room} could ever take it"
        return Refusals(why, {}, for_ever=True, nearest=self._nearest(shape, room))

    def not_known(self, request: Request) -> str:
        """Why nobody can say yet whether it could ever be met, and what would tell; "" when enough nodes are known."""
        shape = request.shape
        room = self._could(shape)
        if room >= shape.nodes:
            return ""
        able = self.packer.able(self.kind(shape)) & ~self._away
        words = [f"not known yet: {_asked(shape)}, {room} of those heard could take it"]
        if silent := self.hosts(able & ~self._known):
            words.append(
                f"{len(silent)} never heard ({_few(silent)}): `fleetctl poll` asks them, `fleetctl doctor` says why"
            )
        if away := self.hosts(able & self._repair):
            words.append(f"{len(away)} away for repair ({_few(away)}): `fleetctl resume` or `recheck` brings them back")
        return "; ".join(words)

    def _could(self, shape: Shape) -> int:
        """Nodes that could take a member of it one day, as far as is known."""
        return self.packer.could(self.kind(shape), self._lasting())

    def _lasting(self) -> Mask:
        """Nodes whose cards are known and that are neither gone nor away."""
        return self._known & ~self._away & ~self._repair

    def _nearest(self, shape: Shape, room: int) -> str:
        """The nearest request that could ever be met, in words."""
        if room > 0:
            return f"{room} node{'s' if room > 1 else ''} of {shape.cards or 'all'} cards"
        for without, words in _RELAXED:
            eased = replace(shape, **without)
            if eased != shape and self._could(eased) >= shape.nodes:
                return self._just_enough(eased, next(iter(without))) or words
        widest = max((len(n.cards) for n in self._views), default=0)
        if 0 < widest < shape.cards:
            return f"{widest} cards a node; use --nodes {-(-shape.cards * shape.nodes // widest)} --cards {widest}"
        chips = sorted({n.chip for n in self._views if n.chip})
        if shape.chip and chips:
            return f"one of the chips here: {', '.join(chips[:6])}"
        return ""

    def _just_enough(self, eased: Shape, what: str) -> str:
        """The limit that nodes could just meet, as an option; "" where it is no number."""
        able = self.packer.able(self.kind(eased)) & self._lasting()
        chips = {self._views[n].chip or "" for n in np.flatnonzero(able).tolist()}
        facts = [self.snapshot.chips[c] for c in chips if c in self.snapshot.chips]
        if what == "price_ceiling" and (prices := [p for c in chips if (p := self.snapshot.prices.get(c)) is not None]):
            return f"--max-price {min(prices):g}"
        if what == "min_fp16_tflops" and (most := max((f.fp16_tflops or 0 for f in facts), default=0)):
            return f"--min-fp16 {most:g}"
        if what == "min_mem_bytes" and (most := max((f.mem_bytes or 0 for f in facts), default=0)):
            return f"--min-mem {most / 2**30:g}"
        return ""

    def has_open_ends(self, nodes: Mask) -> bool:
        """Does anything without an end run on these nodes?"""
        return any(
            self._held[self._name_of[job]][1] == np.inf
            for number in np.flatnonzero(nodes).tolist()
            for job in self.ends.on(number)
        )

    def hosts(self, nodes: Mask) -> tuple[str, ...]:
        return tuple(self._views[n].host for n in np.flatnonzero(nodes).tolist())

    def held_on(self, nodes: Collection[int]) -> dict[str, tuple[Share, ...]]:
        """What holds anything on these nodes, with all its shares."""
        names = {self._name_of[job] for n in nodes for job in self.ends.on(n)}
        return {name: self._held[name][0] for name in names}

    # ---- inside

    def _accepted(self, kind: TaskClass) -> Mask:
        """Nodes that could take it when empty: asked once for nodes that are alike."""
        shape = kind.rules
        assert isinstance(shape, Shape)
        plain = replace(shape, hosts=(), not_hosts=())
        mask = np.zeros(len(self._views), dtype=np.bool_)
        for numbers in self._alike:
            mask[numbers] = not why_never(plain, self._views[int(numbers[0])], self.snapshot)
        if shape.hosts:
            named = np.zeros(len(self._views), dtype=np.bool_)
            named[[self._numbers[h] for h in shape.hosts if h in self._numbers]] = True
            mask &= named
        mask[[self._numbers[h] for h in shape.not_hosts if h in self._numbers]] = False
        return mask

    def _shares(self, holds: Sequence[Hold], alone: bool) -> tuple[Share, ...]:
        """Holds as shares; never more of a card than is free, should the snapshot be older than the lease."""
        found: dict[int, list[tuple[int, int]]] = {}
        for hold in holds:
            number = self._numbers.get(hold.host)
            if number is None:
                continue
            devices = found.setdefault(number, [])
            place = self._cards[number].get(hold.card)
            if place is not None:
                milli = min(hold.milli, self.packer.card_milli(number)[place])
                if milli > 0:
                    devices.append((place, milli))
        return tuple(Share(n, tuple(sorted(d)), alone=alone, sits=not d) for n, d in found.items())

    def _take_over(self, leases: Sequence[Lease]) -> None:
        """The leases, and whatever else the snapshot says is held, without an end."""
        named: dict[str, set[str]] = {}
        for lease in leases:
            self.book(lease)
            for host in lease.hosts:
                named.setdefault(host, set()).update((lease.id, lease.request))
        for number, node in enumerate(self._views):
            rest = tuple(x for x in node.held_by if x not in named.get(node.host, ()))
            left = tuple(
                (place, free - card.free_milli)
                for place, (card, free) in enumerate(zip(node.cards, self.packer.card_milli(number), strict=True))
                if card.free_milli < free
            )
            alone = node.exclusive and not self.packer.taken_alone[number]
            if left or rest or alone:
                share = Share(number, left, alone=alone, sits=not left)
                self.begin(f"?{node.host}", (share,), np.inf, names=rest)


_NONE = np.zeros(0, dtype=np.int64)
_RELAXED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"price_ceiling": None}, "the same without --max-price"),
    ({"same": ""}, "the same without --same"),
    ({"latency": Latency.BATCH}, "the same without --latency"),
    ({"min_fp16_tflops": None}, "the same without --min-fp16"),
    ({"min_mem_bytes": None}, "the same without --min-mem"),
    ({"chip_class": ""}, "the same without --chip-class"),
    ({"pool": ""}, "the same without --pool"),
    ({"site": ""}, "the same without --site"),
    ({"hosts": ()}, "the same without --on"),
    ({"not_hosts": ()}, "the same without --not-on"),
)
NAMED = 8  # hosts that are named; the rest is counted


def _few(hosts: Sequence[str]) -> str:
    return fold(hosts[:NAMED]) + (" ..." if len(hosts) > NAMED else "")


def _asked(shape: Shape) -> str:
    where = f" in one {shape.same}" if shape.same else ""
    return f"{shape.nodes} nodes{where} are asked for" if shape.nodes != 1 else f"1 node{where} is asked for"


def _spec(node: NodeView) -> NodeSpec:
    return NodeSpec(
        node.host, UNKNOWN, UNKNOWN, len(node.cards), node.chip or "", node.site, node.rack or "", leaf=node.leaf or ""
    )


def _alike(views: Sequence[NodeView]) -> list[Ints]:
    """Numbers of nodes between which only their name and what is held on them differ."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, n in enumerate(views):
        key = (n.site, n.pools, n.chip, n.heard, n.most_cards, n.rack is None, n.leaf is None)
        groups.setdefault(key, []).append(number)
    return [np.array(numbers, dtype=np.int64) for numbers in groups.values()]


def _green_rank(views: Sequence[NodeView], green_pct: Mapping[str, float]) -> Ints | None:
    if not green_pct:
        return None
    ranks = {pct: rank for rank, pct in enumerate(sorted({0.0, *green_pct.values()}, reverse=True))}
    return np.array([ranks[green_pct.get(node.site, 0.0)] for node in views], dtype=np.int64)


def _shut(request: Request, windows: Sequence[Window], start: int, end: int | None) -> bool:
    return any(overlap(start, end, w) for w in windows if not is_own(request, w))


def _first_clear(request: Request, windows: Sequence[Window], at: float) -> float:
    """The first moment from `at` on that no window of others is in its way; infinite when there is none."""
    for window in sorted(windows, key=lambda w: w.start_at):
        if is_own(request, window):
            continue
        end = np.inf if request.duration_s is None else at + request.duration_s
        if end > window.start_at and (window.end_at is None or at < window.end_at):
            at = np.inf if window.end_at is None else float(window.end_at)
    return at
