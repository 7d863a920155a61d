"""What a round of a large Slurm costs us: 12,500 nodes in three partitions, 20,000 jobs, made-up text of the real form.

python benchmarks/slurm.py            parse, keep, show
python benchmarks/slurm.py rest       only: 10,000 jobs as text and as slurmrestd's JSON, CPU and memory
python benchmarks/slurm.py BIN        also: our script and the usual commands against a real Slurm, BIN its commands
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
import unittest.mock
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleetctl.clock import SystemClock
from fleetctl.config.schema import Config, HostGroup, Scheduler, Site
from fleetctl.inventory import build_inventory
from fleetctl.model.host import Host
from fleetctl.scheduler.backend import BackendJob, BackendView
from fleetctl.scheduler.outside import Lane
from fleetctl.store.database import Database
from fleetctl.transport.local import LocalTransport
from fleetctl.views import jobs as jobs_view
from fleetctl.views import nodes as nodes_view
from fleetctl_slurm import json_stream
from fleetctl_slurm.answers import parse_jobs, parse_nodes
from fleetctl_slurm.backend import SlurmBackend
from fleetctl_slurm.cards import join
from fleetctl_slurm.json_answers import JOB_KEYS, read_job, read_jobs
from fleetctl_slurm.json_stream import Elements

RECORDED = Path(__file__).parents[1] / "tests" / "fixtures" / "slurm" / "26.05.5"
NODES, JOBS, NONCE = 12_500, 20_000, "feedc0de00000001"


def node_text() -> str:
    """sinfo -N lists a node once per partition."""
    return "".join(
        f"gpu{n:05}|{p}|up|mixed|gpu:h100:8|gpu:h100:4(IDX:0-3),npu:0|48/48/0/96|Unknown|Unknown|none|{NONCE}|\n"
        for n in range(1, NODES + 1)
        for p in ("h100", "site", "all*")
    )


def job_text() -> str:
    return "".join(
        f"{n}|RUNNING|h100|lab|user{n % 97}|1|cpu=48,gres/gpu=4|gres:gpu:4|N/A|2026-11-22T00:00:00|2026-11-22T00:00:00|"
        f"2026-11-23T00:00:00|gpu{n % NODES + 1:05}|None|normal|(null)|train-{n}|{NONCE}|\n"
        if n < NODES
        else f"{n}|PENDING|h100|lab|user{n % 97}|4|cpu=48|gres:gpu:8|N/A|2026-11-22T00:00:00|N/A|N/A||Priority|normal|(null)|train-{n}|{NONCE}|\n"
        for n in range(JOBS)
    )


def took(title: str, work: Callable[[], Any], detail: str = "") -> Any:
    began, busy = time.perf_counter(), time.process_time()
    result = work()
    cpu = time.process_time() - busy
    print(f"{title:58} {time.perf_counter() - began:8.3f} s {cpu:8.3f} s of CPU  {detail}")
    return result


class Recorded:
    """The parsed answer, as a backend that needs no network."""

    name = "slurm@s"

    def __init__(self, view: BackendView) -> None:
        self.view = view

    async def read(self) -> BackendView:
        return self.view


def main() -> None:
    if sys.argv[1:] == ["rest"]:
        rest()
        return
    nodes, jobs = node_text(), job_text()
    answer = took("parse nodes", lambda: parse_nodes(nodes, NONCE), f"{len(nodes) / 1e6:.1f} MB, 37,500 records")
    found, _bad = took("parse jobs", lambda: parse_jobs(jobs, NONCE), f"{len(jobs) / 1e6:.1f} MB, 20,000 records")
    took("parse nodes again, nothing changed", lambda: parse_nodes(nodes, NONCE, before=answer))
    took("parse jobs again, nothing changed", lambda: parse_jobs(jobs, NONCE, before=found))
    cards = took("cards of the jobs, no node shared", lambda: join([*found.values()], answer.used, {}, {}))
    listed = [replace(job, places=there) for job, there in zip(found.values(), cards, strict=True)]
    config = Config(sites=(Site(name="s"),), hosts=(HostGroup(nodes=f"gpu[00001-{NODES}]", site="s"),))
    inventory, clock = build_inventory(config), SystemClock()
    with tempfile.TemporaryDirectory() as folder, Database.open(Path(folder) / "fleet.db", write=True) as db:
        view = BackendView(clock.now(), "22.05.8", answer.nodes, listed, (), answer.partitions)
        lane = Lane(Scheduler(site="s"), Recorded(view), db, inventory, clock)  # type: ignore[arg-type]
        took("keep the first round", lambda: asyncio.run(lane.round()))
        took("keep a round in which nothing changed", lambda: asyncio.run(lane.round()))
        with db.read() as conn:
            took("rows of `fleetctl nodes`", lambda: nodes_view.load(conn, inventory, clock.now()), "12,500 rows")
            took("rows of `fleetctl jobs`", lambda: jobs_view.load(conn, inventory, clock.now()), "20,000 rows")
    if len(sys.argv) > 1:
        live(sys.argv[1])


def rest() -> None:
    """10,000 jobs: what squeue prints, and the 128 fields each that slurmrestd 26.05 sends, whole and piece by piece."""
    found = json.loads((RECORDED / "jobs.json").read_text())
    one, count = json.loads((RECORDED / "job_whole.json").read_text()), 10_000
    numbered = [
        json.dumps({**one, "job_id": n, "name": f"train-{n}"}, indent=2).replace("\n", "\n    ") for n in range(count)
    ]
    envelope = json.dumps({**found, "jobs": []}, indent=2)
    text = envelope.replace("[]", "[\n    " + ",\n    ".join(numbered) + "\n  ]", 1).encode()
    del numbered
    lines = "".join(line + "\n" for line in job_text().splitlines()[:count])
    names = str

    def whole() -> list[BackendJob]:
        return read_jobs(json.loads(text), names)

    def pieces() -> list[BackendJob]:
        elements = Elements("jobs", JOB_KEYS, lambda job: read_job(job, names))
        for at in range(0, len(text), 1 << 18):
            elements.feed(text[at : at + (1 << 18)])
        return elements.kept

    print(f"{count:,} jobs: {len(lines) / 1e6:.1f} MB of text, {len(text) / 1e6:.1f} MB of JSON")
    ways: dict[str, Callable[[], Any]] = {
        "text of squeue": lambda: parse_jobs(lines, NONCE),
        "REST, the answer read in whole": whole,
        "REST, piece by piece": pieces,
    }
    json_stream._typed.cache_clear()
    for title, way in ways.items():
        took(title, way)
    with unittest.mock.patch.dict(sys.modules, {"msgspec": None}):
        json_stream._typed.cache_clear()
        took("REST, piece by piece, without msgspec", pieces)
        json_stream._typed.cache_clear()
    for title, way in ways.items():
        tracemalloc.start()
        kept = way()
        now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(f"{title:58} {most / 1e6:8.1f} MB at most, {now / 1e6:.1f} MB kept")
        del kept


def live(tools: str) -> None:
    async def read() -> BackendView:
        session = await LocalTransport().connect(Host("here", "s", transport="local"))
        try:
            return await SlurmBackend(Scheduler(site="s", bin=tools), session, SystemClock()).read()
        finally:
            await session.close()

    view = took("one round against this Slurm, all of it", lambda: asyncio.run(read()))
    print(f"{'':58} {len(view.nodes)} nodes, {len(view.jobs)} jobs, Slurm {view.version}")
    for words in (["scontrol", "-o", "show", "nodes"], ["scontrol", "-o", "show", "jobs"], ["sinfo"], ["squeue"]):
        done = took(
            f"  {' '.join(words)}",
            lambda words=words: subprocess.run([f"{tools}/{words[0]}", *words[1:]], capture_output=True, check=True),
        )
        print(f"{'':58} {len(done.stdout):,} bytes")


if __name__ == "__main__":
    main()
