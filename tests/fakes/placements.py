"""Holds the JSON lines of `simulate --placements` against nodes and jobs; knows nothing of the scheduler's own books."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_table(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return list(csv.DictReader(file))


def violations(nodes: list[dict[str, str]], jobs: list[dict[str, str]], lines: Iterable[str]) -> list[str]:
    """What is wrong: too much CPU, memory or card taken at any moment, cards that are not there, half a gang."""
    has = {n["sn"]: n for n in nodes}
    wants = {j.get("job") or j.get("name") or "": j for j in jobs}
    wrong: list[str] = []
    events: list[tuple[float, int, str, list[list[int]], float, float]] = []
    parts: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for text in lines:
        line = json.loads(text)
        parts[line["job"], line["time"]].append(line)
    for (job, at), rows in parts.items():
        want = wants[job]
        cards = int(float(want.get("num_gpu") or want.get("gpus") or 0))
        milli = int(want.get("gpu_milli") or 1000) if cards else 0
        taken = sum(len(r["devices"]) for r in rows)
        if len(rows) > 1 or taken > cards:
            if any(sorted(d[0] for d in r["devices"]) != list(range(int(has[r["node"]]["gpu"]))) for r in rows):
                wrong.append(f"{job}: a gang must take whole nodes")
            if taken < cards or len({r["node"] for r in rows}) != len(rows):
                wrong.append(f"{job}: {taken} of {cards} cards")
        elif taken != cards:
            wrong.append(f"{job}: {taken} of {cards} cards")
        models = [m for m in (want.get("gpu_spec") or want.get("model") or "").split("|") if m]
        for row in rows:
            if models and has[row["node"]]["model"] not in models:
                wrong.append(f"{job}: wrong model")
            if want.get("site") and want.get("movable") in (None, "", "0") and has[row["node"]]["site"] != want["site"]:
                wrong.append(f"{job}: wrong site")
            if any(m != milli for _, m in row["devices"]):
                wrong.append(f"{job}: not {milli} of each card")
            cpu = float(want.get("cpu_milli") or 0) / len(rows)
            memory = float(want.get("memory_mib") or 0) / len(rows)
            end = float("inf") if row["end"] is None else row["end"]
            if end == at:
                continue
            events.append((at, 1, row["node"], row["devices"], cpu, memory))
            events.append((end, 0, row["node"], row["devices"], cpu, memory))
    used: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    held: dict[tuple[str, int], int] = defaultdict(int)
    for at, starts, node, devices, cpu, memory in sorted(events, key=lambda e: e[:2]):
        sign = 1 if starts else -1
        used[node][0] += sign * cpu
        used[node][1] += sign * memory
        for index, milli in devices:
            held[node, index] += sign * milli
            if index >= int(has[node]["gpu"]) or held[node, index] > 1000:
                wrong.append(f"{node}: card {index} holds {held[node, index]} at {at}")
        if used[node][0] > float(has[node]["cpu_milli"]) + 1 or used[node][1] > float(has[node]["memory_mib"]) + 1:
            wrong.append(f"{node}: CPU or memory overbooked at {at}")
    return wrong
