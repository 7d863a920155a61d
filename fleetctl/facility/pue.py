"""PUE and its family: sums of energies divided, counters that bridge gaps, and a category with every number. Pure.

Source: ISO/IEC 30134-2 and EN 50600-4-2 (PUE = total energy of the data centre / energy of IT equipment, over a year;
a shorter time is interim), The Green Grid's categories 0 to 3 by where the IT side is metered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

YEAR_S = 365 * 86_400
# Where the IT side is metered, the level nearest to the whole load first: a level further down misses what hangs
# between. Exactly one level is used; the same load is never added twice.
IT_LEVELS = ("busway", "it_input", "pdu", "pdu_output", "bmc", "ups", "ups_output")
CATEGORIES = {
    "ups": "PUE1",
    "ups_output": "PUE1",
    "pdu": "PUE2",
    "pdu_output": "PUE2",
    "busway": "PUE3",
    "it_input": "PUE3",
    "bmc": "PUE3",
}
LEAST_POSSIBLE = 1.0
MISSING_COUNTER_SHARE = 0.1  # a counter that wraps has been in its last tenth

Sample = tuple[float, float | None]  # epoch seconds, value


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio and how far to trust it.

    flag: None, "incomplete" (a meter is silent: no ratio rather than a better one), "implausible" (below 1),
    "partial" (part of the time was not measured), "reset" (a counter was replaced).
    """

    value: float | None
    flag: str | None = None
    facility: float | None = None
    it: float | None = None
    category: str = ""
    coverage: float = 1.0


@dataclass(frozen=True, slots=True)
class CounterDelta:
    """What a counter counted. unknown_s: seconds across a reset, in which the energy is not known."""

    delta: float
    unknown_s: float = 0.0
    flag: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Integrated:
    """Energy from power samples: only the time that was measured counts. energy in power unit times hours."""

    energy: float
    coverage: float
    flag: str | None


def counter_delta(samples: Sequence[Sample], bits: int | None = None, per_raw: float = 1.0) -> CounterDelta:
    """What a counter counted between its first and its last sample; gaps do not matter, it went on counting.

    bits: width of the raw counter; per_raw: units per raw step (0.001 where the samples are kWh of a Wh counter). A
    counter of up to 32 bits that falls from its last tenth has passed zero; any other fall is a reset or a new meter.
    """
    known = [(t, v) for t, v in samples if v is not None]
    total = unknown = 0.0
    flag: str | None = None
    for (t0, v0), (t1, v1) in pairwise(known):
        if v1 >= v0:
            total += v1 - v0
            continue
        span = 2.0**bits * per_raw if bits is not None and bits <= 32 else None
        if span is not None and v0 >= span * (1 - MISSING_COUNTER_SHARE) and v1 <= span * MISSING_COUNTER_SHARE:
            total += span - v0 + v1
        else:
            unknown += t1 - t0
            flag = "reset"
    seconds = known[-1][0] - known[0][0] if len(known) > 1 else 0.0
    return CounterDelta(total, unknown, flag, seconds)


def integrate(samples: Sequence[Sample], since: float, until: float, period_s: float) -> Integrated:
    """Energy of power samples in an interval; each sample stands for the period after it, and no longer.

    Unlike a counter, power that was not read is not known: coverage says how much of the time was.
    """
    known = sorted((t, v) for t, v in samples if v is not None and since <= t < until)
    energy = covered = 0.0
    for i, (at, value) in enumerate(known):
        end = min(at + period_s, until)
        if i + 1 < len(known):
            end = min(end, known[i + 1][0])
        energy += value * (end - at) / 3600
        covered += end - at
    coverage = covered / (until - since) if until > since else 0.0
    return Integrated(energy, coverage, None if coverage >= 0.9999 else "partial")


def total(values: Sequence[float | None]) -> float | None:
    """The sum, or None as soon as one is unknown (and for no value at all)."""
    known = [v for v in values if v is not None]
    return sum(known) if known and len(known) == len(values) else None


def ratio(
    facility: Sequence[float | None],
    it: Sequence[float | None],
    not_data_centre: Sequence[float | None] = (),
    *,
    category: str = "",
    coverage: float = 1.0,
) -> Ratio:
    """Facility over IT, in the same unit on both sides (powers at one instant, or energies over one window).

    not_data_centre: metered loads on the same incomer that are not of the data centre (an office): taken off.
    """
    whole, used = total(facility), total(it)
    others = total(not_data_centre) if not_data_centre else 0.0
    if whole is None or used is None or others is None:
        return Ratio(None, "incomplete", whole, used, category, coverage)
    whole -= others
    if used <= 0:
        return Ratio(None, None, whole, used, category, coverage)
    value = whole / used
    flag = "implausible" if value < LEAST_POSSIBLE else "partial" if coverage < 0.9999 else None
    return Ratio(value, flag, whole, used, category, coverage)


def it_level(levels: Mapping[str, float | None]) -> str | None:
    """Which metered level of the IT load to take: the one that misses least; one that is silent is passed over."""
    for name in IT_LEVELS:
        if levels.get(name) is not None:
            return name
    return None


def window_label(seconds: float, coverage: float) -> str:
    """`annual` needs twelve months; anything shorter is partial, with its coverage."""
    if seconds >= YEAR_S * 0.999 and coverage >= 0.98:
        return "annual"
    days = seconds / 86_400
    return f"partial: {days:.3g} days, {coverage * 100:.1f} % measured"


def wue(water_l: float | None, it_kwh: float | None) -> float | None:
    """Litres of water per kWh of IT energy (ISO/IEC 30134-9)."""
    return None if water_l is None or not it_kwh else water_l / it_kwh


def cue(pue: float | None, factor_kg_per_kwh: float) -> float | None:
    """kg of CO2 per kWh of IT energy, all-electric and location-based (ISO/IEC 30134-8)."""
    return None if pue is None else pue * factor_kg_per_kwh
