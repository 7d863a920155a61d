"""Which cards a job holds on each of its nodes, by the indices Slurm prints. Pure.

A node with one job tells by itself (`GresUsed` of `sinfo`). Only where jobs share a node is `scontrol show job -d`
needed, and a job keeps its cards as long as it runs, so it is asked for once. What does not add up is not believed:
then the job is known on the node, and its cards are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from fleetctl.scheduler.backend import BackendJob
from fleetctl_slurm.words import ACCELERATORS, PARTS, expand_hosts

MAX_CARDS = 1024  # of one node
Cards = tuple[int, ...]
Key = tuple[str, int | None]  # a job's id and start: a requeued job begins anew

# The lines that matter of 1.1 kB per job: who it is, and a line per group of its nodes that are alike.
DETAILS_COMMAND = (
    "sh",
    "-c",
    r"scontrol show job -d | sed -n 's/^\(JobId=.\{0,80\}\).*/\1/p; s/^     \(Nodes=.* GRES=.*\)/\1/p'",
)
_GRES = re.compile(
    r"([a-z_]{1,32})(?::[^:(),|]{1,80})?(?::\d{1,6})?\((?:[^()]*,)?IDX:([\d,-]{1,4000})\)", re.IGNORECASE
)
_SHARES = re.compile(
    r"(?:shard|mps)(?::[^:(),|]{1,80})?:\d{1,9}\((\d{1,9}/\d{1,9}(?:,\d{1,9}/\d{1,9}){0,1023})\)", re.IGNORECASE
)
_JOB = re.compile(r"JobId=(\d+)(?: ArrayJobId=(\d+) ArrayTaskId=(\d+))?(?: HetJobId=(\d+) HetJobOffset=(\d+))? ")
_NODES = re.compile(r"Nodes=(\S+) .*? GRES=(\S+)")


@lru_cache(4096)
def parse_indices(gres: str) -> Cards | None:
    """`gpu:h100:3(IDX:0-1,5),npu:0` -> (0, 1, 5). None where no index is printed, or for cards of two names."""
    found: dict[str, Cards] = {}
    for name, text in () if "IDX:" not in gres else _GRES.findall(gres):
        if name.lower() in ACCELERATORS:
            found[name.lower()] = tuple(sorted({*found.get(name.lower(), ()), *_numbers(text)}))
    return next(iter(found.values())) if len(found) == 1 else None


@lru_cache(4096)
def parse_parted(gres: str) -> Cards:
    """Cards of which parts are given away: `shard:h100:2(IDX:0-1)` -> (0, 1); from 24.11 on `shard:h100:3(0/4,3/4)` -> (1,),
    a figure for each card."""
    found = {number for name, text in _GRES.findall(gres) if name.lower() in PARTS for number in _numbers(text)}
    for figures in _SHARES.findall(gres):
        found |= {card for card, figure in enumerate(figures.split(",")) if not figure.startswith("0/")}
    return tuple(sorted(found))


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first) < MAX_CARDS:
            numbers += range(int(first), int(last or first) + 1)
    return numbers


def parse_details(text: str) -> dict[str, dict[str, Cards]]:
    """What DETAILS_COMMAND prints: job -> node as Slurm calls it -> cards. Jobs without indices have none."""
    found: dict[str, dict[str, Cards]] = {}
    job: dict[str, Cards] | None = None
    for line in text.splitlines():
        if match := _JOB.match(line):
            number = f"{match[2]}_{match[3]}" if match[2] else f"{match[4]}+{match[5]}" if match[4] else match[1]
            job = found.setdefault(number, {})
        elif job is not None and (match := _NODES.match(line)):
            cards = parse_indices(match[2]) or parse_parted(match[2])
            if cards:
                job.update(dict.fromkeys(expand_hosts(match[1]), cards))
    return found


def key_of(job: BackendJob) -> Key:
    return job.id, job.start_at


def jobs_to_ask(jobs: Iterable[BackendJob], used: Mapping[str, Cards], known: Mapping[Key, object]) -> list[Key]:
    """Running jobs whose cards only `scontrol show job -d` can tell and that were not asked for yet."""
    running = [job for job in jobs if job.hosts]
    shared = _shared(running)
    return [
        key_of(job)
        for job in running
        if key_of(job) not in known and any(host in shared and host in used for host in job.hosts)
    ]


def join(
    jobs: Sequence[BackendJob],
    used: Mapping[str, Cards],
    whole: Mapping[str, int],
    known: Mapping[Key, Mapping[str, Cards]],
    parted: Mapping[str, Cards] = MappingProxyType({}),
) -> list[dict[str, Cards]]:
    """The cards of each job by host. used: host -> cards given away there; whole: hosts all of whose cards are, with
    their number; known: what was asked for before; parted: cards of which only parts are, so that several jobs may."""
    shared = _shared([job for job in jobs if job.hosts])
    claims: dict[str, list[Cards]] = {}
    for job in jobs if known else ():
        for host, cards in known.get(key_of(job), {}).items():
            if host in shared and host in job.hosts:
                claims.setdefault(host, []).append(cards)
    sound = {
        host for host, all_cards in claims.items() if _adds_up(all_cards, used.get(host, ()), parted.get(host, ()))
    }

    def places(job: BackendJob) -> dict[str, Cards]:
        told = known.get(key_of(job), {})
        found = {}
        for host in job.hosts:
            if host in shared:
                cards = told.get(host) if host in sound else None
            else:
                cards = used.get(host) or (tuple(range(whole[host])) if host in whole else None)
            if cards:
                found[host] = cards
        return found

    return [places(job) if job.hosts else {} for job in jobs]


def _adds_up(claims: list[Cards], used: Cards, parted: Cards) -> bool:
    """No whole card twice, and none that Slurm has not given away."""
    flat = [card for cards in claims for card in cards]
    whole = [card for card in flat if card not in parted]
    return len(whole) == len(set(whole)) and set(flat) <= set(used)


def _shared(running: Iterable[BackendJob]) -> set[str]:
    seen: set[str] = set()
    shared: set[str] = set()
    for job in running:
        for host in job.hosts:
            (shared if host in seen else seen).add(host)
    return shared


class CardBook:
    """What is known of the cards of running jobs, from round to round."""

    def __init__(self) -> None:
        self._known: dict[Key, Mapping[str, Cards]] = {}
        self._placed: dict[str, tuple[BackendJob, BackendJob]] = {}  # as read, and with its cards

    def missing(self, jobs: Sequence[BackendJob], used: Mapping[str, Cards]) -> list[Key]:
        """Jobs whose cards have to be asked for."""
        return jobs_to_ask(jobs, used, self._known)

    def learn(self, asked: Iterable[Key], told: Mapping[str, Mapping[str, Cards]]) -> None:
        """told: job -> host -> cards. An empty answer is none: it is asked again."""
        if told:
            self._known |= {key: told.get(key[0], {}) for key in asked}

    def place(
        self,
        jobs: Sequence[BackendJob],
        used: Mapping[str, Cards],
        whole: Mapping[str, int],
        parted: Mapping[str, Cards] = MappingProxyType({}),
    ) -> list[BackendJob]:
        """The jobs with their cards; the very objects of the round before where nothing changed."""
        running = {key_of(job) for job in jobs if job.hosts}
        self._known = {key: cards for key, cards in self._known.items() if key in running}
        before, self._placed = self._placed, {}
        for job, places in zip(jobs, join(jobs, used, whole, self._known, parted), strict=True):
            last = before.get(job.id)
            if last is not None and last[0] == job and last[1].places == places:
                self._placed[job.id] = last
            else:
                self._placed[job.id] = job, replace(job, places=places) if places else job
        return [placed for _job, placed in self._placed.values()]
