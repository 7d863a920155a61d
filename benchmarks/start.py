"""What a command costs before and while it answers: `--help` against importing Typer, `status` and `nodes` at fleet size,
and how soon the console has painted.

    python benchmarks/start.py [--hosts 12500] [--runs 7]

Makes a fleet of its own in a temporary directory: hosts x 8 cards x 16 metrics, four rounds. Whole processes, CPU and
wall seconds; the minimum of the runs, because other work on the machine only ever adds. The peer for `nodes` reads the
same cards with plain sqlite3 into a list, in the same interpreter, and draws nothing; that for the console imports
Textual and draws nothing. The console runs on a pseudo-terminal of 200x50, on a fleet file that also declares a rack
for every eight hosts, beside an engine that holds the lock and does nothing. frame: title and keys are there; fleet: so
are the states of all nodes, from the database; left: from `q` pressed at the frame, while the fleet is read, to the end.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import random
import resource
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

CARD = (
    "util_pct", "mem_util_pct", "mem_used_bytes", "mem_total_bytes", "power_w", "power_cap_w", "temp_c", "mem_temp_c",
    "clock_mhz", "clock_max_mhz", "ecc_corrected_total", "ecc_uncorrected_total", "pcie_gen", "pcie_width", "procs",
    "throttled",
)  # fmt: skip
HOST = ("load1", "cpu_pct", "cores", "mem_used_bytes", "mem_total_bytes", "disk_used_pct", "uptime_s", "procs_d")
PEER = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
slot = c.execute("SELECT max(slot) FROM card_samples").fetchone()[0]
rows = c.execute("SELECT h.name, d.number, s.* FROM card_samples s JOIN devices d ON d.id = s.device"
                 " JOIN hosts h ON h.id = d.host WHERE s.slot = ?", (slot,)).fetchall()
print(len(rows))
"""


def make_fleet(folder: Path, hosts: int, rounds: int = 4) -> Path:
    """A fleet file and a database with the newest round a few seconds old."""
    from fleetctl.model.reading import Device
    from fleetctl.model.report import Block, ErrorKind, HostReport
    from fleetctl.model.states import Reach
    from fleetctl.store.database import Database
    from fleetctl.store.rounds import save_reports

    config = folder / "fleet.toml"
    config.write_text(
        f'name = "bench"\n[[sites]]\nname = "a"\n[[sites]]\nname = "b"\n'
        f'[[hosts]]\nnodes = "gpu[00001-{hosts * 3 // 5:05}]"\nsite = "a"\ncards = 8\n'
        f'[[hosts]]\nnodes = "gpu[{hosts * 3 // 5 + 1:05}-{hosts:05}]"\nsite = "b"\ncards = 8\n'
        '[store]\npath = "fleet.db"\n'
    )
    made = [
        (
            f"gpu{n:05}",
            tuple(Device("card", f"GPU-{n:05}-{i}", str(i), "nvidia", "H100", "H100 SXM5 80GB") for i in range(8)),
            (Device("host", f"gpu{n:05}"),),
        )
        for n in range(1, hosts + 1)
    ]
    random.seed(1)
    now = time.time()
    with Database.open(folder / "fleet.db", write=True) as db:
        for ago in range(rounds - 1, -1, -1):
            at = now - 60 * ago
            reports = []
            for n, (name, cards, itself) in enumerate(made):
                if n % 500 == 0:
                    reports.append(HostReport(name, at, Reach.UNREACHABLE, ErrorKind.TIMED_OUT, "no answer in 15 s"))
                    continue
                heat = random.randint(30, 85)
                rows = tuple(
                    (n % 100, 40, i << 33, 80 << 30, 300 + i, 700, heat + i % 3, heat, 1980, 1980, 0, 0, 5, 16, 1, 0)
                    for i in range(8)
                )
                values = ((1.5, n % 100, 128, 100 << 30, 2000 << 30, 40, 99999, 0),)
                blocks = (Block("card", CARD, cards, rows), Block("host", HOST, itself, values))
                reports.append(HostReport(name, at, Reach.FRESH, blocks=blocks))
            save_reports(db, int(at) - int(at) % 60, reports)
    return config


