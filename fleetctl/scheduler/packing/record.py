"""What a replay decided, one entry per task and node, as others can check it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.state import Share


@dataclass(slots=True)
class Decision:
    """A task's place from `time_s` to `end_s` (None: it does not end within the replay); a gang has several shares."""

    job: str
    time_s: float
    shares: tuple[Share, ...]
    end_s: float | None = None


def placement_lines(decisions: Iterable[Decision], nodes: Sequence[NodeSpec]) -> Iterator[str]:
    """JSON lines `{"job","time","node","devices":[[index,milli],...],"end"}`, one per node a task uses."""
    for made in decisions:
        for share in made.shares:
            yield json.dumps(
                {
                    "job": made.job,
                    "time": _short(made.time_s),
                    "node": nodes[share.node].name,
                    "devices": [list(d) for d in share.devices],
                    "end": None if made.end_s is None else _short(made.end_s),
                },
                separators=(",", ":"),
            )


def _short(seconds: float) -> float | int:
    """Exact, so that whoever checks finds a start no earlier than its submission and ends that meet starts."""
    return int(seconds) if seconds == int(seconds) else seconds


def unwatched(done: int, total: int) -> None:
    """What a replay tells of its progress where nobody wants to know."""
