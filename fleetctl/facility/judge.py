"""What is wrong with power and cooling: from the picture to conditions. Pure.

A critical leak, a rack over its budget, a feed over its breaker, coolant that does not flow, and endpoints that are
silent. What could not speak keeps its findings: `spoke` names who could.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fleetctl.facility.picture import Picture
from fleetctl.model.facility import PointState
from fleetctl.model.states import Health
from fleetctl.store.facility import RULE_PREFIX, EndpointState, FacilityCondition

NEAR_SHARE = 0.95  # of a budget: a warning before the breaker
SILENT_AFTER_S = 300.0  # an answer lost now and then is no finding
LEAK_S = 900.0  # a leak told so long ago still counts


def judge(
    picture: Picture, states: Sequence[EndpointState], points: Mapping[int, Iterable[PointState]], now: float
) -> tuple[list[FacilityCondition], set[str]]:
    """(conditions that hold now, subjects that were able to speak)."""
    out: list[FacilityCondition] = []
    spoke: set[str] = set()
    for state in states:
        _endpoint(state, points.get(state.id, ()), now, out, spoke)
    for rack in picture.racks.values():
        if rack.draw.value is None or rack.budget_w is None:
            continue
        spoke.add(rack.name)
        text = f"rack {rack.name} draws {rack.draw.value:.0f} W of {rack.budget_w:.0f} W"
        if rack.draw.value > rack.budget_w:
            out.append(_condition("rack_over_budget", rack.name, text, Health.CRIT, rack.draw.value))
        elif rack.draw.value > rack.budget_w * NEAR_SHARE:
            out.append(_condition("rack_over_budget", rack.name, text, Health.WARN, rack.draw.value))
    for feed in picture.feeds.values():
        if feed.draw.value is None or feed.limit_w is None or feed.usable_w is None:
            continue
        spoke.add(feed.name)
        text = f"feed {feed.name} carries {feed.draw.value:.0f} W, its breaker opens at {feed.limit_w:.0f} W"
        if feed.draw.value > feed.limit_w:
            out.append(_condition("feed_over_limit", feed.name, text, Health.CRIT, feed.draw.value))
        elif feed.draw.value > feed.usable_w:
            out.append(_condition("feed_over_limit", feed.name, text, Health.WARN, feed.draw.value))
    _zones(picture, out, spoke)
    return out, spoke


def _zones(picture: Picture, out: list[FacilityCondition], spoke: set[str]) -> None:
    for zone in picture.zones.values():
        told = False
        for loop in zone.loops:
            if loop.flow_lpm is not None and zone.flow_min_lpm is not None:
                told = True
                if loop.flow_lpm < zone.flow_min_lpm:
                    text = f"{loop.device}: coolant flow {loop.flow_lpm:.1f} L/min, least {zone.flow_min_lpm:.1f}"
                    out.append(_condition("flow_lost", zone.name, text, Health.CRIT, loop.flow_lpm))
            if loop.supply_c is not None and zone.supply_max_c is not None:
                told = True
                if loop.supply_c > zone.supply_max_c:
                    text = f"{loop.device}: supply {loop.supply_c:.1f} C, warmest allowed {zone.supply_max_c:.1f}"
                    out.append(_condition("supply_hot", zone.name, text, Health.WARN, loop.supply_c))
        if told:
            spoke.add(zone.name)


def _endpoint(
    state: EndpointState,
    points: Iterable[PointState],
    now: float,
    out: list[FacilityCondition],
    spoke: set[str],
) -> None:
    subject, host = state.name, state.host
    if state.trouble is not None:
        since = now - (state.trouble_since or now)
        severe = state.trouble in ("auth", "tls") or since >= SILENT_AFTER_S
        if severe:
            text = f"{subject}: {state.trouble_text or state.trouble}"
            out.append(_condition("endpoint_silent", subject, text, Health.WARN, None, host))
        return  # it could not speak of anything else
    spoke.add(subject)
    bad = [p for p in points if p.what == "leak" and p.bad and now - p.as_of <= LEAK_S]
    if bad:
        places = ", ".join(p.where for p in bad[:4])
        critical = any(p.word.lower() in ("critical", "unavailable", "leak") or p.word.startswith("0x") for p in bad)
        severity = Health.CRIT if critical else Health.WARN
        out.append(_condition("leak", subject, f"{subject}: leak at {places}", severity, float(len(bad)), host))


def _condition(
    rule: str, subject: str, text: str, severity: Health, value: float | None = None, host: str | None = None
) -> FacilityCondition:
    return FacilityCondition(RULE_PREFIX + rule, subject, text, severity, value, host)
