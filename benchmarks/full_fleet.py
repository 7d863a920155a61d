"""The whole fleet in one engine: 12,500 hosts x 8 cards received, parsed, stored and judged; CPU per host and round.

    python benchmarks/full_fleet.py [--hosts 12500] [--every 10] [--seconds 40] [--carriers 20] [--profile]

Two cores cannot also run 12,500 loops, so each of a few real sshd hosts speaks for many: their frames come over one SSH
channel, one write and one packet each, spread evenly, and are handed to the host they belong to. Everything from the
packet on is the product: asyncssh, collector, parsing, reports, store, findings. What differs from 12,500 connections
is that fewer of them take turns in the processor's caches.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import functools
import logging
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from polling import our_collector
from store import notes_beside

from fleetctl.collector.collector import Collector
from fleetctl.collector.schedule import phase_s
from fleetctl.config.schema import Config, HostGroup, Poll, Site, Thresholds
from fleetctl.engine import loop
from fleetctl.engine.judge import Judge
from fleetctl.inventory.inventory import build_inventory
from fleetctl.model.host import Host
from fleetctl.model.metric import CORE_METRICS
from fleetctl.model.report import HostReport
from fleetctl.plugin import Plugin
from fleetctl.store import Database
from fleetctl.store.rounds import recorder_of
from fleetctl.transport.base import EndReason, Session, Stream

BATCH_HOSTS = 500
SPEAKER = """
import json, os, random, time, zlib
first, hosts, every, system, cards = {first}, {hosts}, {every}, {system!r}, {cards!r}
host = "%.2f,%.1f,2,%d,25325260800,0,%d,%d,%.2f"
bodies = []
def card(n, any=random.randrange):  # a healthy one: findings are not what a round usually writes
    return [any(85, 100), any(60, 75), any(80000) << 20, 81559 << 20, any(300, 650), 700, any(50, 70), any(55, 75),
            1980 - any(4) * 15, 1980, 2619, 30, 0, 3, 0, 5, 16, any(1 << 40), 1]
for _ in range(200):
    line = host % (random.random() * 9, random.random() * 99, *(random.getrandbits(33) for _ in range(3)), 4132284.5)
    bodies.append((line.encode(), json.dumps([card(n) for n in range(8)], separators=(",", ":")).encode()))
def say(seq, body):
    os.write(1, b"\\x1eFR %d %d %08x\\n%s\\x1f\\n" % (seq, len(body), zlib.crc32(body), body))
heads = ["".join("card %d GPU-%032x Accelerator 80GB\\n" % (n, n + 8 * k) for n in range(8)).encode()
         for k in range(first, first + hosts)]
for head in heads:
    os.write(1, b"\\x1eFH 0 6 %08x\\npython\\x1f\\n" % zlib.crc32(b"python"))
    time.sleep(0.001)
for head in heads:
    line, row = bodies[0]
    say(1, b"%.3f 0\\x1d%s d 0 1 f\\nhost\\n[[%s]]\\n\\x1c\\x1d%s d 0 9 f\\n%s%s\\n\\x1c"
        % (time.time(), system, line, cards, head, row))
    time.sleep(0.004)
at, seq = time.monotonic(), 1
while True:
    seq += 1
    for n, head in enumerate(heads):
        line, row = bodies[(n * 7 + seq) % 200]
        say(seq, b"%.3f 0\\x1d%s d 0 0 k5\\n[[%s]]\\n\\x1d%s d 0 9 k%d\\n%s\\n"
            % (time.time(), system, line, cards, len(head), row))
        at += every / hosts
        left = at - time.monotonic()
        if left > 0:
            time.sleep(left)
