"""PUE and its family of one site or hall over a window, from the meters of fleet.toml and what the store kept. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleetctl.config.schema import Meter
from fleetctl.facility import pue

FACILITY_PLACES = ("utility", "generator")
IT_PLACES = ("busway", "it_input", "pdu_output", "ups_output")
WH_PER_KWH = 0.001

# meter -> (samples of its energy counter in kWh, samples of its power in W), oldest first
Series = tuple[Sequence[pue.Sample], Sequence[pue.Sample]]
ReadSeries = Callable[[Meter], Series]


@dataclass(frozen=True, slots=True)
class EnergyReport:
    """One place, one window. All energies kWh. flags say what keeps the figure from being a claim."""

    scope: str
    since: float
    until: float
    facility_kwh: float | None
    it_kwh: float | None
    pue: float | None
    flag: str | None
    category: str
    it_level: str
    coverage: float
    label: str
    water_l: float | None = None
    renewable_kwh: float | None = None
    wue: float | None = None
    ref: float | None = None
    meters: int = 0


def energy_report(
    scope: str, meters: Sequence[Meter], read: ReadSeries, since: float, until: float, period_s: float
) -> EnergyReport:
    """Sums of energies over [since, until); one IT level, the office taken off, a silent meter makes no ratio."""
    by_place: dict[str, list[tuple[float | None, float, bool]]] = {}
    for meter in meters:
        by_place.setdefault(meter.place, []).append(_energy(meter, read(meter), since, until, period_s))
    levels = {p: pue.total([e for e, _, _ in by_place[p]]) for p in IT_PLACES if p in by_place}
    # A level with a silent meter is still the level: passing it over would quietly change what is measured.
    level = next((p for p in pue.IT_LEVELS if p in levels), "")
    used = [p for place in (*FACILITY_PLACES, "office", level) for p in by_place.get(place, [])]
    coverage = min((c for _, c, _ in used), default=0.0)
    facility = [e for place in FACILITY_PLACES for e, _, _ in by_place.get(place, [])]
    it = [e for e, _, _ in by_place.get(level, [])]
    office = [e for e, _, _ in by_place.get("office", [])]
    found = pue.ratio(facility, it, office, category=pue.CATEGORIES.get(level, ""), coverage=coverage)
    flag = found.flag
    if flag in (None, "partial") and any(reset for _, _, reset in used):
        flag = "reset"
    water = pue.total([e for e, _, _ in by_place["water"]]) if "water" in by_place else None
    green = pue.total([e for e, _, _ in by_place["renewable"]]) if "renewable" in by_place else None
    return EnergyReport(
        scope=scope,
        since=since,
        until=until,
        facility_kwh=found.facility,
        it_kwh=found.it,
        pue=found.value,
        flag=flag,
        category=found.category,
        it_level=level,
        coverage=coverage,
        label=pue.window_label(until - since, coverage),
        water_l=water,
        renewable_kwh=green,
        wue=pue.wue(water, found.it),
        ref=None if green is None or not found.facility else min(1.0, green / found.facility),
        meters=len(meters),
    )


def _energy(
    meter: Meter, series: Series, since: float, until: float, period_s: float
) -> tuple[float | None, float, bool]:
    """(kWh, share of the window it covers, counter was reset). The counter first: it bridges gaps; else power."""
    counter, power = series
    window = until - since
    known = [s for s in counter if s[1] is not None]
    if len(known) >= 2 and window > 0:
        found = pue.counter_delta(known, meter.counter_bits, WH_PER_KWH)
        covered = max(0.0, min(found.seconds - found.unknown_s, window)) / window
        # a counter read once per period cannot tell the last period: that is no gap
        if found.seconds - found.unknown_s + 2 * period_s >= window:
            covered = 1.0
        return found.delta, covered, found.flag == "reset"
    summed = pue.integrate(power, since, until, period_s)
    if not any(v is not None for _, v in power):
        return None, 0.0, False
    return summed.energy / 1000, summed.coverage, False
