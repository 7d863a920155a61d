#!/usr/bin/env python3
"""Hold what `fleetctl simulate` decided against nodes and jobs. Standard library only; shares no code with fleetctl.

    fleetctl simulate --nodes N.csv --jobs J.csv --mode queue -o json --placements P.jsonl > S.json
    python benchmarks/check_placements.py --nodes N.csv --jobs J.csv --mode queue --placements P.jsonl --summary S.json

Give --drain NODE,NODE,...@TIME as it was given to simulate (names in full), and --fixed-sites where movable jobs start
at their own site (easy, fifo).
Checked: every card of a node at most 1000 milli, CPU and memory never over, models, sites, whole and distinct cards,
gangs of whole nodes of one kind, start after submission, end after the duration (a job that a drain moved has several
parts that add up), nothing on a drained node, each job at most once; when filling, that jobs come in file order and none
is lost while a node had room; in a queue, that what can start does. Then the figures are worked out again and
compared with the summary. Prints one line per violation (the first 50) and a last line; exit 0 or 1.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

CARD = 1000  # milli of one card
SECOND = 1e-6  # moments closer than this, as a share of the larger, are the same


@dataclass
class Node:
    name: str
    cpu: int
    memory: int
    cards: int
    model: str
    site: str
    cap: float | None


@dataclass
class Job:
    """One line of the jobs file. duration None: it never ends."""

    row: int
    name: str
    cards: int
    milli: int
    cpu: int
    memory: int
    models: frozenset[str]
    site: str
    movable: bool
    submit: float
    duration: float | None

    @property
    def demand(self) -> int:
        return self.cards * self.milli


@dataclass
class Part:
    """What a job held from start to end. held: node name -> [[card, milli], ...]."""

    job: str
    start: float
    end: float | None
    held: dict[str, list[list[int]]]
    line: int


@dataclass
class Check:
    """nodes by name; jobs in order of the file; parts in order of the placements; drains: (names, moment)."""

    nodes: dict[str, Node]
    jobs: list[Job]
    parts: list[Part]
    mode: str
    drains: list[tuple[frozenset[str], float]]
    fixed_sites: bool = False
    strict: bool = True
    wrong: list[str] = field(default_factory=list)
    of: dict[int, list[Part]] = field(default_factory=dict)  # row of the job -> its parts, by start

    def say(self, text: str) -> None:
        self.wrong.append(text)

    # ---- which job is which

    def match(self) -> None:
        """Tell every part its job. Names that stand more than once are told apart by arrival, or by what fits."""
        named: dict[str, list[Job]] = defaultdict(list)
        for job in self.jobs:
            named[job.name].append(job)
        for part in sorted(self.parts, key=lambda p: (p.start, p.line)):
            found = named.get(part.job)
            if not found:
                self.say(f"line {part.line}: no job {part.job!r}")
                continue
            mine: Job | None = found[0]
            if len(found) > 1:
                mine = self._arrived(part, found) if self.mode == "fill" else self._fitting(part, found)
            if mine is None:
                self.say(f"line {part.line}: {part.job} is placed once too often")
                continue
            self.of.setdefault(mine.row, []).append(part)

    def _arrived(self, part: Part, found: list[Job]) -> Job | None:
        for job in found:
            if job.row == part.start and job.row not in self.of:
                return job
        return next((j for j in found if self._moved(j, part)), None)

    def _fitting(self, part: Part, found: list[Job]) -> Job | None:
        for job in found:
            if self._moved(job, part):
                return job
        cut = any(at == part.end and names & set(part.held) for names, at in self.drains)
        could = [j for j in found if j.row not in self.of and j.submit <= part.start and not self._amiss(j, part)]
        for job in sorted(could, key=lambda j: (len(self._able(j)), -j.submit)):
            if cut or (job.duration is None or part.end is None):
                lasts = cut or part.end is job.duration
            else:
                lasts = near(part.end - part.start, job.duration, part.end)
            if lasts:
                return job
        return None

    def _moved(self, job: Job, part: Part) -> bool:
        """Is this part what followed when a drain ended the one before?"""
        before = self.of.get(job.row)
        if not before or before[-1].end is None or before[-1].end > part.start:
            return False
        return any(at == before[-1].end and names & set(before[-1].held) for names, at in self.drains)

    # ---- each job by itself

    def jobs_alone(self) -> None:
        rows = {job.row: job for job in self.jobs}
        for row, parts in self.of.items():
            job = rows[row]
            for part in parts:
                self.wrong += [f"line {part.line}: {job.name}: {text}" for text in self._amiss(job, part)]
            self._times(job, parts)

    def _amiss(self, job: Job, part: Part) -> list[str]:
        """What of a place is not what the job asked for."""
        amiss: list[str] = []
        hosts = [self.nodes[name] for name in part.held]
        for node in hosts:
            if job.models and node.model not in job.models:
                amiss.append(f"{node.name} is {node.model}, wanted {'|'.join(sorted(job.models))}")
            if job.site and node.site != job.site and not job.movable:
                amiss.append(f"{node.name} is in {node.site or 'no site'}, wanted {job.site}")
            devices = part.held[node.name]
            if len({index for index, _ in devices}) != len(devices):
                amiss.append(f"a card of {node.name} is named twice")
            if any(not 0 <= index < node.cards for index, _ in devices):
                amiss.append(f"{node.name} has no such card")
            if any(milli != job.milli for _, milli in devices):
                amiss.append(f"not {job.milli} milli of each card")
        held = sum(len(devices) for devices in part.held.values())
        if len(hosts) == 1 and held == job.cards:
            return amiss
        if any(len(part.held[n.name]) != n.cards or not n.cards for n in hosts) or held < job.cards or not job.cards:
            amiss.append(f"{held} cards on {len(hosts)} nodes, wanted {job.cards}")
        elif job.milli < CARD or len({(n.cards, n.model, n.site) for n in hosts}) > 1:
            amiss.append("a gang on nodes of more than one kind")
        elif held - job.cards >= hosts[0].cards:
            amiss.append(f"a gang of {job.cards} cards holds {held}")
        elif max((n.cards for n in self._able(job)), default=0) >= job.cards:
            amiss.append("not on one node, though there are nodes of that size")
        return amiss

    def _able(self, job: Job) -> list[Node]:
        fixed = bool(job.site) and (self.fixed_sites or not job.movable)
        return [
            n
            for n in self.nodes.values()
            if (not job.models or n.model in job.models) and (not fixed or n.site == job.site)
        ]

    def _times(self, job: Job, parts: list[Part]) -> None:
        label = f"line {parts[0].line}: {job.name}"
        if self.mode == "queue" and parts[0].start < job.submit:
            self.say(f"{label}: starts at {parts[0].start}, submitted at {job.submit}")
        for part, later in zip(parts, [*parts[1:], None], strict=True):
            cut = [names for names, at in self.drains if at == part.end and names & set(part.held)]
            if later is not None and not cut:
                self.say(f"{label}: placed again at {later.start} though no drain sent it away")
            if later is not None and part.end is not None and later.start < part.end:
                self.say(f"{label}: in two places at {later.start}")
            if part.end is not None and part.end < part.start:
                self.say(f"{label}: ends before it starts")
        if self.mode == "fill":
            if parts[-1].end is not None and not any(at == parts[-1].end for _, at in self.drains):
                self.say(f"{label}: ends, though nothing ends when filling")
            return
        ran = None if parts[-1].end is None else sum((p.end or 0.0) - p.start for p in parts)
        if ran is None or job.duration is None:
            if (ran is None) != (job.duration is None) and not self._homeless(parts):
                self.say(f"{label}: ran {ran}, should {job.duration}")
        elif not near(ran, job.duration, parts[-1].end or 0.0) and not (ran < job.duration and self._homeless(parts)):
            self.say(f"{label}: ran {ran} s, should {job.duration}")

    def _homeless(self, parts: list[Part]) -> bool:
        """Did a drain end what was its last part, and nothing had room for the rest?"""
        return any(at == parts[-1].end and names & set(parts[-1].held) for names, at in self.drains)

    # ---- all jobs together

    def drained(self) -> None:
        for names, at in self.drains:
            for part in self.parts:
                if names & set(part.held) and (part.start >= at or part.end is None or part.end > at):
                    if part.start == part.end == at:
                        continue
                    self.say(f"line {part.line}: {part.job} is on a node that was drained at {at}")

    def sweep(self) -> None:
        """Everything a node holds, moment by moment; what ends at a moment makes room for what starts then."""
        rows = {job.row: job for job in self.jobs}
        events: dict[str, list[tuple[float, int, Part, Job]]] = defaultdict(list)
        for row, parts in self.of.items():
            for part in parts:
                end = math.inf if part.end is None else part.end
                for name in part.held:
                    if end > part.start:
                        events[name].append((part.start, 1, part, rows[row]))
                        events[name].append((end, 0, part, rows[row]))
        for name, found in events.items():
            self._sweep_node(self.nodes[name], found)

    def _sweep_node(self, node: Node, events: list[tuple[float, int, Part, Job]]) -> None:
        cards, cpu, memory = [0] * node.cards, 0, 0
        for at, starts, part, job in sorted(events, key=lambda e: e[:2]):
            sign = 1 if starts else -1
            # A gang's CPU and memory are the whole job's, shared evenly.
            cpu += sign * -(-job.cpu // len(part.held))
            memory += sign * -(-job.memory // len(part.held))
            for index, milli in part.held[node.name]:
                if 0 <= index < node.cards:
                    cards[index] += sign * milli
            if not starts:
                continue
            if any(held > CARD for held in cards):
                self.say(f"line {part.line}: {node.name} holds {max(cards)} milli of one card at {at}")
            if cpu > node.cpu or memory > node.memory:
                self.say(f"line {part.line}: {node.name} gives {cpu} CPU and {memory} MiB at {at}, more than it has")

    # ---- filling

    def fill_order(self) -> None:
        """The place of a job in the file is its moment; lines follow each other; nothing that had room is lost."""
        last = -1.0
        for part in self.parts:
            if part.start < last:
                self.say(f"line {part.line}: {part.job} comes after what arrived later")
            last = max(last, part.start)
        rows = {job.row: job for job in self.jobs}
        for row, parts in self.of.items():
            if parts[0].start != rows[row].row:
                self.say(f"line {parts[0].line}: {rows[row].name} arrived as number {row}, placed at {parts[0].start}")
        if self.strict and not self.wrong and not any(n.cap is not None for n in self.nodes.values()):
            self._nothing_lost_with_room()

    def _nothing_lost_with_room(self) -> None:
        free = {n.name: [CARD] * n.cards for n in self.nodes.values()}
        rest = {n.name: [n.cpu, n.memory] for n in self.nodes.values()}
        events: list[tuple[float, int, int, Part, Job]] = []
        for job in self.jobs:
            for part in self.of.get(job.row, []):
                events.append((part.start, 1, len(events), part, job))
                if part.end is not None:
                    events.append((part.end, 0, len(events), part, job))
        events.sort(key=lambda e: e[:3])
        upto = 0
        refused: dict[tuple[object, ...], int] = {}  # asks that found no room, and when; nothing ends but by a drain
        drains = sorted(self.drains, key=lambda d: d[1])
        for job in self.jobs:
            while upto < len(events) and events[upto][0] <= job.row:
                _, starts, _, part, of = events[upto]
                upto += 1
                if not starts:
                    refused.clear()
                for name, devices in part.held.items():
                    sign = -1 if starts else 1
                    rest[name][0] += sign * -(-of.cpu // len(part.held))
                    rest[name][1] += sign * -(-of.memory // len(part.held))
                    for index, milli in devices:
                        free[name][index] += sign * milli
            if job.row in self.of:
                continue
            ask = (job.cards, job.milli, job.cpu, job.memory, job.models, job.site, job.movable)
            if ask in refused:
                continue
            away = {name for names, at in drains if at <= job.row for name in names}
            node = self._room(job, free, rest, away)
            if node:
                self.say(f"{job.name}, number {job.row}, was lost though {node} had room")
            refused[ask] = job.row

    def _room(self, job: Job, free: dict[str, list[int]], rest: dict[str, list[int]], away: set[str]) -> str:
        able = self._able(job)
        if not able:
            return ""
        if job.milli < CARD or job.cards <= max(n.cards for n in able):
            for n in able:
                if n.name in away or rest[n.name][0] < job.cpu or rest[n.name][1] < job.memory:
                    continue
                if sum(1 for milli in free[n.name] if milli >= job.milli) >= job.cards:
                    return n.name
            return ""
        alike: dict[tuple[object, ...], list[str]] = defaultdict(list)
        for n in able:
            untouched = rest[n.name] == [n.cpu, n.memory] and all(milli == CARD for milli in free[n.name])
            if n.cards and untouched and n.name not in away:
                alike[n.site, n.model, n.cards, n.cpu, n.memory].append(n.name)
        for (_site, _model, cards, cpu, memory), names in alike.items():
            need = -(-job.cards // int(str(cards)))
            if (
                -(-job.cpu // need) <= int(str(cpu))
                and -(-job.memory // need) <= int(str(memory))
                and len(names) >= need
            ):
                return names[0]
        return ""

    # ---- figures again

    def figures(self) -> dict[str, float | None]:
        """What the summary should say, by dotted name."""
        total = sum(n.cards for n in self.nodes.values()) * CARD
        return self._fill_figures(total) if self.mode == "fill" else self._queue_figures(total)

    def _fill_figures(self, total: int) -> dict[str, float | None]:
        found: dict[str, float | None] = {}
        changes: list[tuple[float, int]] = []
        rows = {job.row: job for job in self.jobs}
        for row, parts in self.of.items():
            for part in parts:
                taken = sum(m for devices in part.held.values() for _, m in devices)
                changes.append((part.start if part.start == rows[row].row else part.start - 0.5, taken))
                if part.end is not None:
                    changes.append((part.end - 0.5, -taken))
        changes.sort()
        asked = used = upto = 0
        step = 10
        for job in self.jobs:
            asked += job.demand
            while upto < len(changes) and changes[upto][0] <= job.row:
                used += changes[upto][1]
                upto += 1
            while total and asked * 100 >= step * total:
                found[f"allocation_at.{step}"] = 100.0 * used / total
                step += 10
        used += sum(change for _, change in changes[upto:])
        found.update(
            {
                "jobs": len(self.jobs),
                "placed": len(self.of),
                "lost": len(self.jobs) - len(self.of),
                "cards_asked": asked / CARD,
                "cards_allocated": used / CARD,
                "allocation_pct": 100.0 * used / total if total else None,
            }
        )
        return found

    def _queue_figures(self, total: int) -> dict[str, float | None]:
        rows = {job.row: job for job in self.jobs}
        waits: dict[str, list[float]] = defaultdict(list)
        slow, done = [], []
        area = 0.0
        last = max((j.submit for j in self.jobs), default=0.0)
        first = min((j.submit for j in self.jobs), default=0.0)
        finish = last
        for row, parts in self.of.items():
            job = rows[row]
            wait = parts[0].start - job.submit
            waits[""].append(wait)
            top = 1 << max(0, job.cards - 1).bit_length()
            waits[str(job.cards) if job.cards <= 2 else f"{top // 2 + 1}-{top}"].append(wait)
            for part in parts:
                finish = max(finish, part.start, part.end or 0.0)
            ran = sum((p.end or 0.0) - p.start for p in parts)
            if parts[-1].end is not None and job.duration is not None and near(ran, job.duration, parts[-1].end):
                done.append(parts[-1].end - job.submit)
                slow.append(max(1.0, (wait + job.duration) / max(job.duration, 10.0)))
        for parts in self.of.values():
            for part in parts:
                taken = sum(m for devices in part.held.values() for _, m in devices)
                area += taken * ((finish if part.end is None else part.end) - part.start)
        found: dict[str, float | None] = {"jobs": len(self.jobs), "started": len(self.of)}
        for size, values in waits.items():
            name = f"waiting.by_size.{size}" if size else "waiting"
            found.update({f"{name}.{k}_s": v for k, v in spread(values).items()})
            found[f"{name}.jobs"] = len(values)
        found.update({f"completion.{k}_s": v for k, v in spread(done).items()})
        found.update({f"slowdown.{k}": v for k, v in spread(slow).items()})
        span = finish - first
        found["makespan_s"] = span
        found["utilisation_pct"] = 100.0 * area / total / span if total and span > 0 else None
        return found

    def compare(self, summary: dict[str, Any]) -> None:
        for name, value in self.figures().items():
            there: object = summary
            for key in name.split(".") if name.count(".") < 3 else name.split(".", 3):
                there = there.get(key) if isinstance(there, dict) else None
            if value is None:
                if there is not None:
                    self.say(f"summary: {name} is {there}, should be unknown")
            elif not isinstance(there, (int, float)) or abs(there - value) > 0.002 + 1e-6 * abs(value):
                self.say(f"summary: {name} is {there}, worked out again it is {value:.3f}")

    def never_started(self) -> None:
        """In a queue every job starts that an empty fleet has room for, unless what never ends is in its way."""
        if self.drains or any(j.duration is None for j in self.jobs):
            return
        if any(n.cap is not None for n in self.nodes.values()):
            return
        free = {n.name: [CARD] * n.cards for n in self.nodes.values()}
        rest = {n.name: [n.cpu, n.memory] for n in self.nodes.values()}
        for job in self.jobs:
            if job.row not in self.of and self._room(job, free, rest, set()):
                self.say(f"{job.name} never starts though an empty fleet has room")

    def run(self, summary: dict[str, Any] | None) -> None:
        self.match()
        self.jobs_alone()
        self.drained()
        self.sweep()
        if self.mode == "fill":
            self.fill_order()
        else:
            self.never_started()
        if summary is not None:
            self.compare(summary)


def spread(values: list[float]) -> dict[str, float | None]:
    """Mean, median, the smallest value that 95 % do not exceed, and the largest; None of none."""
    if not values:
        return {"mean": None, "median": None, "p95": None, "max": None}
    ordered = sorted(values)
    rank = -(-95 * len(ordered) // 100) - 1
    return {"mean": sum(ordered) / len(ordered), "median": median(ordered), "p95": ordered[rank], "max": ordered[-1]}


def near(one: float, other: float, scale: float = 0.0) -> bool:
    return abs(one - other) <= SECOND * max(1.0, abs(one), abs(other), abs(scale) * 1e-3)


def table(path: Path) -> list[dict[str, str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    rows = csv.DictReader(text.splitlines(keepends=True))
    return [
        {(k or "").strip(): (v or "").strip() for k, v in row.items() if isinstance(v, str)}
        for row in rows
        if any(isinstance(v, str) and v.strip() for v in row.values())
    ]


def whole(row: dict[str, str], *names: str, default: int = 0) -> int:
    return next((int(float(row[name])) for name in names if row.get(name)), default)


def number(row: dict[str, str], name: str) -> float | None:
    return float(row[name]) if row.get(name) else None


def read_nodes(path: Path) -> dict[str, Node]:
    return {
        r["sn"]: Node(
            r["sn"],
            whole(r, "cpu_milli"),
            whole(r, "memory_mib"),
            whole(r, "gpu"),
            r["model"],
            r.get("site", ""),
            number(r, "power_cap_w"),
        )
        for r in table(path)
    }


def read_jobs(path: Path) -> list[Job]:
    jobs = []
    for row, r in enumerate(table(path)):
        openb = "num_gpu" in r
        submit = number(r, "creation_time" if openb else "submit_s") or 0.0
        duration = number(r, "duration_s")
        if openb:
            ended, begun = number(r, "deletion_time"), number(r, "scheduled_time")
            duration = None if ended is None else max(0.0, ended - max(submit, submit if begun is None else begun))
        cards = whole(r, "num_gpu", "gpus")
        jobs.append(
            Job(
                row,
                r["name" if openb else "job"],
                cards,
                whole(r, "gpu_milli", default=CARD) if cards else CARD,
                whole(r, "cpu_milli"),
                whole(r, "memory_mib"),
                frozenset(m.strip() for m in r.get("gpu_spec" if openb else "model", "").split("|") if m.strip()),
                r.get("site", ""),
                r.get("movable", "").lower() in ("1", "true", "yes", "y"),
                submit,
                duration,
            )
        )
    return jobs


def read_placements(lines: Iterable[str], nodes: dict[str, Node], wrong: list[str]) -> list[Part]:
    """Lines that follow each other with the same job, moment and end, each with all cards of its node, are one gang."""
    parts: list[Part] = []
    for count, text in enumerate(lines, 1):
        line = json.loads(text)
        job, start, end, name = line["job"], line["time"], line["end"], line["node"]
        if name not in nodes:
            wrong.append(f"line {count}: no node {name!r}")
            continue
        last = parts[-1] if parts else None
        same = last is not None and (last.job, last.start, last.end) == (job, start, end) and name not in last.held
        if last is not None and same and len(last.held[next(iter(last.held))]) == nodes[name].cards:
            last.held[name] = line["devices"]
        else:
            parts.append(Part(job, start, end, {name: line["devices"]}, count))
    return parts


def check_files(
    nodes: Path,
    jobs: Path,
    placements: Iterable[str],
    mode: str,
    summary: dict[str, Any] | None = None,
    drains: Sequence[str] = (),
    *,
    fixed_sites: bool = False,
) -> Check:
    """Everything that is wrong stands in `wrong` of what comes back. placements: lines; drains: as `n1,n2@30`."""
    fleet, asks, wrong = read_nodes(nodes), read_jobs(jobs), list[str]()
    moments = []
    for place, text in enumerate(drains):
        names, _, moment = text.rpartition("@")
        # Only the replay knows when a share of the cards was taken. When filling the clock counts arrivals, and what
        # is left over is drained after the last.
        at = float(moment) if not moment.endswith("%") else summary["drains"][place]["at"] if summary else math.inf
        moments.append((frozenset(names.split(",")), at if mode == "queue" else min(math.ceil(at), len(asks))))
    parts = read_placements(placements, fleet, wrong)
    check = Check(fleet, asks, parts, mode, moments, fixed_sites, wrong=wrong)
    check.run(summary)
    return check


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=Path, required=True)
    parser.add_argument("--jobs", type=Path, required=True)
    parser.add_argument("--placements", type=Path, required=True)
    parser.add_argument("--mode", choices=("fill", "queue"), required=True)
    parser.add_argument("--summary", type=Path, help="what `-o json` printed")
    parser.add_argument("--drain", action="append", default=[], metavar="NODE,NODE@SECONDS")
    parser.add_argument("--fixed-sites", action="store_true", help="movable jobs start at their site, as under easy")
    options = parser.parse_args()
    summary = json.loads(options.summary.read_text()) if options.summary else None
    with options.placements.open(encoding="utf-8") as lines:
        check = check_files(
            options.nodes,
            options.jobs,
            lines,
            options.mode,
            summary,
            options.drain,
            fixed_sites=options.fixed_sites,
        )
    for text in check.wrong[:50]:
        print(text)
    count = f"{len(check.parts)} placements of {len(check.of)} of {len(check.jobs)} jobs"
    print(f"{count}: {len(check.wrong)} violations")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
