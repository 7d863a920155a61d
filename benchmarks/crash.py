"""Kills a running engine, and consoles beside it, at random moments and looks for anything lost, repeated or half done.

    python benchmarks/crash.py --kills 1000 [--seconds 1800] [--hosts 4] [--seed 1]

A fleet of `crash_bed.py` behind real SSH servers is polled every second, its BMCs and building every two; real commands
drain, resume, allocate, release and switch BMCs meanwhile, a third of them killed, too. Every engine is a process of its
own and dies of SIGKILL at a random moment, a third of them right after a commit. After each kill the store is read as
it lies: rounds and values seen committed before, every acknowledged command, the chain of the record, bookings, what
hosts and BMCs were really made to do. Every twentieth engine is started as a user starts it, and timed until its first
reading is committed. Ends with an engine that may finish, and the whole record replayed. Exit 1 when anything was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent)]  # run as a file, too

from benchmarks.promises import check_bookings, check_record
from fleetctl.errors import FleetctlError
from fleetctl.store.audit import iter_audit, verify_entries
from fleetctl.store.database import Database

BED = Path(__file__).with_name("crash_bed.py")
LIFE_S = 2.5  # an engine is killed within it
FRESH_EVERY = 20
FULL_EVERY = 50  # kills between two looks at everything; in between at what is new
DOOMED = 0.33  # of the commands
SETTLE_S = 30.0
_ID = re.compile(r"\b[prlb]-[a-z0-9]{8}\b")


@dataclass
class Process:
    """One forked command. out: what it said, its last line `exit CODE` when it ended by itself."""

    pid: int
    out: Path
    killed: bool = False

    def __post_init__(self) -> None:
        self._fd = -1
        with contextlib.suppress(ProcessLookupError):
            self._fd = os.pidfd_open(self.pid)

    def wait(self, timeout_s: float) -> bool:
        """Whether it is gone."""
        if self._fd >= 0:
            if not select.select([self._fd], [], [], max(0.0, timeout_s))[0]:
                return False
            os.close(self._fd)
            self._fd = -1
        return True

    def kill(self) -> None:
        self.killed = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait(30)

    def said(self) -> tuple[int | None, str]:
        text = self.out.read_text(errors="replace") if self.out.exists() else ""
        found = re.search(r"^exit (\d+) ", text, re.MULTILINE)
        return (int(found[1]) if found else None), text


class Bed:
    """The servers and the process that forks."""

    def __init__(self, folder: Path, hosts: int) -> None:
        self.folder, self.hosts = folder, [f"n{i:02d}" for i in range(1, hosts + 1)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.servers = subprocess.Popen([sys.executable, str(BED), "serve", str(folder), str(hosts)], **pipes)
        self.forker = subprocess.Popen([sys.executable, str(BED), "fork"], **pipes)
        assert self.servers.stdout is not None
        self.config = Path(self.servers.stdout.readline().removeprefix("ready ").strip())
        self.database = self.config.with_name("fleet.db")
        self._number = 0

    def run(self, *words: str) -> Process:
        self._number += 1
        out = self.folder / f"out-{self._number}"
        task = {"argv": ["-C", str(self.config), *words], "out": str(out)}
        assert self.forker.stdin is not None
        assert self.forker.stdout is not None
        self.forker.stdin.write(json.dumps(task) + "\n")
        self.forker.stdin.flush()
        return Process(int(self.forker.stdout.readline()), out)

    def fresh(self) -> tuple[Process, subprocess.Popen[bytes]]:
        out = self.folder / "out-fresh"
        with out.open("wb") as file:
            command = [sys.executable, "-m", "fleetctl", "-C", str(self.config), "engine", "run"]
            child = subprocess.Popen(command, stderr=file, stdin=subprocess.DEVNULL)
        return Process(child.pid, out), child

    def close(self) -> None:
        for one in (self.forker, self.servers):
            one.communicate()


@dataclass
class Seen:
    """What was committed at one moment."""

    seq: int = 0
    head: str = ""
    slots: dict[str, int] = field(default_factory=dict)
    samples: dict[tuple[int, int], Any] = field(default_factory=dict)
    building: dict[tuple[int, str, int], float] = field(default_factory=dict)


class Trial:
    """The kills and what was found after them."""

    def __init__(self, bed: Bed, seed: int) -> None:
        self.bed, self.random = bed, random.Random(seed)
        self.happened: Counter[str] = Counter()
        self.faults: list[str] = []
        self.starts: list[tuple[float, float]] = []  # seconds, CPU seconds
        self.consoles: list[Process] = []
        self.acknowledged: set[str] = set()
        self.seen = Seen()

    # -- one life ------------------------------------------------------------------------------------------------------

    def life(self, number: int) -> None:
        child = None
        if number % FRESH_EVERY == 0:
            engine, child = self.bed.fresh()
            self._time_start(engine)
            span = 1.0
        else:
            engine, span = self.bed.run("engine", "run"), LIFE_S
        end = time.monotonic() + self.random.random() * span
        for at in sorted(self.random.random() * span for _ in range(self.random.choice((0, 1, 1, 2)))):
            if engine.wait(min(at, max(0.0, end - time.monotonic()))):
                break
            self._command()
        ended = engine.wait(end - time.monotonic())
        if not ended:
            self._await_commit(engine)
            self.seen = self._look(self.seen)
            ended = engine.wait(0)
        if ended:
            self.faults.append(f"engine {number} ended by itself: {engine.said()[1][-500:]}")
        engine.kill()
        if child is not None:
            child.wait()
        engine.out.unlink(missing_ok=True)
        self.happened["kills"] += 1
        self.check(full=number % FULL_EVERY == FULL_EVERY - 1)

    def _await_commit(self, engine: Process) -> None:
        """A third of the kills come right after somebody's commit."""
        if self.random.random() < 0.33 and self.bed.database.exists():
            with contextlib.suppress(Exception), Database.open(self.bed.database, write=False) as db:
                before, until = db.data_version(), time.monotonic() + 1.0
                while db.data_version() == before and time.monotonic() < until and not engine.wait(0.002):
                    pass
                self.happened["kills after a commit"] += 1

    def _time_start(self, engine: Process) -> None:
        before, began, now = max(self.seen.slots.values(), default=0), time.monotonic(), {}
        while not engine.wait(0.01):
            with contextlib.suppress(FleetctlError):  # the first one makes the file
                now = self._look(Seen()).slots
            if max(now.values(), default=0) > before:
                words = Path(f"/proc/{engine.pid}/stat").read_text().rpartition(")")[2].split()
                ticks = int(words[11]) + int(words[12])
                if before:
                    self.starts.append((time.monotonic() - began, ticks / os.sysconf("SC_CLK_TCK")))
                return

    # -- commands ------------------------------------------------------------------------------------------------------

    def _command(self) -> None:
        if not self.bed.database.exists():
            return
        one = self.bed.run(*self._words())
        self.happened["commands"] += 1
        if self.random.random() < DOOMED and not one.wait(self.random.random() * 0.5):
            one.kill()
            self.happened["commands killed"] += 1
        self.consoles.append(one)

    def _words(self) -> list[str]:
        host = self.random.choice(self.bed.hosts)
        sure = ["--yes", "--count", "1"]
        reason = ["--reason", "hw: crash test"]
        with Database.open(self.bed.database, write=False) as db, db.read() as conn:
            leases = [r[0] for r in conn.execute("SELECT id FROM lease WHERE state <> 'ended'")]
        match self.random.choice(
            ("drain", "resume", "resume", "resume", "cordon", "alloc", "alloc", "alloc", "alloc", "release", "bmc")
        ):
            case "drain":
                return ["drain", host, *self.random.choice((["--now"], ["--deadline", "2s"], [])), *reason, *sure]
            case "cordon":
                return ["cordon", host, *reason, *sure]
            case "alloc":
                return [
                    "alloc",
                    "-t",
                    self.random.choice("ab"),
                    *self._shape(),
                    "--for",
                    self.random.choice(("2s", "5s", "1h")),
                ]
            case "release" if leases:
                return ["release", self.random.choice(leases), "--yes"]
            case "bmc":
                return ["bmc", "identify", host, *sure]
        return ["resume", host, *sure]

    def _shape(self) -> list[str]:
        return self.random.choice((["-g", "1"], ["-g", "0.5"], ["-g", "4"], ["-g", "0"], ["-g", "8", "-N", "2"]))

    # -- what must hold ------------------------------------------------------------------------------------------------

    def _look(self, before: Seen) -> Seen:
        """What is committed now; the rounds that `before` saw closed are kept in it."""
        with Database.open(self.bed.database, write=False) as db, db.read() as conn:
            last = conn.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone() or (0, "")
            slots = dict(conn.execute("SELECT name, slot FROM hosts"))
            closed = max(slots.values(), default=0)
            try:
                rows = conn.execute("SELECT * FROM card_samples WHERE slot >= ? AND slot < ?", (closed - 5, closed))
                samples = {(row[0], row[1]): row for row in rows}
            except Exception:  # no card has been seen yet
                samples = {}
            rows = conn.execute("SELECT * FROM facility_history ORDER BY slot DESC LIMIT 40")
            building = {(row[0], row[1], row[2]): row[3] for row in rows}
        return Seen(*last, slots, samples, building)

    def check(self, *, full: bool) -> None:
        for one in [c for c in self.consoles if full or c.wait(0)]:
            if not one.wait(60):
                self.faults.append(f"a command hangs: {one.said()[1][-300:]}")
                one.kill()
            self._acknowledge(one)
            self.consoles.remove(one)
        try:
            self._check_store(full=full)
            self._check_outside()
        except AssertionError as error:
            self.faults.append(f"after kill {self.happened['kills']}: {error}")

    def _acknowledge(self, one: Process) -> None:
        code, text = one.said()
        if code == 0:
            self.happened["commands acknowledged"] += 1
            if "nothing to do" not in text:  # then its plan was only shown
                self.acknowledged.update(_ID.findall(text))
        elif code == 70 or "Traceback" in text:
            self.faults.append(text[-600:])
        one.out.unlink(missing_ok=True)

    def _check_store(self, *, full: bool) -> None:
        seen = self.seen
        with Database.open(self.bed.database, write=False) as db, db.read() as conn:
            check = "integrity_check" if full else "quick_check"
            assert conn.execute(f"PRAGMA {check}(1)").fetchone()[0] == "ok", "the file is broken"
            if seen.seq:
                row = conn.execute("SELECT hash FROM audit WHERE seq = ?", (seen.seq,)).fetchone()
                assert row == (seen.head,), f"audit entry {seen.seq} lost or changed"
            slots = dict(conn.execute("SELECT name, slot FROM hosts"))
            late = {h: s for h, s in seen.slots.items() if slots.get(h, 0) < s}
            assert not late, f"rounds lost: {late}"
            for key, row in seen.samples.items():
                kept = conn.execute("SELECT * FROM card_samples WHERE (slot, device) = (?, ?)", key).fetchone()
                assert kept == row, f"a committed value is gone or changed: {row} is {kept}"
            for (endpoint, series, slot), value in seen.building.items():
                kept = conn.execute(
                    "SELECT value FROM facility_history WHERE (endpoint, series, slot) = (?, ?, ?)",
                    (endpoint, series, slot),
                ).fetchone()
                assert kept is not None, f"a reading of the building is gone: {series} {value}"
            check_bookings(conn)
            if full:
                entries = list(iter_audit(conn))
                verdict = verify_entries(entries)
                assert verdict.ok, f"chain broken at {verdict.broken_at}: {verdict.why}"
                check_record(conn, entries)
                known = {e.subject for e in entries}
                known |= {r[0] for table in ("request", "plan") for r in conn.execute(f"SELECT id FROM {table}")}
                lost = self.acknowledged - known
                assert not lost, f"acknowledged and lost: {lost}"
                self.happened["readings"] = conn.execute("SELECT COUNT(*) FROM card_samples").fetchone()[0]
                self.happened["audit entries"] = len(entries)
                self.happened["leases"] = conn.execute("SELECT COUNT(*) FROM lease").fetchone()[0]

    def hooks_run(self) -> Counter[str]:
        ran: Counter[str] = Counter()
        for path in self.bed.folder.glob("homes/*/ran"):
            ran.update(f"{path.parent.name} {line}" for line in path.read_text().splitlines())
        return ran

    def _check_outside(self) -> None:
        """What hosts and BMCs were made to do: each hook once, no BMC asked that the record does not name before."""
        ran = self.hooks_run()
        twice = [step for step, count in ran.items() if count > 1]
        assert not twice, f"hooks run twice: {twice}"
        self.happened["hooks run on hosts"] = len(ran)
        log = self.bed.folder / "bmc.log"
        asked = Counter(int(line.split()[0]) for line in log.read_text().splitlines()) if log.exists() else Counter()
        self.happened["BMC actions"] = asked.total()
        with Database.open(self.bed.database, write=False) as db, db.read() as conn:
            named: Counter[int] = Counter()
            for (body,) in conn.execute("SELECT body FROM audit WHERE verb = 'bmc'"):
                named.update(int(host[1:]) for host in json.loads(body)["hosts"])
        more = {host: count for host, count in asked.items() if count > named[host]}
        assert not more, f"BMCs asked more often than the record says: {more} of {named}"

    def settle(self) -> None:
        """One engine may live until nothing is left to do; then every lease has run each of its hooks exactly once."""
        engine = self.bed.run("engine", "run")
        until = time.monotonic() + SETTLE_S
        left: list[Any] = [()]
        while left and time.monotonic() < until and not engine.wait(0.5):
            with Database.open(self.bed.database, write=False) as db, db.read() as conn:
                left = conn.execute(
                    "SELECT lease, host, kind, state FROM hook_run WHERE state IN ('pending', 'running')"
                ).fetchall()
        os.kill(engine.pid, signal.SIGTERM)
        if not engine.wait(20):
            self.faults.append("the engine does not stop")
            engine.kill()
        if left:
            self.faults.append(f"never finished: {left}")
        self.check(full=True)
        ran = self.hooks_run()
        with Database.open(self.bed.database, write=False) as db, db.read() as conn:
            done = {
                f"{r[1]} {r[2]} {r[0]}": r[3] for r in conn.execute("SELECT lease, host, kind, state FROM hook_run")
            }
        self.happened.update(f"hooks {state}" for state in done.values())
        never = [step for step, state in done.items() if state == "done" and not ran[step]]
        if never:
            self.faults.append(f"recorded as done, never run: {never}")


