"""Real processes on one database file: racing for the last card, and killed in the middle of what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from fleetctl.model.admin import Actor, ActorKind
from fleetctl.store.audit import append_audit, iter_audit, verify_entries, wishes_mark
from fleetctl.store.database import Database
from fleetctl.store.leases import list_leases
from tests.fakes.fleet import SchedulerFleet

ROOT = Path(__file__).parents[2]

RACE = """
import sys
from pathlib import Path
from fleetctl.errors import ConflictError
from fleetctl.model.lease import Shape
from fleetctl.operations import allocate, make_request
from fleetctl.store.database import Database
from tests.fakes.fleet import ALICE, CONFIG, SchedulerFleet

fleet = SchedulerFleet(Database.open(Path(sys.argv[1]), write=True))
print("ready", flush=True)
sys.stdin.readline()
won = 0
for _ in range(3):
    request = make_request(CONFIG, "lab", Shape(cards=1, hosts=("n01",)), who=ALICE, now=1000)
    try:
        allocate(fleet.db, fleet.inventory, request, ALICE, now=1000, config=CONFIG, wait=False)
        won += 1
    except ConflictError:
        pass
print(won, flush=True)
"""

WORK = """
import sys
from pathlib import Path
from fleetctl.errors import FleetctlError
from fleetctl.model.lease import Shape
from fleetctl.operations import allocate, apply, make_request, plan_drain, plan_resume
from fleetctl.scheduler.tick import tick
from fleetctl.store.database import Database
from tests.fakes.fleet import ALICE, CONFIG, SchedulerFleet

fleet = SchedulerFleet(Database.open(Path(sys.argv[1]), write=True))
print("ready", flush=True)
now = 1000
while True:
    now += 10
    for plan in (plan_drain, plan_resume):
        try:
            made = plan(fleet.db, fleet.inventory, "n[01-03]", "hw: fan", who=ALICE, now=now, config=CONFIG)
            apply(fleet.db, made, ALICE, inventory=fleet.inventory, config=CONFIG, now=now)
            print(made.id, flush=True)  # acknowledged: must be there for ever
        except FleetctlError:
            pass
    request = make_request(CONFIG, "lab", Shape(cards=3), who=ALICE, now=now, duration_s=25)
    allocate(fleet.db, fleet.inventory, request, ALICE, now=now, config=CONFIG)
    tick(fleet.db, fleet.inventory, now, config=CONFIG)
"""


def _start(code: str, path: Path) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    )


def test_processes_race_for_the_last_card(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    fleet = SchedulerFleet.make(path)
    with fleet.db:
        fleet.lease("n01", cards=7, end_at=None)
    racers = [_start(RACE, path) for _ in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [int(racer.communicate(timeout=600)[0]) for racer in racers]
    assert sum(won) == 1
    with Database.open(path, write=False) as db, db.read() as conn:
        assert len([x for x in list_leases(conn) if x.hosts == ("n01",)]) == 2
        assert verify_entries(iter_audit(conn)).ok


def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    SchedulerFleet.make(path).db.close()
    acknowledged: list[str] = []
    for round_ in range(4):
        worker = _start(WORK, path)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        for _ in range(2 + 3 * round_):
            acknowledged.append(worker.stdout.readline().strip())
        os.kill(worker.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in worker.stdout if line.endswith("\n")]
        worker.wait()
        assert worker.stdin is not None
        worker.stdin.close()
        worker.stdout.close()
    with Database.open(path, write=True) as db, db.read() as conn:
        plans = {r[0] for r in conn.execute("SELECT id FROM plan")}
        assert set(acknowledged) <= plans
        assert verify_entries(iter_audit(conn)).ok
        over = conn.execute("SELECT 1 FROM hold GROUP BY host, card HAVING SUM(milli) > 1000").fetchall()
        assert over == []
        loose = conn.execute(
            "SELECT 1 FROM hold h LEFT JOIN lease l ON l.id = h.lease WHERE l.state IS NULL OR l.state = 'ended'"
        ).fetchall()
        assert loose == []
    fleet = SchedulerFleet(Database.open(path, write=True))
    with fleet.db:
        fleet.tick(100_000)  # the next start goes on
        fleet.tick(200_001)
        fleet.tick(200_002)
        with fleet.db.read() as conn:
            assert [x for x in list_leases(conn) if x.end_at is not None and x.end_at < 100_000] == []


def test_a_wish_changes_the_mark_and_a_reading_does_not(tmp_path: Path) -> None:
    with Database.open(tmp_path / "fleet.db", write=True) as db:
        with db.read() as conn:
            before = wishes_mark(conn)
        with db.write() as conn:
            conn.execute("UPDATE engine SET beat_at = 1")
        with db.read() as conn:
            assert wishes_mark(conn) == before
        with db.write() as conn:
            append_audit(conn, 1, Actor(ActorKind.PERSON, "lin"), "cordon", "gpu001", {})
        with db.read() as conn:
            assert wishes_mark(conn) != before
