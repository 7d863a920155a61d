"""May a node come back? Named checks of one node against the baseline of its model. Pure.

A check that cannot be answered is not passed: blind is never green.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

SETTLED_K = 8.0  # an idle card behind fans that hunt moves by half of that


@dataclass(frozen=True, slots=True)
class NodeEvidence:
    """What is known of a node when it asks to come back. cards: card key -> metric -> value.

    expected_cards: as declared, else as seen at most; words: card key -> name -> word; critical: its critical findings.
    """

    host: str
    reach: str
    answer_at: int | None
    expected_cards: int | None
    cards: Mapping[str, Mapping[str, float]]
    gone: tuple[str, ...] = ()
    critical: tuple[str, ...] = ()
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    spans: Mapping[str, float] = field(default_factory=dict)  # card key -> how far its temperature moved lately, kelvin


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a good node of the model looks like. peers: nodes it was taken from; None: nothing to compare with."""

    model: str
    peers: int = 0
    mem_total_bytes: float | None = None
    links_total: float | None = None
    pcie_width: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One answer. ok None: it could not be answered, which does not pass; needed False: told, but not asked for."""

    name: str
    ok: bool | None
    text: str
    needed: bool = True


def baseline_of(model: str, peers: Sequence[Mapping[str, Mapping[str, float]]]) -> Baseline:
    """The middle of what peers in service show. peers: each node's card values."""

    def middle(metric: str) -> float | None:
        values = [v[metric] for cards in peers for v in cards.values() if metric in v]
        return median(values) if values else None

    return Baseline(model, len(peers), middle("mem_total_bytes"), middle("links_total"), middle("pcie_width_max"))


def check_return(node: NodeEvidence, base: Baseline, now: int, *, warm_c: float, fresh_s: float) -> list[Check]:
    """All checks, in the order people would make them. warm_c: core temperature that counts as not settled."""
    age = None if node.answer_at is None else now - node.answer_at
    return [
        Check("answers", node.reach == "fresh" and age is not None and age <= fresh_s, _answer(node, age)),
        _cards(node),
        Check("findings", not node.critical, "; ".join(node.critical[:3]) or "no critical finding"),
        _each(node, "memory", "mem_total_bytes", lambda v: _near(v, base.mem_total_bytes), "as its peers", _gib),
        _each(node, "ecc", "ecc_uncorrected_total", lambda v: v == 0, "no uncorrected errors", str, needed=False),
        _each(node, "row remap", "row_remap_failed", lambda v: v == 0, "no failed remapping", str, needed=False),
        _each(node, "pending repair", "row_remap_pending", lambda v: v == 0, "none waits", str, needed=False),
        _each(node, "links", "links_up", lambda v: _at_least(v, base.links_total), "all up", _whole, needed=False),
        _each(
            node, "pcie", "pcie_width_max", lambda v: _at_least(v, base.pcie_width), "full width", _whole, needed=False
        ),
        _each(node, "temperature", "temp_c", lambda v: v < warm_c, f"below {warm_c:g} C", lambda v: f"{v:g} C"),
        _settled(node),
        _idle(node),
    ]


def passed(checks: Sequence[Check]) -> bool:
    """Every needed check is answered well, and no check at all is answered badly."""
    return all(c.ok is True or (c.ok is None and not c.needed) for c in checks)


def _answer(node: NodeEvidence, age: int | None) -> str:
    return f"is {node.reach}" + (f", last answer {age} s ago" if age is not None else ", never answered")


def _cards(node: NodeEvidence) -> Check:
    found, expected = len(node.cards), node.expected_cards
    if node.gone:
        return Check("cards", False, f"{len(node.gone)} cards it had are gone: {', '.join(node.gone[:4])}")
    if expected is None:
        return Check("cards", None, f"{found} found, nothing declared to compare with", needed=False)
    return Check("cards", found >= expected, f"{found} of {expected} found")


def _each(
    node: NodeEvidence,
    name: str,
    metric: str,
    good: Callable[[float], bool | None],
    well: str,
    show: Callable[[float], str],
    *,
    needed: bool = True,
) -> Check:
    """One metric on every card. Nodes without cards have nothing to answer."""
    if not node.cards:
        return Check(name, None, "no cards told", needed=needed and bool(node.expected_cards))
    unknown, bad, blind = [], [], False
    for key, values in node.cards.items():
        if metric not in values:
            unknown.append(key)
            continue
        verdict = good(values[metric])
        blind = blind or verdict is None
        if verdict is False:
            bad.append(f"{key} {show(values[metric])}")
    if bad:
        return Check(name, False, f"{len(bad)} cards: {', '.join(bad[:4])}", needed)
    if unknown:
        return Check(name, None, f"{len(unknown)} of {len(node.cards)} cards do not tell", needed)
    if blind:
        return Check(name, None, "no peer to compare with", needed=False)
    return Check(name, True, well, needed)


def _settled(node: NodeEvidence) -> Check:
    """A card that still warms up or cools down has not shown yet where it ends."""
    moving = [f"{key} {span:g} K" for key, span in node.spans.items() if span > SETTLED_K]
    if moving:
        return Check("settled", False, f"the temperature still moves: {', '.join(moving[:4])}")
    if not node.spans:
        return Check("settled", None, "too few values to tell", needed=False)
    return Check("settled", True, f"no card moved by more than {SETTLED_K:g} K")


def _idle(node: NodeEvidence) -> Check:
    throttled = [k for k, v in node.cards.items() if v.get("throttled")]
    return Check("throttling", not throttled, ", ".join(throttled[:4]) or "none", needed=False)


def _near(value: float, base: float | None) -> bool | None:
    return None if base is None else value >= base * 0.98


def _at_least(value: float, base: float | None) -> bool | None:
    return None if base is None else value >= base


def _gib(value: float) -> str:
    return f"{value / 2**30:.1f} GiB"


def _whole(value: float) -> str:
    return f"{value:g}"
