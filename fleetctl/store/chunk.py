"""A chunk: up to 16 devices over one hour, every metric, packed; and back again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fleetctl.errors import StoreCorruptError
from fleetctl.store import matrix
from fleetctl.store.catalogue import Steps
from fleetctl.store.matrix import Bool, Int64


@dataclass(frozen=True, slots=True)
class Chunk:
    """devices: row ids, D of them; slots: epoch seconds, S of them, both ascending; columns: metric -> whole steps
    (D, S) and the mask of known cells (None: all are); steps: metric -> how steps become values."""

    devices: tuple[int, ...]
    slots: tuple[int, ...]
    columns: Mapping[str, tuple[Int64, Bool | None]]
    steps: Mapping[str, Steps]

    def values(self, device: int, metric: str) -> list[tuple[int, int | float]]:
        """(slot, value) of the known cells of one device and metric."""
        if device not in self.devices or metric not in self.columns:
            return []
        cells, known = self.columns[metric]
        row = self.devices.index(device)
        line = cells[row].tolist()
        value = self.steps[metric].value
        if known is None:
            return [(slot, value(n)) for slot, n in zip(self.slots, line, strict=True)]
        there = known[row].tolist()
        return [(slot, value(n)) for slot, n, is_known in zip(self.slots, line, there, strict=True) if is_known]


def encode_chunk(chunk: Chunk) -> bytes:
    """Pack it. Cells must be below 2**62 in size."""
    return matrix.encode(
        {
            "d": _gaps(chunk.devices),
            "s": _gaps(chunk.slots),
            "u": {name: [steps.times, steps.parts] for name, steps in chunk.steps.items() if name in chunk.columns},
        },
        chunk.columns,
    )


def decode_chunk(data: bytes, only: set[str] | None = None) -> Chunk:
    """Unpack all metrics or those named. Raises StoreCorruptError for damaged data."""
    header = matrix.decode_header(data)
    try:
        devices, slots = _sums(header["d"]), _sums(header["s"])
        steps = {name: Steps(times, parts) for name, (times, parts) in header["u"].items()}
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorruptError(f"a sealed block cannot be read: {error}") from error
    return Chunk(devices, slots, matrix.decode(data, len(devices), len(slots), only), steps)


def _gaps(numbers: Sequence[int]) -> list[int]:
    """First number, then gaps; runs of one gap as [gap, how often], which is what a steady round looks like."""
    gaps = np.diff(np.array(numbers, np.int64)).tolist()
    if gaps and all(gap == gaps[0] for gap in gaps):
        return [numbers[0], gaps[0], -len(gaps)]
    return [numbers[0], *gaps]


def _sums(gaps: Sequence[int]) -> tuple[int, ...]:
    if len(gaps) == 3 and gaps[2] < 0:
        return tuple(gaps[0] + gaps[1] * n for n in range(min(-gaps[2], 1 << 20) + 1))
    return tuple(np.cumsum(np.array(gaps, np.int64)).tolist())
