"""Which questions a poll asks after the first complete reading: total power first, at most three where $expand works."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fleetctl_redfish.total import total_power

MAX_QUESTIONS = 3
MAX_REST = 24
MAX_PARTS = 8  # of a total that is a sum, where the service cannot give them in one answer
_IN = re.compile(r"^sum of \d+ (rectifiers|inputs) in (\S+)$")


def poll_targets(tree: Mapping[str, Mapping[str, Any]], pages: Mapping[str, list[str]]) -> list[str]:
    """Paths with their query, the most telling first.

    1. what the total power is made of (a sensor's whole collection, when it can be had expanded in one page);
    2. the largest sensor collection that comes expanded in one page, else Thermal;
    3. what tells of leaks and coolant, else EnvironmentMetrics.
    """
    out: list[str] = []
    expanded = {path: asked[0] for path, asked in pages.items() if len(asked) == 1 and "expand" in asked[0]}

    def want(target: str | None, limit: int = MAX_QUESTIONS) -> None:
        if target and target not in out and len(out) < limit:
            out.append(target)

    for path in total_parts(tree):
        want(expanded.get(path.rpartition("/")[0], path), MAX_PARTS)
    sizes: dict[str, int] = {}
    for path in tree:
        parent = path.rpartition("/")[0]
        if parent in expanded:
            sizes[parent] = sizes.get(parent, 0) + 1
    for ending in ("/Sensors", "/LeakDetectors", "/PrimaryCoolantConnectors"):
        fullest = max((p for p in sizes if p.endswith(ending)), key=lambda p: sizes[p], default=None)
        want(expanded[fullest] if fullest else None)
    for ending in ("/Thermal", "/EnvironmentMetrics", "/Power"):
        want(next((p for p in tree if p.endswith(ending) and p.count("/") == 5), None))
    return out or ["/redfish/v1/Chassis"]


def rest_of(
    tree: Mapping[str, Mapping[str, Any]],
    pages: Mapping[str, list[str]],
    targets: Sequence[str],
    reported: Collection[str] = (),
) -> list[str]:
    """Questions worth asking now and then: what tells of values that no question of every poll tells of, the fullest
    first. reported: sensors that the polled report tells of."""
    asked = {target.partition("?")[0] for target in targets}
    lacking: dict[str, int] = {}
    for path in tree:
        parent, _, name = path.rpartition("/")
        if parent in pages and parent not in asked and "/Sensors" in parent and path not in reported:
            if len(pages[parent]) == 1 and "expand" in pages[parent][0]:
                lacking[parent] = lacking.get(parent, 0) + 1
        elif name in ("Thermal", "ThermalMetrics") and path not in asked:
            lacking[path] = 1
    fullest = sorted(lacking, key=lambda path: -lacking[path])[:MAX_REST]
    return [pages[path][0] if path in pages else path for path in fullest]


def round_of(targets: Sequence[str], rest: Sequence[str], turn: int, keep: int) -> list[str]:
    """The questions of one poll: the next of the rest has a free place, or every third time that of a lesser question.

    keep: how many at the front are the total's parts; they and leaks are asked every time.
    """
    if not rest or len(targets) > MAX_QUESTIONS:
        return list(targets)
    if len(targets) < MAX_QUESTIONS:
        return [*targets, rest[turn % len(rest)]]
    place = next((i for i in range(len(targets) - 1, keep - 1, -1) if "Leak" not in targets[i]), None)
    if place is None or turn % 3 != 2:
        return list(targets)
    return [*targets[:place], *targets[place + 1 :], rest[turn // 3 % len(rest)]]


def total_parts(tree: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Paths of all resources that the total power is read from."""
    return parts_of(total_power(tree), tree)


def parts_of(total: tuple[float, str] | None, tree: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Paths of all resources that a total was read from."""
    parts: list[str] = []
    for source in total[1].split(" + ") if total is not None else ():
        summed = _IN.match(source)
        if summed is None:
            parts.append(source.partition("#")[0])
        elif summed[1] == "rectifiers":
            parts += [p for p in tree if p.startswith(summed[2] + "/Rectifier") and p.endswith("InputPower")]
        elif "#" in summed[2]:
            parts.append(summed[2].partition("#")[0])
        else:
            parts += [p for p in tree if p.startswith(summed[2] + "/") and p.endswith("/Metrics")]
    return list(dict.fromkeys(parts))