@contextlib.contextmanager
def bed(hosts: int) -> Iterator[Bed]:
    with tempfile.TemporaryDirectory() as folder:
        one = Bed(Path(folder), hosts)
        try:
            yield one
        finally:
            one.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, with what was done")
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # As installed: compiled once, not at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.monotonic()
    with bed(options.hosts) as one:
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(one.folder / "pycache"))
        trial = Trial(one, options.seed)
        for number in range(options.kills):
            trial.life(number)
            if trial.faults or time.monotonic() - began > options.seconds:
                break
            if number % 100 == 99:
                print(f"{number + 1} kills, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        trial.settle()
    cpu = sum(os.times()[:4])
    print(
        f"{trial.happened['kills']} kills in {time.monotonic() - began:.0f} s ({cpu:.0f} s CPU of ours and our children)"
    )
    for name, count in sorted(trial.happened.items()):
        print(f"  {name:24} {count}")
    if trial.starts:
        for what, values in zip(("s", "CPU s"), zip(*trial.starts, strict=True), strict=True):
            print(
                f"start to first committed reading, {what}: median {statistics.median(values):.2f}, most {max(values):.2f}"
            )
    for fault in trial.faults:
        print(f"FAULT {fault}")
    print("nothing lost, nothing repeated, the record whole" if not trial.faults else f"{len(trial.faults)} faults")
    raise SystemExit(1 if trial.faults else 0)


if __name__ == "__main__":
    main()
