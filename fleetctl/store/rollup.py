"""An hour of up to 256 devices in four numbers per metric, packed; and back again.

Which four depends on the metric: a gauge keeps its mean and extremes, a counter its growth, a state its last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fleetctl.errors import StoreCorruptError
from fleetctl.model.metric import MetricKind
from fleetctl.store import matrix
from fleetctl.store.catalogue import Steps
from fleetctl.store.matrix import Bool, Int64


@dataclass(frozen=True, slots=True)
class Hour:
    """One metric of one device over one hour. n: rounds with a value; value: the mean of a gauge, the last value of a
    counter or state; low, high: extremes; growth: of a counter, resets taken out; None for others."""

    n: int
    value: float
    low: float
    high: float
    growth: float | None = None


def roll(cells: Int64, known: Bool | None, kind: MetricKind) -> Int64:
    """Four numbers per device from its (D, S) steps: shape (4, D).

    gauge: n, low, high - low, sum - n * low; counter: n, first, last - first, growth; state: n, low, high - low,
    last - low. All 0 where nothing is known.
    """
    devices, rounds = cells.shape
    if known is None:
        n = np.full(devices, rounds, np.int64)
        last = cells[:, -1]
        first = cells[:, 0]
        low, high = cells.min(axis=1), cells.max(axis=1)
    else:
        n = known.sum(axis=1)
        first = np.take_along_axis(cells, np.argmax(known, axis=1)[:, None], axis=1)[:, 0]
        last = np.take_along_axis(cells, rounds - 1 - np.argmax(known[:, ::-1], axis=1)[:, None], axis=1)[:, 0]
        low = np.where(known, cells, np.iinfo(np.int64).max).min(axis=1)
        high = np.where(known, cells, np.iinfo(np.int64).min).max(axis=1)
    if kind is MetricKind.COUNTER:
        filled = cells if known is None else matrix.fill(cells, known)
        steps = np.diff(filled, axis=1)
        growth = np.where(steps >= 0, steps, filled[:, 1:]).sum(axis=1)  # after a reset it counts from zero
        four = np.stack([n, first, last - first, growth])
    elif kind is MetricKind.STATE:
        four = np.stack([n, low, high - low, last - low])
    else:
        above = (cells - low[:, None]) if known is None else np.where(known, cells - low[:, None], 0)
        four = np.stack([n, low, high - low, above.sum(axis=1)])
    four[:, n == 0] = 0
    return four


def encode_rollup(devices: tuple[int, ...], metrics: Mapping[str, tuple[Int64, MetricKind, Steps]]) -> bytes:
    """Pack `roll`'s numbers of several metrics for the same devices."""
    header = {
        "d": list(devices),
        "u": {name: [kind.value, steps.times, steps.parts] for name, (_, kind, steps) in metrics.items()},
    }
    return matrix.encode(header, {name: (four, None) for name, (four, _, _) in metrics.items() if four[0].any()})


def decode_rollup(data: bytes, device: int, only: set[str]) -> dict[str, Hour]:
    """The hour of one device, of the metrics named. Raises StoreCorruptError for damaged data."""
    header = matrix.decode_header(data)
    try:
        devices = header["d"]
        if device not in devices:
            return {}
        place = devices.index(device)
        found = {}
        for name, (four, _) in matrix.decode(data, 4, len(devices), only).items():
            kind, times, parts = header["u"][name]
            n, one, two, three = four[:, place].tolist()
            if n:
                found[name] = _hour(MetricKind(kind), Steps(times, parts), n, one, two, three)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorruptError(f"a sealed block cannot be read: {error}") from error
    return found


def _hour(kind: MetricKind, steps: Steps, n: int, one: int, two: int, three: int) -> Hour:
    value = steps.value
    if kind is MetricKind.COUNTER:
        ends = sorted((value(one), value(one + two)))
        return Hour(n, value(one + two), ends[0], ends[1], value(three))
    if kind is MetricKind.STATE:
        return Hour(n, value(one + three), value(one), value(one + two))
    return Hour(n, value(n * one + three) / n, value(one), value(one + two))