def add_racks(config: Path, hosts: int) -> Path:
    """The same fleet with a rack for every eight hosts, in a file of its own beside it."""
    racks = [
        f'[[racks]]\nname = "r{n // 8:04}"\nsite = "{"a" if n <= hosts * 3 // 5 else "b"}"\n'
        f'nodes = "gpu[{n:05}-{min(n + 7, hosts):05}]"\npower_budget_w = 60000.0\n'
        for n in range(1, hosts + 1, 8)
    ]
    beside = config.with_name("racks.toml")
    beside.write_text(config.read_text() + "".join(racks))
    return beside


def paint(config: Path, hosts: int, leave: bool) -> dict[str, tuple[float, float]]:
    """(CPU, wall) seconds until the frame and until the fleet stands on the screen; with leave until `q` ended it."""
    began = time.perf_counter()
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
        os.execv(sys.executable, [sys.executable, "-m", "fleetctl", "-C", str(config)])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    found, screen, wanted = {}, b"", {"frame": b"Overview", "fleet": f"{hosts:,}".encode()}
    with contextlib.suppress(OSError):  # a pseudo-terminal whose child has gone
        while wanted or leave:
            if select.select([fd], [], [], 60.0)[0]:
                screen += os.read(fd, 1 << 16)
            spent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
            now = sum(map(int, spent)) / os.sysconf("SC_CLK_TCK"), time.perf_counter() - began
            for name in [name for name, word in wanted.items() if word in screen]:
                found[name] = now
                del wanted[name]
                if leave and name == "frame":
                    os.write(fd, b"q")
    if leave:
        found["left"] = 0.0, time.perf_counter() - began - found["frame"][1]
    else:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(fd)
    return found


def measure_console(config: Path, hosts: int, runs: int, environ: dict[str, str]) -> None:
    from fleetctl.engine.lock import EngineLock

    textual = [measure([sys.executable, "-c", "import textual.app"], environ) for _run in range(runs)]
    print(f"{'import textual.app':36} {min(c for c, _w in textual):8.3f} {min(w for _c, w in textual):9.3f}")
    with EngineLock(config.with_name("fleet.db")):
        painted = [paint(config, hosts, leave=False) for _run in range(runs)]
        left = [paint(config, hosts, leave=True)["left"][1] for _run in range(runs)]
    for name in ("frame", "fleet"):
        cpu, wall = (min(run[name][place] for run in painted) for place in (0, 1))
        print(f"{'console: ' + name:36} {cpu:8.3f} {wall:9.3f} {statistics.median(r[name][1] for r in painted):12.3f}")
    print(f"{'console: left':36} {'':8} {min(left):9.3f} {statistics.median(left):12.3f}")


def measure(command: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of one run."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environ, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=12_500)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = make_fleet(Path(folder), options.hosts)
        environ = {**os.environ, "FLEETCTL_CONFIG": str(config), "LC_ALL": "C.UTF-8"}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation is compiled; here the first run does it
        fleetctl = [sys.executable, "-m", "fleetctl"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import typer": [sys.executable, "-c", "import typer"],
            "fleetctl --help": [*fleetctl, "--help"],
            "fleetctl status": [*fleetctl, "status"],
            "fleetctl why NODE": [*fleetctl, "why", "gpu00002"],
            "fleetctl nodes": [*fleetctl, "nodes"],
            "fleetctl nodes -o json": [*fleetctl, "nodes", "-o", "json"],
            "peer: read the cards, draw nothing": [sys.executable, "-c", PEER, str(Path(folder) / "fleet.db")],
        }
        print(f"{options.hosts} hosts x 8 cards, {options.runs} runs each, seconds")
        print(f"{'':36} {'cpu min':>8} {'wall min':>9} {'wall median':>12}")
        best = {}
        for name, command in commands.items():
            runs = [measure(command, environ) for _run in range(options.runs)]
            best[name] = min(cpu for cpu, _wall in runs)
            walls = [wall for _cpu, wall in runs]
            print(f"{name:36} {best[name]:8.3f} {min(walls):9.3f} {statistics.median(walls):12.3f}")
        racks = add_racks(config, options.hosts)
        runs = [measure([*fleetctl, "-C", str(racks), "status"], environ) for _run in range(options.runs)]
        print(f"{'fleetctl status, with racks':36} {min(c for c, _w in runs):8.3f} {min(w for _c, w in runs):9.3f}")
        measure_console(racks, options.hosts, options.runs, environ)
        print(f"--help / import typer, CPU: {best['fleetctl --help'] / best['import typer']:.2f}")


if __name__ == "__main__":
    main()
