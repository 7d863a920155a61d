"""For every node that would not take a member of a gang the first reason why not. Pure.

Two kinds of reasons, told apart because only one of them passes with time: what a node is (chip, pool, site, size) and
what it does at present (leases, windows, drains).
"""

from __future__ import annotations

from collections.abc import Mapping

from fleetctl.model.lease import WHOLE, Latency, Request, Shape
from fleetctl.scheduler.placement.snapshot import CardView, ChipFacts, NodeView, Snapshot, Window

LATENCY_MS: Mapping[Latency, float] = {Latency.REALTIME: 5.0, Latency.INTERACTIVE: 20.0}


def why_not(request: Request, node: NodeView, snapshot: Snapshot) -> str:
    """Why a node would not take one member of the request's gang now; "" when it would, power and cooling left aside."""
    return (
        why_never(request.shape, node, snapshot)
        or _why_not_now(request, node, snapshot.now)
        or _why_no_cards(request.shape, node)
    )


def why_never(shape: Shape, node: NodeView, snapshot: Snapshot) -> str:
    """Why a node could not take this even when it is empty; "" when it could, or when nobody can say yet."""
    if shape.hosts and node.host not in shape.hosts:
        return "not among the nodes asked for"
    if node.host in shape.not_hosts:
        return "ruled out by the request"
    if shape.site and node.site != shape.site:
        return f"is in site {node.site}, not {shape.site}"
    if shape.pool and shape.pool not in node.pools:
        return f"is not in pool {shape.pool}"
    limit = LATENCY_MS.get(shape.latency)
    if limit is not None:
        ms = snapshot.latency_ms.get(node.site)
        if ms is None:
            return f"latency of site {node.site} is not known; {shape.latency.value} needs at most {limit:g} ms"
        if ms > limit:
            return f"site {node.site} is {ms:g} ms away; {shape.latency.value} needs at most {limit:g} ms"
    wants_cards = shape.cards > 0 or shape.chip or shape.chip_class or shape.min_fp16_tflops or shape.min_mem_bytes
    if wants_cards and (node.heard or node.chip):
        reason = _why_not_chip(shape, node, snapshot.chips.get(node.chip or ""))
        if reason:
            return reason
    most = node.most_cards
    if most is not None and shape.cards > most:
        return f"has {_count(most, 'card')}, {shape.cards} {'is' if shape.cards == 1 else 'are'} asked for"
    if shape.same == "rack" and node.rack is None:
        return "stands in no rack, the gang must share one"
    if shape.same == "leaf" and node.leaf is None:
        return "hangs on no leaf switch that is known, the gang must share one"
    if shape.price_ceiling is not None and wants_cards and (node.heard or node.chip):
        price = snapshot.prices.get(node.chip or "")
        if price is None:
            return f"{node.chip or 'its chip'} has no price, a ceiling is set"
        if price > shape.price_ceiling:
            return f"costs {price:g} per card-hour, above {shape.price_ceiling:g}"
    return ""


def _why_not_chip(shape: Shape, node: NodeView, facts: ChipFacts | None) -> str:
    if node.chip is None and not node.most_cards:
        return "has no cards"
    if shape.chip and shape.chip.casefold() not in (node.chip or "").casefold():
        return f"has {node.chip or 'cards of an unknown chip'}, not {shape.chip}"
    if shape.chip_class and (facts is None or shape.chip_class not in facts.classes):
        known = ", ".join(facts.classes) if facts else ""
        return f"class of {node.chip or 'its chip'} is {known or 'unknown'}, not {shape.chip_class}"
    if shape.min_fp16_tflops is not None:
        if facts is None or facts.fp16_tflops is None:
            return f"FP16 peak of {node.chip or 'its chip'} is not known"
        if facts.fp16_tflops < shape.min_fp16_tflops:
            return f"{node.chip} has {facts.fp16_tflops:g} TFLOPS FP16, {shape.min_fp16_tflops:g} are asked for"
    if shape.min_mem_bytes is not None:
        if facts is None or facts.mem_bytes is None:
            return f"memory of {node.chip or 'its chip'} is not known"
        if facts.mem_bytes < shape.min_mem_bytes:
            return f"{node.chip} has {facts.mem_bytes / 2**30:.0f} GiB, {shape.min_mem_bytes / 2**30:.0f} are asked for"
    return ""


def _why_not_now(request: Request, node: NodeView, now: int) -> str:
    if node.why_not:
        return node.why_not
    if node.exclusive:
        return f"held exclusively by {node.held_by[0] if node.held_by else 'a lease'}"
    if request.shape.exclusive and node.held_by:
        return f"exclusive was asked for, {node.held_by[0]} runs there"
    end_at = None if request.duration_s is None else now + request.duration_s
    for window in node.windows:
        if is_own(request, window):
            continue
        if overlap(now, end_at, window):
            what = f"a reservation for {window.tenant}" if window.tenant else "a maintenance window"
            return f"{what} ({window.id}) begins before this would end"
    if node.hot:
        return node.hot
    return ""


def is_own(request: Request, window: Window) -> bool:
    return bool(window.tenant) and window.tenant == request.tenant and request.reservation == window.id


def overlap(start: int, end: int | None, window: Window) -> bool:
    return (window.end_at is None or start < window.end_at) and (end is None or end > window.start_at)


def _why_no_cards(shape: Shape, node: NodeView) -> str:
    if shape.cards == 0 or shape.exclusive:
        if node.held_by:
            return f"the whole node was asked for, {node.held_by[0]} runs there"
        if node.stray:
            return f"the whole node was asked for, {node.stray}"
        working = sum(1 for c in node.cards if c.open_milli >= WHOLE)
        return _short(shape, node, working) if working < max(shape.cards, 1 if node.cards else 0) else ""
    free = sum(1 for c in node.cards if c.open_milli >= min(shape.milli, WHOLE))
    return _short(shape, node, free) if free < shape.cards else ""


def _short(shape: Shape, node: NodeView, free: int) -> str:
    part = "free" if shape.milli >= WHOLE else f"with {shape.milli} milli free"
    words = f"{free} of {_count(len(node.cards), 'card')} {part}, {shape.cards} asked for"
    if len(node.cards) < node.declared:
        words += f"; it names {len(node.cards)} of its {node.declared}"
    bad = next((c for c in node.cards if c.why_not), None)
    if bad is not None:
        words += f"; card {_name(bad)} {bad.why_not}"
    strange = next((c for c in node.cards if c.stray), None)
    return f"{words}; card {_name(strange)}: {strange.stray}" if strange is not None else words


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _name(card: CardView) -> str:
    return card.index if card.index is not None else card.key
