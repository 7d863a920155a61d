"""In which order feasible nodes are tried: best first, ties broken by name so that the answer never wavers. Pure.

The best node is the one where fewest cards become useless to what was asked for lately: the measure `fleetctl simulate`
packs by (ADR 0038). Where nobody asked yet, it is the tightest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from fleetctl.model.lease import HOST_SLOT, Request
from fleetctl.scheduler.packing.task import TaskClass
from fleetctl.scheduler.placement.feasible import Fit
from fleetctl.scheduler.placement.snapshot import Snapshot

if TYPE_CHECKING:
    from fleetctl.scheduler.packing.fragments import ClassMix, FreeParts


def rank(request: Request, snapshot: Snapshot, fits: Sequence[Fit]) -> list[Fit]:
    """Greenest first when that was asked for, then the fewest new fragments, the tightest node, the rack with most power."""
    steps = _fragment_steps(snapshot, fits)

    def order(place: int) -> tuple[float, int, int, float, str]:
        fit = fits[place]
        green = snapshot.green_pct.get(fit.node.site, 0.0) if request.shape.green else 0.0
        headroom = fit.node.rack_headroom_w
        return (-green, steps[place], fit.left_milli, -headroom if headroom is not None else 0.0, fit.node.host)

    return [fits[place] for place in sorted(range(len(fits)), key=order)]


def _fragment_steps(snapshot: Snapshot, fits: Sequence[Fit]) -> list[int]:
    """By how many steps the expected fragments of each node grow; all 0 where nothing is known of what is asked for."""
    if not snapshot.mix or not fits:
        return [0] * len(fits)
    from fleetctl.scheduler.packing.policies import STEP_MILLI

    mix = _class_mix(snapshot.mix, max(len(n.cards) for n in snapshot.nodes.values()))
    cases = [_before_and_after(fit, mix) for fit in fits]
    known = mix.expect(list({parts for case in cases for parts in case}))
    return [round((known[after] - known[before]) / STEP_MILLI) for before, after in cases]


def _before_and_after(fit: Fit, mix: ClassMix) -> tuple[FreeParts, FreeParts]:
    """Leases hold cards only, so CPU and memory are the same for all nodes."""
    taken = {h.card: h.milli for h in fit.holds if h.card != HOST_SLOT}
    cpu, memory = mix.step(0, 0)
    free = sorted((c.open_milli for c in fit.node.cards), reverse=True)
    left = sorted((c.open_milli - taken.get(c.key, 0) for c in fit.node.cards), reverse=True)
    return (cpu, memory, tuple(free)), (cpu, memory, tuple(left))


@lru_cache(maxsize=8)
def _class_mix(counts: tuple[tuple[TaskClass, float], ...], max_cards: int) -> ClassMix:
    from fleetctl.scheduler.packing.fragments import ClassMix

    return ClassMix(dict(counts), max_cards=max_cards)
