"""What a replay decided, one entry per task and node, as others can check it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _quoted

from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.state import Share

MAX_TOLD = 100_000  # texts of devices that are kept


@dataclass(slots=True)
class Decision:
    """A task's place from `time_s` to `end_s` (None: it does not end within the replay); a gang has several shares."""

    job: str
    time_s: float
    shares: tuple[Share, ...]
    end_s: float | None = None


def placement_lines(decisions: Iterable[Decision], nodes: Sequence[NodeSpec]) -> Iterator[str]:
    """JSON lines `{"job","time","node","devices":[[index,milli],...],"end"}`, one per node a task uses."""
    names = [_quoted(node.name) for node in nodes]
    told: dict[tuple[tuple[int, int], ...], str] = {}  # the same devices come again and again
    for made in decisions:
        head = f'{{"job":{_quoted(made.job)},"time":{_short(made.time_s)},"node":'
        end = "null" if made.end_s is None else _short(made.end_s)
        for share in made.shares:
            devices = told.get(share.devices)
            if devices is None:
                if len(told) >= MAX_TOLD:
                    told.clear()
                devices = told[share.devices] = ",".join([f"[{index},{milli}]" for index, milli in share.devices])
            yield f'{head}{names[share.node]},"devices":[{devices}],"end":{end}}}'


def _short(seconds: float) -> float | int:
    """Exact, so that whoever checks finds a start no earlier than its submission and ends that meet starts."""
    return int(seconds) if seconds == int(seconds) else seconds


def unwatched(done: int, total: int) -> None:
    """What a replay tells of its progress where nobody wants to know."""
