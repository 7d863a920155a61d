"""What storing a fleet costs: our store beside plain rows and sqlite-utils, in one run.

    python benchmarks/store.py [--hosts 12500] [--rounds 60] [--step 60] [--peers-rounds 10] [--dir FOLDER]

Prints CPU seconds per round, bytes per sample and read times. Values are noisy, as sensors are: utilisation and power
jump, temperatures walk, memory moves now and then, counters grow. One hour (60 rounds) shows sealing and rollups too.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fleetctl.config.schema import Store as Policy
from fleetctl.model.reading import Device
from fleetctl.model.report import Block, HostReport
from fleetctl.model.states import Reach
from fleetctl.store import Database
from fleetctl.store.rounds import save_reports
from fleetctl.store.samples import latest_samples, top_now
from fleetctl.store.series import read_fleet, read_metrics
from fleetctl.store.upkeep import upkeep_step

CARDS = 8
HOUR = 1_700_002_800
COLUMNS = (
    "util_pct", "mem_util_pct", "mem_used_bytes", "mem_total_bytes", "power_w", "power_cap_w", "temp_c", "mem_temp_c",
    "clock_mhz", "mem_clock_mhz", "ecc_corrected_total", "ecc_uncorrected_total", "pcie_gen", "pcie_width", "energy_j",
    "procs",
)  # fmt: skip
MIB = 1 << 20


class Fleet:
    """Believable values of H hosts, one round after another."""

    def __init__(self, hosts: int) -> None:
        luck = random.Random(1)
        self.devices = [
            tuple(Device("card", f"GPU-{h:05}-{i}", str(i), "nvidia", "H100") for i in range(CARDS))
            for h in range(hosts)
        ]
        self.names = [f"gpu{h:05}" for h in range(hosts)]
        n = hosts * CARDS
        self.temp = [luck.randrange(40, 80) for _ in range(n)]
        self.mem = [luck.randrange(0, 81559) for _ in range(n)]
        self.base = [luck.randrange(150, 650) for _ in range(n)]
        self.energy = [luck.randrange(10**9) for _ in range(n)]
        self.luck = luck

    def round(self, slot: int, step: int) -> list[HostReport]:
        bits = self.luck.getrandbits
        found = []
        for h, devices in enumerate(self.devices):
            rows = []
            for n in range(h * CARDS, (h + 1) * CARDS):
                r = bits(32)
                self.temp[n] = min(95, max(30, self.temp[n] + (0, 0, 1, -1)[r & 3]))
                if r & 0x1C == 0:
                    self.mem[n] = min(81559, max(0, self.mem[n] + (r >> 8 & 255) - 128))
                power = self.base[n] + (r >> 16 & 31) + (r >> 21 & 31)
                self.energy[n] += power * step
                rows.append(
                    (
                        100 - (r >> 5 & 7) - (r >> 26 & 3), 60 + (r >> 12 & 15), self.mem[n] * MIB, 81559 * MIB, power, 700,
                        self.temp[n], self.temp[n] + 5 + (r >> 28 & 1), 1980 - 15 * (r >> 29 & 3), 2619, 3, 0, 5, 16,
                        self.energy[n], 1,
                    )
                )  # fmt: skip
            block = Block("card", COLUMNS, devices, tuple(rows))
            found.append(HostReport(self.names[h], slot + 1.0, Reach.FRESH, blocks=(block,)))
        return found


def size_of(path: Path) -> int:
    return sum(p.stat().st_size for p in path.parent.glob(path.name + "*"))


def median_cpu_ms(function: Callable[[], object], times: int = 5) -> float:
    took = []
    for _ in range(times):
        start = time.process_time()
        function()
        took.append(time.process_time() - start)
    return statistics.median(took) * 1000


def plain_rows(conn: sqlite3.Connection, slot: int, reports: list[HostReport]) -> None:
    """The yardstick: one row per device and round, key (time, device), nothing else."""
    marks = ", ".join("?" * (len(COLUMNS) + 2))
    conn.execute("BEGIN IMMEDIATE")
    rows = ((slot, h * CARDS + i, *row) for h, r in enumerate(reports) for i, row in enumerate(r.blocks[0].rows))
    conn.executemany(f"INSERT INTO s VALUES ({marks})", rows)
    conn.execute("COMMIT")


def open_plain(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = NORMAL")
    conn.execute("PRAGMA wal_autocheckpoint = 4000")
    columns = ", ".join(COLUMNS)
    conn.execute(f"CREATE TABLE s (slot, device, {columns}, PRIMARY KEY (slot, device)) WITHOUT ROWID")
    return conn


def cpu_of(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def notes_beside(path: Path) -> Iterator[str]:
    """A second process leaves a note every 0.1 s and measures how long each takes."""
    script = (
        "import sys, time\n"
        "from fleetctl.store import Database\n"
        "from fleetctl.store.events import append_event\n"
        "took = []\n"
        "with Database.open(sys.argv[1], write=True) as db:\n"
        "    print('ready', flush=True)\n"
        "    import select\n"
        "    while not select.select([sys.stdin], [], [], 0.1)[0]:\n"
        "        t = time.perf_counter()\n"
        "        with db.write(durable=True) as conn:\n"
        "            append_event(conn, time.time(), 'operator', f'n{len(took)}', 'note')\n"
        "        took.append(time.perf_counter() - t)\n"
        "took.sort()\n"
        "print(f'{took[len(took) // 2] * 1000:.0f} {took[int(len(took) * .95)] * 1000:.0f} {len(took)}')\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    yield child.stdout.readline()
    out, _ = child.communicate("\n")
    yield out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, default=12_500)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--step", type=int, default=60, help="seconds per round")
    parser.add_argument("--peers-rounds", type=int, default=10)
    parser.add_argument("--dir", default=None)
    words = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=words.dir))
    samples = words.hosts * CARDS * len(COLUMNS)
    print(
        f"{words.hosts} hosts x {CARDS} cards x {len(COLUMNS)} metrics = {samples:,} samples a round, {words.rounds} rounds"
    )

    fleet = Fleet(words.hosts)
    plain = open_plain(folder / "plain.db")
    ours: list[float] = []
    theirs: list[float] = []
    keeping = 0.0
    policy = Policy(path="x", raw_hours=0.1)
    with Database.open(folder / "ours.db", write=True) as db:
        notes = notes_beside(db.path)
        for n in range(words.rounds):
            slot = HOUR + n * words.step
            reports = fleet.round(slot, words.step)
            ours.append(cpu_of(lambda s=slot, r=reports: save_reports(db, s, r)))  # type: ignore[misc]
            if n < words.peers_rounds:
                theirs.append(cpu_of(lambda s=slot, r=reports: plain_rows(plain, s, r)))  # type: ignore[misc]
            if n == 1:
                next(notes)
        rows_bytes = size_of(db.path)
        end = HOUR + words.rounds * words.step
        noted = next(notes)
        with db.read() as conn:
            top = median_cpu_ms(lambda: top_now(conn, "card", "temp_c", 20))
            latest = median_cpu_ms(lambda: latest_samples(conn, "card", ["temp_c", "power_w", "util_pct"]), 3)
        hour_end = end - end % 3600 + (3600 if end % 3600 else 0)

        def keep() -> None:
            while upkeep_step(db, policy, hour_end + 3700):
                pass

        keeping = cpu_of(keep)
        with db.read() as conn:
            sealed = conn.execute("SELECT sum(length(data)) FROM card_chunks").fetchone()[0] or 0
            rolled = conn.execute("SELECT sum(length(data)) FROM card_rollups").fetchone()[0] or 0
            device = conn.execute("SELECT id FROM devices WHERE kind = 'card' LIMIT 1 OFFSET 77").fetchone()[0]
            one_hour = median_cpu_ms(lambda: read_metrics(conn, device, COLUMNS, HOUR, end))
            mean = median_cpu_ms(lambda: read_fleet(conn, "card", "temp_c", HOUR, end))
    plain.close()

    utils_cpu = sqlite_utils_round(folder, fleet)
    total = samples * words.rounds
    write, peer, keep_round = statistics.median(ours[1:]), statistics.median(theirs[1:]), keeping / words.rounds
    print(f"{'':44}{'ours':>12}{'plain rows':>12}{'sqlite-utils':>14}")
    print(f"{'CPU s per round, written':44}{write:12.3f}{peer:12.3f}{utils_cpu:14.3f}")
    print(f"{'CPU s per round, sealed, rolled up, deleted':44}{keep_round:12.3f}{0:12.3f}{0:14.3f}")
    print(f"{'CPU s per round, all':44}{write + keep_round:12.3f}{peer:12.3f}{utils_cpu:14.3f}")
    print(f"{'ratio to plain rows':44}{(write + keep_round) / peer:12.2f}{1:12.2f}{utils_cpu / peer:14.2f}")
    plain_bytes = size_of(folder / "plain.db") / (samples * min(words.peers_rounds, words.rounds))
    print(f"{'bytes per sample, newest rows':44}{rows_bytes / total:12.2f}{plain_bytes:12.2f}")
    print(f"{'bytes per sample, sealed':44}{sealed / total:12.2f}")
    print(f"{'bytes per sample, rollups':44}{rolled / total:12.3f}")
    print(f"{'hottest 20 now, ms':44}{top:12.1f}")
    print(f"{'three metrics of all cards now, ms':44}{latest:12.1f}")
    print(f"{'one card, 16 metrics, this span, ms':44}{one_hour:12.1f}")
    print(f"{'fleet mean, this span, ms':44}{mean:12.2f}")
    middle, tail, count = (noted.split() or ["-", "-", "0"])[:3]
    print(f"{'note of a second process, p50 / p95 ms':44}{middle:>6} /{tail:>5}   ({count} notes)")
    for path in folder.iterdir():
        os.unlink(path)
    folder.rmdir()


def sqlite_utils_round(folder: Path, fleet: Fleet) -> float:
    """One round through sqlite-utils' insert_all, one row per device."""
    import sqlite_utils

    reports = fleet.round(HOUR, 60)
    db = sqlite_utils.Database(folder / "utils.db")
    rows = (
        {"slot": HOUR, "device": h * CARDS + i, **dict(zip(COLUMNS, row, strict=True))}
        for h, r in enumerate(reports)
        for i, row in enumerate(r.blocks[0].rows)
    )
    took = cpu_of(lambda: db.table("s").insert_all(rows, pk=("slot", "device")))
    db.close()
    return took


if __name__ == "__main__":
    main()
