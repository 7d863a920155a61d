"""Which nodes could take one member of a gang, and for each other node the first reason why not. Pure.

Two kinds of reasons, told apart because only one of them passes with time: what a node is (chip, pool, site, size) and
what it does at present (leases, windows, drains).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetctl.model.lease import HOST_SLOT, WHOLE, Hold, Latency, Request, Shape
from fleetctl.scheduler.placement.snapshot import CardView, ChipFacts, NodeView, Snapshot, Window

LATENCY_MS: Mapping[Latency, float] = {Latency.REALTIME: 5.0, Latency.INTERACTIVE: 20.0}


@dataclass(frozen=True, slots=True)
class Fit:
    """One node that could take one member, and with which cards. left_milli: open capacity that then remains."""

    node: NodeView
    holds: tuple[Hold, ...]
    left_milli: int
    price_per_hour: float | None


def feasible(request: Request, snapshot: Snapshot) -> tuple[list[Fit], dict[str, str]]:
    """(nodes that fit now, in order; host -> why not) for one member of the request's gang."""
    fits: list[Fit] = []
    refused: dict[str, str] = {}
    for node in snapshot.nodes.values():
        reason = why_never(request.shape, node, snapshot) or _why_not_now(request, node, snapshot.now)
        if reason:
            refused[node.host] = reason
            continue
        holds = _holds(request.shape, node)
        if isinstance(holds, str):
            refused[node.host] = holds
            continue
        left = sum(c.open_milli for c in node.cards) - sum(h.milli for h in holds if h.card != HOST_SLOT)
        fits.append(Fit(node, holds, left, _price(request.shape, node, holds, snapshot)))
    return fits, refused


def why_never(shape: Shape, node: NodeView, snapshot: Snapshot) -> str:
    """Why a node could not take this even when it is empty; "" when it could."""
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
    if wants_cards:
        reason = _why_not_chip(shape, node, snapshot.chips.get(node.chip or ""))
        if reason:
            return reason
    if shape.cards > len(node.cards):
        return f"has {len(node.cards)} cards, {shape.cards} are asked for"
    if shape.same == "rack" and node.rack is None:
        return "stands in no rack, the gang must share one"
    if shape.same == "leaf" and node.leaf is None:
        return "hangs on no leaf switch that is known, the gang must share one"
    if shape.price_ceiling is not None and wants_cards:
        price = snapshot.prices.get(node.chip or "")
        if price is None:
            return f"{node.chip or 'its chip'} has no price, a ceiling is set"
        if price > shape.price_ceiling:
            return f"costs {price:g} per card-hour, above {shape.price_ceiling:g}"
    return ""


def _why_not_chip(shape: Shape, node: NodeView, facts: ChipFacts | None) -> str:
    if node.chip is None and not node.cards:
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
        if _is_own(request, window):
            continue
        if _overlap(now, end_at, window):
            what = f"a reservation for {window.tenant}" if window.tenant else "a maintenance window"
            return f"{what} ({window.id}) begins before this would end"
    if node.hot:
        return node.hot
    return ""


def _is_own(request: Request, window: Window) -> bool:
    return bool(window.tenant) and window.tenant == request.tenant and request.reservation == window.id


def _overlap(start: int, end: int | None, window: Window) -> bool:
    return (window.end_at is None or start < window.end_at) and (end is None or end > window.start_at)


def _holds(shape: Shape, node: NodeView) -> tuple[Hold, ...] | str:
    """Cards for one member: whole cards by number, a fraction on the fullest card that still has room."""
    if shape.cards == 0 or shape.exclusive:
        return _whole_node(shape, node)
    if shape.milli >= WHOLE:
        free = [c for c in node.cards if c.open_milli >= WHOLE]
    else:
        free = sorted((c for c in node.cards if c.open_milli >= shape.milli), key=lambda c: c.open_milli)
    if len(free) < shape.cards:
        return _short(shape, node, len(free))
    return tuple(Hold(node.host, c.key, min(shape.milli, WHOLE), c.index) for c in free[: shape.cards])


def _whole_node(shape: Shape, node: NodeView) -> tuple[Hold, ...] | str:
    """All of a node: every card that works, or the node's own slot where it has none."""
    if node.held_by:
        return f"the whole node was asked for, {node.held_by[0]} runs there"
    working = [c for c in node.cards if c.open_milli >= WHOLE]
    if len(working) < max(shape.cards, 1 if node.cards else 0):
        return _short(shape, node, len(working))
    if not node.cards:
        return (Hold(node.host, HOST_SLOT, WHOLE),)
    return tuple(Hold(node.host, c.key, WHOLE, c.index) for c in working)


def _short(shape: Shape, node: NodeView, free: int) -> str:
    part = "" if shape.milli >= WHOLE else f" with {shape.milli} milli free"
    words = f"{free} of {len(node.cards)} cards free{part}, {shape.cards} asked for"
    bad = next((c for c in node.cards if c.why_not), None)
    return f"{words}; card {_name(bad)} {bad.why_not}" if bad is not None else words


def _name(card: CardView) -> str:
    return card.index if card.index is not None else card.key


def _price(shape: Shape, node: NodeView, holds: tuple[Hold, ...], snapshot: Snapshot) -> float | None:
    price = snapshot.prices.get(node.chip or "")
    if price is None:
        return None
    return price * sum(h.milli for h in holds if h.card != HOST_SLOT) / WHOLE
