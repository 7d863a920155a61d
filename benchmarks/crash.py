"""Kills a running engine at random moments and counts what was lost: committed readings, wishes, audit entries.

    python benchmarks/crash.py --kills 1000

A demo fleet behind real SSH servers is polled every second; before each SIGKILL a wish (cordon or resume) is saved. After
each, the store is opened as it lies: its integrity, the newest committed round, every wish and the audit chain are
compared with what was seen committed before the kill. Prints one table; exit 1 when anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fleetctl.store.audit import iter_audit, verify_entries
from fleetctl.store.database import Database
from fleetctl.store.hosts import list_host_states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--hosts", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, _servers(Path(folder), options.hosts) as servers:
        assert servers.stdin is not None
        assert servers.stdout is not None
        config = Path(servers.stdout.readline().removeprefix("ready ").strip())
        lost = run(config, options.kills, rng)
        servers.stdin.close()
    raise SystemExit(1 if lost else 0)


def _servers(folder: Path, hosts: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fleetctl_demo.serve", str(folder)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    child.stdin.write(json.dumps({"fleet": "city", "hosts": hosts, "seed": 1, "faults": [], "interval_s": 1.0}) + "\n")
    child.stdin.flush()
    return child


def run(config: Path, kills: int, rng: random.Random) -> int:
    """Kill so often; returns how many things were lost."""
    database = config.with_name("fleet.db")
    starts: list[float] = []
    lost = {"rounds": 0, "audit entries": 0, "broken files": 0, "broken chains": 0}
    wishes = 0
    for number in range(kills):
        began = time.monotonic()
        engine = _engine(config)
        assert engine.stderr is not None
        while "round" not in engine.stderr.readline():
            if engine.poll() is not None:
                raise SystemExit("the engine ended by itself")
        starts.append(time.monotonic() - began)
        if number % 5 == 0:
            verb = (
                ["cordon", "lg-h100-01", "--reason", "hw: crash test"] if number % 10 == 0 else ["resume", "lg-h100-01"]
            )
            done = subprocess.run(
                [*_fleetctl(config), *verb, "--yes", "--count", "1"], capture_output=True, check=False
            )
            wishes += done.returncode == 0
        seen_slot, seen_audit = _seen(database)
        time.sleep(rng.random() * 1.2)
        os.kill(engine.pid, signal.SIGKILL)
        engine.communicate()
        slot, audit = _seen(database)
        lost["rounds"] += slot < seen_slot
        lost["audit entries"] += max(0, seen_audit - audit)
        with Database.open(database, write=False) as db, db.read() as conn:
            lost["broken files"] += conn.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok"
            lost["broken chains"] += not verify_entries(iter_audit(conn)).ok
    print(f"kills {kills}, wishes saved between them {wishes}")
    print(f"first round after a start, s: median {statistics.median(starts):.2f}, most {max(starts):.2f}")
    for what, count in lost.items():
        print(f"lost or {what}: {count}")
    return sum(lost.values())


def _fleetctl(config: Path) -> list[str]:
    return [sys.executable, "-m", "fleetctl", "-C", str(config)]


def _engine(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*_fleetctl(config), "engine", "run"], stderr=subprocess.PIPE, text=True)


def _seen(database: Path) -> tuple[int, int]:
    """(newest committed round, audit entries)."""
    with Database.open(database, write=False) as db, db.read() as conn:
        slot = max((state.slot for state in list_host_states(conn)), default=0)
        return slot, sum(1 for _ in iter_audit(conn))


if __name__ == "__main__":
    main()
