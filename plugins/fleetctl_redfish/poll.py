"""Which questions a poll asks after the first complete reading: total power first, at most three in all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetctl_redfish.total import total_power

MAX_QUESTIONS = 3


def poll_targets(tree: Mapping[str, Mapping[str, Any]], pages: Mapping[str, list[str]]) -> list[str]:
    """At most three paths (with their query), the most telling first.

    1. the resource of the total power (a sensor's whole collection, when it can be had expanded in one page);
    2. Thermal, or the largest sensor collection that comes expanded in one page;
    3. what tells of leaks and coolant, else EnvironmentMetrics.
    """
    out: list[str] = []

    def want(target: str | None) -> None:
        if target and target not in out and len(out) < MAX_QUESTIONS:
            out.append(target)

    total = total_power(tree)
    expanded = {path: asked[0] for path, asked in pages.items() if len(asked) == 1 and "expand" in asked[0]}
    if total is not None:
        first = total[1].partition("#")[0].partition(" + ")[0]
        first = first.rpartition(" in ")[2]
        collection = first.rpartition("/")[0]
        if first in tree:
            want(expanded.get(collection, first))
        else:
            want(expanded.get(first, first))
    sizes: dict[str, int] = {}
    for path in tree:
        parent = path.rpartition("/")[0]
        if parent in expanded and parent.endswith("/Sensors"):
            sizes[parent] = sizes.get(parent, 0) + 1
    for path in sorted(sizes, key=lambda p: -sizes[p])[:1]:
        want(expanded[path])
    for ending in ("/LeakDetectors", "/PrimaryCoolantConnectors"):
        want(next((expanded[p] for p in expanded if p.endswith(ending)), None))
    for ending in ("/Thermal", "/EnvironmentMetrics", "/Power"):
        want(next((p for p in tree if p.endswith(ending) and p.count("/") == 5), None))
    return out or ["/redfish/v1/Chassis"]