"""


class Ear:
    """The stream of one of those hosts: it listens and says nothing."""

    ended: EndReason | None = None

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class Voice:
    """One of the hosts that a carrier speaks for; a session of its own to the collector."""

    closed = False

    def __init__(self, host: Host, hear: Callable[[Callable[[bytes], None]], None]) -> None:
        self.host, self.hear, self.facts = host, hear, dict[str, str]()

    async def stream(self, command: str, *, on_data: Callable[[bytes], None], **_: object) -> Stream:
        self.hear(on_data)
        return Ear()  # type: ignore[return-value]

    async def close(self) -> None:
        pass


class Carrier:
    """A real SSH channel; the frames of its hosts come in turn."""

    def __init__(self, session: Session, program: str, hosts: int) -> None:
        self.session, self.program, self.hosts = session, program, hosts
        self.ears: list[Callable[[bytes], None]] = []
        self.listened = asyncio.Event()
        self.turn = 0
        self.frames = 0
        self.ended: EndReason | None = None

    async def speak(self) -> None:
        stream = await self.session.stream(
            "exec python3 -S -E -", stdin=self.program.encode(), on_data=self.on_data, on_end=self.on_end
        )
        stream.write_eof()

    def on_end(self, reason: EndReason) -> None:
        self.ended = reason

    def hear(self, on_data: Callable[[bytes], None]) -> None:
        self.ears.append(on_data)
        if len(self.ears) == self.hosts:
            self.listened.set()

    def on_data(self, data: bytes) -> None:
        for _ in range(data.count(b"\x1eF") - 1):  # packets that were joined on the way
            end = data.index(b"\x1f\n") + 2
            self.hand(data[:end])
            data = data[end:]
        self.hand(data)

    def hand(self, frame: bytes) -> None:
        self.ears[self.turn](frame)
        self.turn = (self.turn + 1) % self.hosts
        self.frames += 1


class Voices:
    """Transport: the hosts speak through the carriers in turn, in the order in which the collector asks them."""

    def __init__(self, carriers: list[Carrier], names: list[str]) -> None:
        order = sorted(names, key=lambda name: phase_s(name, 1.0))
        self.by_name = {name: carriers[n % len(carriers)] for n, name in enumerate(order)}

    async def connect(self, host: Host) -> Voice:
        return Voice(host, self.by_name[host.name].hear)

    async def close(self) -> None:
        pass


async def run(bed: Path, words: argparse.Namespace) -> None:
    logging.disable(logging.WARNING)
    carrying = our_collector(bed, "python", 5.0)
    probe = next(item.probe for item in carrying.plan.items if item.probe.name == "bench.cards")
    ids = {item.probe.name: item.id for item in carrying.plan.items}
    share = words.hosts // words.carriers
    names = [f"gpu{n:05}" for n in range(share * words.carriers)]
    config = Config(
        sites=(Site(name="a"),),
        hosts=tuple(HostGroup(nodes=name, site="a") for name in names),
        poll=Poll(interval_s=words.every, slow_interval_s=3600.0),
    )
    carriers = []
    for n, host in enumerate(carrying.inventory.hosts.values()):
        program = SPEAKER.format(
            first=n * share, hosts=share, every=words.every,
            system=ids["system"].encode(), cards=ids["bench.cards"].encode(),
        )  # fmt: skip
        session = await carrying.connections.session(host)
        carriers.append(Carrier(session, program, share))
    inventory = build_inventory(config)
    plugins = [Plugin(name="bench", title="bench", probes=(probe,))]
    collector = Collector(config, inventory, {"ssh": Voices(carriers, names)}, plugins)  # type: ignore[dict-item]
    writer = ThreadPoolExecutor(1)
    spent, saved = {"store": 0.0, "judge": 0.0}, {"hosts": 0}
    profiler = cProfile.Profile(time.thread_time) if words.profile else None

    with Database.open(bed / "fleet.db", write=True) as db:
        recorder_of(db).register(CORE_METRICS)
        judge = Judge(inventory.hosts, Thresholds())

        def save(slot: int, reports: list[HostReport]) -> None:
            began = time.thread_time()
            recorder_of(db).save(slot, reports)
            stored = time.thread_time()
            judge.save(db, slot, reports)
            spent["store"] += stored - began
            spent["judge"] += time.thread_time() - stored
            saved["hosts"] += len(reports)

        async def keep(slot: int, reports: list[HostReport]) -> None:
            for start in range(0, len(reports), BATCH_HOSTS):
                call = functools.partial(save, slot, reports[start : start + BATCH_HOSTS])
                await asyncio.get_running_loop().run_in_executor(writer, call)

        task = asyncio.create_task(collector.run(keep))
        await asyncio.gather(*(carrier.listened.wait() for carrier in carriers))
        for carrier in carriers:
            await carrier.speak()
        while True:  # two rounds to warm up: the first makes every row of hosts and devices
            await asyncio.sleep(0.5)
            if ended := [carrier.ended for carrier in carriers if carrier.ended]:
                raise SystemExit(f"a carrier ended: {ended[0]}")
            if saved["hosts"] >= 3 * len(names):
                break
        notes = notes_beside(db.path)
        await asyncio.to_thread(next, notes)
        frames, hosts = sum(carrier.frames for carrier in carriers), saved["hosts"]
        before, loop_cpu = dict(spent), time.thread_time()
        if profiler:
            profiler.enable()
        await asyncio.sleep(words.seconds)
        if profiler:
            profiler.disable()
        loop_cpu = time.thread_time() - loop_cpu
        frames = sum(carrier.frames for carrier in carriers) - frames
        hosts = saved["hosts"] - hosts
        middle, tail, count = (await asyncio.to_thread(next, notes)).split()
        fresh = sum(bool(poll.answers.views) for poll in collector.polls.values())
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with db.read() as conn:
            rows = conn.execute("SELECT count(*), count(DISTINCT slot) FROM card_samples").fetchone()
    store, judged = spent["store"] - before["store"], spent["judge"] - before["judge"]
    print(f"{len(names)} hosts, {fresh} heard, {frames / words.seconds:.0f} frames/s, load {os.getloadavg()[0]:.1f}")
    print(f"rows of cards stored {rows[0]:,} in {rows[1]} rounds")
    print(f"{'per host and round':24}{'ms':>8}{'  of a core, fleet every 5 s':>28}")
    parts = {"received, parsed": loop_cpu / frames, "stored": store / hosts, "judged": judged / hosts}
    for name, used_s in (*parts.items(), ("all", sum(parts.values()))):
        print(f"{name:24}{used_s * 1000:8.3f}{used_s * 12_500 / 5 * 100:26.0f} %")
    print(f"note of a second process every 0.1 s: p50 {middle} ms, p95 {tail} ms on the clock ({count} notes)")
    if profiler:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
    sys.stdout.flush()
    os._exit(0)  # the carriers speak on; their ends are no news


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hosts", type=int, default=12_500)
    parser.add_argument("--every", type=float, default=10.0, help="seconds per round")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--carriers", type=int, default=20)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--bed", type=Path, default=Path("../shared/testbed/hosts/hostbed.py"))
    parser.add_argument("--dir", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.dir:
        loop.run(run(words.dir, words))
        return
    with tempfile.TemporaryDirectory(prefix="bed") as folder:
        os.chmod(folder, 0o755)
        bed = Path(folder) / "b"
        tool = [sys.executable, str(words.bed)]
        start = [*tool, "start", "--dir", str(bed), "-n", str(words.carriers)]
        subprocess.run(start, stdout=subprocess.DEVNULL, check=True)
        try:
            bed.chmod(0o755)
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--dir", str(bed)], check=True)
        finally:
            subprocess.run([*tool, "stop", "--dir", str(bed), "--rm"], stdout=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
