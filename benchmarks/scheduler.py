"""What the scheduler's own work costs at 12,500 nodes with 8 cards: planning, applying, placing, ticking.

    python benchmarks/scheduler.py [--nodes 12500]

CPU milliseconds, median of several runs, on a database file with every card seen; then a queue of --queue requests that
is served until nobody can start: decisions per second with everything (read, decided, booked, recorded), and the look alone.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from fleetctl.config.schema import Config, HostGroup, Rack, Site
from fleetctl.inventory.inventory import Inventory, build_inventory
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.lease import Shape
from fleetctl.operations import allocate, apply, make_request, plan_drain, plan_resume, quote
from fleetctl.scheduler.kept import KeptFleet
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.state import Mask, Share
from fleetctl.scheduler.packing.task import TaskClass
from fleetctl.scheduler.tick import TickResult, serve_queue, tick
from fleetctl.store.database import Database
from fleetctl.store.requests import insert_request

WHO = Actor(ActorKind.PERSON, "bench")


def make_fleet(path: Path, nodes: int) -> tuple[Database, Inventory, Config]:
    """A store in which every host answered with eight cards."""
    width = len(str(nodes))
    racks = [
        Rack(f"r{i}", "s1", nodes=f"gpu[{i * 8 + 1:0{width}}-{min(nodes, i * 8 + 8):0{width}}]")
        for i in range((nodes + 7) // 8)
    ]
    config = Config(
        sites=(Site("s1", max_drain_pct=100.0),),
        racks=tuple(racks),
        hosts=(HostGroup(f"gpu[{1:0{width}}-{nodes}]", "s1", chip="H100 SXM5 80GB", cards=8),),
    )
    inventory = build_inventory(config)
    db = Database.open(path, write=True)
    with db.write() as conn:
        conn.executemany(
            "INSERT INTO hosts (id, name, reach, reach_since, report_at, answer_at, slot) VALUES (?,?,'fresh',0,0,0,0)",
            list(enumerate(inventory.hosts, 1)),
        )
        conn.executemany(
            "INSERT INTO devices (host, kind, key, number, chip, first_at) VALUES (?,'card',?,?,'H100 SXM5 80GB',0)",
            [(n, f"GPU-{host}-{i}", str(i)) for n, host in enumerate(inventory.hosts, 1) for i in range(8)],
        )
    return db, inventory, config


def measure(work: Callable[[], object], runs: int) -> float:
    """Median CPU milliseconds."""
    times = []
    for _ in range(runs):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1000)
    return statistics.median(times)


MIX = ((Shape(cards=1), 40), (Shape(milli=500), 20), (Shape(cards=2), 12), (Shape(cards=4), 12), (Shape(cards=8), 12),
       (Shape(nodes=2, cards=8, same="rack"), 3), (Shape(nodes=4, cards=8), 1))  # fmt: skip


def fill_queue(db: Database, config: Config, count: int, now: int) -> None:
    rng = random.Random(1)
    shapes = rng.choices([s for s, _ in MIX], [w for _, w in MIX], k=count)
    with db.write() as conn:
        for number, shape in enumerate(shapes):
            tenant, duration = f"t{number % 20}", rng.choice((3600, 14_400, 86_400))
            request = make_request(config, tenant, shape, who=WHO, now=now, duration_s=duration)
            insert_request(conn, request)


def drain_queue(db: Database, inventory: Inventory, config: Config, count: int, now: int) -> None:
    """Serve a long queue and print what it cost."""
    fill_queue(db, config, count, now)
    looks: list[float] = []
    core_choose = Packer.choose

    def timed(packer: Packer, kind: TaskClass, allowed: Mask | None = None) -> tuple[Share, ...]:
        began = time.thread_time()
        shares = core_choose(packer, kind, allowed)
        looks.append(time.thread_time() - began)
        return shares

    granted, before = 0, None
    cpu, wall = time.process_time(), time.perf_counter()
    with mock.patch.object(Packer, "choose", timed):
        while granted != before:
            now += 10
            before = granted
            granted += len(tick(db, inventory, now, config=config).granted)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    looks.sort()
    print(
        f"  queue of {count}: {granted} booked in {wall:.1f} s, {granted / wall:,.0f} a second, {granted / cpu:,.0f} per CPU second"
    )
    at = [looks[int(len(looks) * q)] * 1000 for q in (0.5, 0.99)]
    print(
        f"  a decision by itself: {len(looks) / sum(looks):,.0f} per CPU second, p50 {at[0]:.3f} ms, p99 {at[1]:.3f} ms of CPU"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=12_500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--queue", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db, inventory, config = make_fleet(Path(folder) / "fleet.db", options.nodes)
        clock = [1000]

        def read_anew() -> None:
            with db.read() as conn:
                KeptFleet(conn, inventory, config, None, clock[0]).refresh(conn, clock[0])

        def look() -> None:
            serve_queue(db, inventory, config, clock[0], None, TickResult())

        def drain_rack() -> None:
            clock[0] += 1
            plan = plan_drain(db, inventory, "@r3", "hw: bench", who=WHO, now=clock[0], config=config)
            apply(db, plan, WHO, inventory=inventory, config=config, now=clock[0])
            back = plan_resume(db, inventory, "@r3", who=WHO, now=clock[0], config=config)
            apply(db, back, WHO, inventory=inventory, config=config, now=clock[0])

        def ask_price() -> None:
            request = make_request(config, "lab", Shape(nodes=4, cards=8, same="rack"), who=WHO, now=clock[0])
            quote(db, inventory, request, now=clock[0], config=config)

        def lease() -> None:
            clock[0] += 1
            request = make_request(config, "lab", Shape(cards=2), who=WHO, now=clock[0])
            allocate(db, inventory, request, WHO, now=clock[0], config=config)

        def idle() -> None:
            tick(db, inventory, clock[0], config=config)

        with db:
            idle()
            print(f"{options.nodes} nodes, {options.nodes * 8} cards; CPU ms, median of {options.runs}")
            for name, work in (
                ("tick, nothing to do", idle),
                ("the fleet read anew", read_anew),
                ("drain a rack: plan, apply, resume", drain_rack),
                ("place --dry-run, gang of 4", ask_price),
                ("alloc of 2 cards, booked", lease),
            ):
                print(f"  {name:38} {measure(work, options.runs):8.1f}", flush=True)
            drain_queue(db, inventory, config, options.queue, clock[0])
            print(f"  {'a look at what is left of it':38} {measure(look, options.runs):8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
