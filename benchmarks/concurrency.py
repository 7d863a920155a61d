"""Random histories of two consoles, an engine and an outside scheduler on one database, with a crash at any statement.

    python benchmarks/concurrency.py [--histories 100000] [--jobs 2] [--seed 1] [--seconds 600]

Each history runs on a real SQLite database (in memory, copied from a template) through the product's own operations.
Wherever a transaction is about to begin, another actor may act first; wherever a statement runs, the process may die.
After every history the database is held against what must always be true; the counts of what happened are printed.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

sys.path[:0] = [str(Path(__file__).parent.parent)]  # run as a file, too

from benchmarks.promises import check_bookings, check_record
from fleetctl.config.schema import Config, Guards, Hooks, HostGroup, Pool, Scheduling, Site, Tenant
from fleetctl.errors import FleetctlError, UnreachableError
from fleetctl.inventory.inventory import Inventory, build_inventory
from fleetctl.model.admin import Actor, ActorKind, DrainMode
from fleetctl.model.lease import Shape
from fleetctl.model.plan import Plan
from fleetctl.model.probe import Output
from fleetctl.model.states import Admin
from fleetctl.operations import (
    allocate,
    apply,
    cancel,
    make_request,
    plan_cordon,
    plan_drain,
    plan_life,
    plan_maint,
    plan_quarantine,
    plan_resume,
    plan_undo,
    release,
    renew,
    reserve,
)
from fleetctl.scheduler.backend import BackendNode, BackendView, Capability, is_ours
from fleetctl.scheduler.hooks import finish_ending, open_hooks, run_hook
from fleetctl.scheduler.process_ends import YOUNGER_S, finish_pass, prepare_passes, send_pass
from fleetctl.scheduler.telling import look, tell
from fleetctl.scheduler.tick import tick
from fleetctl.store.audit import iter_audit, verify_entries
from fleetctl.store.database import Database
from fleetctl.store.leases import list_leases
from fleetctl.store.plans import list_actions

CONFIG = Config(
    sites=(Site("s1", max_drain_pct=75.0), Site("s2", max_drain_pct=100.0)),
    pools=(Pool("p", "n[1-4]", max_drain_pct=75.0),),
    hosts=(HostGroup("n[1-4]", "s1", chip="H100", cards=4), HostGroup("o[1-2]", "s2", chip="H100", cards=4)),
    guards=Guards(breaker_actions=3),
    hooks=Hooks(prolog="true", epilog="true", retries=2),
    tenants=(Tenant("a", max_cards=10), Tenant("b", max_cards=12, classes=("urgent", "normal", "spot"))),
    scheduling=Scheduling(preempt=True, default_duration_s=600, clock_jump_s=100_000),
)
NODES, OUTSIDE = [f"n{i}" for i in range(1, 5)], ["o1", "o2"]
PEOPLE = (Actor(ActorKind.PERSON, "alice"), Actor(ActorKind.PERSON, "bob"))
RULE = Actor(ActorKind.RULE, "lemon")


class Crash(BaseException):
    """The process dies here. No code of the product may catch it."""


class FragileConnection:
    """A connection that dies at the statement it was told to."""

    def __init__(self, conn: sqlite3.Connection, fuse: Callable[[], None]) -> None:
        self._conn, self._fuse = conn, fuse

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._fuse()
        return self._conn.execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._fuse()
        return self._conn.executemany(*arguments)


class MemoryStore:
    """The two doors of the store over one in-memory database. before_write: lets another actor act first."""

    def __init__(self, template: bytes) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None, cached_statements=1024)
        self.conn.deserialize(template)
        self.fuse: int | None = None
        self.before_write: Callable[[], None] = lambda: None
        self.depth = 0

    def _burn(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise Crash

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        self.depth += 1
        try:
            yield self.conn
        finally:
            self.depth -= 1

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Any]:
        if self.depth == 0:
            self.before_write()
        self._burn()
        self.depth += 1
        self.conn.execute("BEGIN IMMEDIATE")
        try:
            yield FragileConnection(self.conn, self._burn)
            self._burn()
            self.conn.execute("COMMIT")
        except BaseException:
            self.conn.execute("ROLLBACK")
            raise
        finally:
            self.depth -= 1
        self._burn()  # committed, but whoever asked never learns of it


@dataclass
class FakeSlurm:
    """An outside scheduler that counts what it was told, and sometimes does not answer."""

    random: random.Random
    state: dict[str, tuple[Admin, str, str]] = field(default_factory=dict)  # host -> state, reason, owner
    told: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    burn: Callable[[], None] = lambda: None
    name: str = "slurm"

    def _node(self, host: str) -> BackendNode:
        state, reason, owner = self.state.get(host, (Admin.IN_SERVICE, "", ""))
        return BackendNode(host, state, state.value, reason, owner, is_ours(reason), busy=False)

    def _answer(self) -> None:
        self.burn()
        if self.random.random() < 0.1:
            raise UnreachableError("slurmctld does not answer")

    async def capabilities(self) -> frozenset[Capability]:
        return frozenset(Capability)

    async def read(self) -> BackendView:
        self._answer()
        return BackendView(0.0, "22.05", {h: self._node(h) for h in OUTSIDE})

    async def read_node(self, host: str) -> BackendNode:
        self._answer()
        return self._node(host)

    async def drain(self, host: str, reason: str) -> None:
        self._answer()
        self.told[host, "drain", reason.split("]")[0]] += 1
        self.state[host] = (Admin.DRAINED, reason, "fleetctl")
        self.burn()

    async def resume(self, host: str) -> None:
        self._answer()
        assert is_ours(self.state.get(host, (Admin.IN_SERVICE, "[fleetctl x]", ""))[1]), "undid somebody else's drain"
        self.state.pop(host, None)
        self.burn()

    async def reserve(self, *arguments: Any, **options: Any) -> str:
        raise NotImplementedError

    async def unreserve(self, name: str) -> None:
        raise NotImplementedError

    async def submit(self, *arguments: Any, **options: Any) -> str:
        raise NotImplementedError

    async def cancel(self, job: str) -> None:
        raise NotImplementedError


@dataclass
class LiveProcess:
    """A process of a host. started: its uptime then; stubborn: TERM does not end it."""

    started: int
    on_card: bool
    stubborn: bool


@dataclass
class FakeHosts:
    """Runs hooks as the guard in the script does: a step whose result is there is not run again. Keeps processes, gives
    the numbers of dead ones to others, and signals as the script of a drain does: by boot, number and start."""

    random: random.Random
    live: dict[tuple[str, int], LiveProcess] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)  # what the script keeps on the host: name -> uptime of TERM
    sent: list[tuple[str, int, int, str, str]] = field(default_factory=list)  # host, number, start, plan, signal
    innocent: list[str] = field(default_factory=list)  # signalled although it never was on a card
    up: int = 10_000
    ran: Counter[tuple[str, str]] = field(default_factory=Counter)
    result: dict[tuple[str, str], int] = field(default_factory=dict)
    burn: Callable[[], None] = lambda: None

    async def run(self, host: str, script: str, *, timeout_s: float) -> Output:
        if self.random.random() < 0.1:
            raise UnreachableError(f"{host} does not answer")
        if ".fleetctl/ends" in script:
            return self._pass(host, script)
        step = next(line.split("s=")[1] for line in script.splitlines() if "; s=" in line)
        if (host, step) not in self.result:
            self.ran[host, step] += 1
            self.result[host, step] = 1 if self.random.random() < 0.1 else 0
        self.burn()
        return Output("", exit_status=self.result[host, step])

    def _pass(self, host: str, script: str) -> Output:
        lines = [f"boot\tb-{host}\t{self.up}\t1"]
        for call in script.splitlines():
            word, *rest = call.split(" ")
            if word == "look" and len(rest) == 1 and (one := self.live.get((host, int(rest[0])))):
                lines.append(f"seen\t{rest[0]}\t{one.started}\tuser\tname\tcommand")
            elif word == "end" and len(rest) == 4:
                lines.append(self._end(host, int(rest[0]), int(rest[1]), rest[3]))
        self.burn()
        return Output("\n".join(lines))

    def _end(self, host: str, pid: int, started: int, plan: str) -> str:
        one = self.live.get((host, pid))
        mark = f"{host}-{pid}-{started}-{plan}"
        if one is None or one.started != started:
            return f"gone\t{pid}\t{started}\t"
        if mark in self.marks and self.up - self.marks[mark] < CONFIG.scheduling.drain_grace_s:
            return f"waits\t{pid}\t{started}\t"
        signal = "KILL" if mark in self.marks else "TERM"
        self.marks.setdefault(mark, self.up)
        self.sent.append((host, pid, started, plan, signal))
        if not one.on_card:
            self.innocent.append(mark)
        if signal == "KILL" or not one.stubborn:
            del self.live[host, pid]
        return f"{signal}\t{pid}\t{started}\tS"


class History:
    """One random history. `run` plays it; `check` raises AssertionError when something that must hold does not."""

    def __init__(self, template: bytes, seed: int, inventory: Inventory) -> None:
        self.random = random.Random(seed)
        self.db = MemoryStore(template)
        self.db.before_write = self._interleave
        self.inventory, self.config = inventory, CONFIG
        self.now = 1000
        self.waiting: list[tuple[Plan, Actor]] = []  # planned, not yet confirmed: they grow stale
        self.slurm = FakeSlurm(self.random, burn=self.db._burn)
        self.hosts = FakeHosts(self.random, burn=self.db._burn)
        self.nested = False
        self.happened: Counter[str] = Counter()
        self.acknowledged: list[str] = []

    def run(self, steps: int) -> None:
        for host in self.random.sample(NODES + OUTSIDE, 4):
            self.hosts.live[host, 100] = LiveProcess(1, on_card=True, stubborn=self.random.random() < 0.5)
        self._see_processes()
        for _ in range(steps):
            step = self.random.choice((0, 1, 30, 60, 300, -120))
            self.now += step
            self.hosts.up += abs(step) + 1
            self._act(crash=self.random.random() < 0.3)

    def _interleave(self) -> None:
        if not self.nested and self.random.random() < 0.15:
            self.nested = True
            fuse, self.db.fuse = self.db.fuse, None
            try:
                self.happened["interleaved"] += 1
                self._act(crash=False)
            finally:
                self.nested, self.db.fuse = False, fuse

    def _act(self, *, crash: bool) -> None:
        action = self.random.choices(ACTIONS, WEIGHTS)[0]
        if crash:
            self.db.fuse = self.random.randrange(40)
        try:
            action(self)
            self.happened[action.__name__] += 1
        except Crash:
            self.happened["crashed"] += 1
        except FleetctlError:
            self.happened["refused"] += 1
        finally:
            if crash:
                self.db.fuse = None

    # -- what actors do ------------------------------------------------------------------------------------------------

    def _some(self, hosts: list[str]) -> list[str]:
        return self.random.sample(hosts, self.random.choice((1, 1, 2, min(4, len(hosts)))))[: len(hosts)]

    def plan(self) -> None:
        who = self.random.choice((*PEOPLE, RULE))
        hosts = self._some(self.random.choice((NODES, NODES, OUTSIDE)))
        same: dict[str, Any] = {"who": who, "now": self.now, "config": self.config}
        cards = ("1",) if self.random.random() < 0.15 and hosts[0] in NODES else ()
        verb = self.random.choice(("drain", "drain", "cordon", "resume", "resume", "maint", "quarantine", "life"))
        db, inventory, reason = self.db, self.inventory, "hw: random"
        if verb == "drain":
            mode = self.random.choice(list(DrainMode))
            deadline = self.now + 200 if mode is DrainMode.DEADLINE else None
            same |= {"cards": cards, "keep_processes": self.random.random() < 0.2}
            plan = plan_drain(db, inventory, hosts, reason, mode=mode, deadline_at=deadline, **same)
        elif verb == "cordon":
            plan = plan_cordon(db, inventory, hosts, reason, cards=cards, **same)
        elif verb == "resume":
            plan = plan_resume(db, inventory, hosts, cards=cards, **same)
        elif verb == "maint":
            start = self.random.choice((None, self.now + 100, self.now + 500))
            plan = plan_maint(db, inventory, hosts, reason, start_at=start, end_at=self.now + 900, **same)
        elif verb == "quarantine":
            plan = plan_quarantine(db, inventory, hosts, reason, **same)
        else:
            step = self.random.choice(("verify", "accept", "rma", "retire", "stage", "burn_in"))
            plan = plan_life(db, inventory, step, hosts, reason, **same)
        self.waiting.append((plan, who))
        if self.random.random() < 0.7:
            self.confirm()

    def confirm(self) -> None:
        if self.waiting:
            plan, who = self.random.choice(self.waiting)
            apply(self.db, plan, who, inventory=self.inventory, config=self.config, now=self.now)
            self.acknowledged.append(plan.id)

    def undo(self) -> None:
        with self.db.read() as conn:
            plans = list_actions(conn)
        if plans:
            which, who = self.random.choice(plans).plan, self.random.choice(PEOPLE)
            if self.random.random() < 0.3:
                cancel(self.db, which, who, now=self.now)
            else:
                plan = plan_undo(self.db, which, who=who, now=self.now, config=self.config)
                apply(self.db, plan, who, inventory=self.inventory, config=self.config, now=self.now)
                self.acknowledged.append(plan.id)

    def ask(self) -> None:
        shape = self.random.choice(
            (
                Shape(cards=1),
                Shape(cards=1, milli=300),
                Shape(cards=1, milli=700),
                Shape(cards=2),
                Shape(cards=4),
                Shape(cards=0),
                Shape(nodes=2, cards=2),
                Shape(nodes=3, cards=4, same="site"),
                Shape(cards=1, exclusive=True),
                Shape(cards=8),
            )
        )
        tenant = self.random.choice("aab")
        cls = self.random.choice(("normal", "spot", "urgent" if tenant == "b" else "normal"))
        duration = self.random.choice((30, 300, 600, None))
        who = self.random.choice(PEOPLE)
        request = make_request(self.config, tenant, shape, who=who, now=self.now, cls=cls, duration_s=duration)
        for _ in range(self.random.choice((1, 1, 2))):  # sent twice now and then
            allocate(self.db, self.inventory, request, who, now=self.now, config=self.config)

    def give_back(self) -> None:
        with self.db.read() as conn:
            leases = list_leases(conn)
        if leases:
            lease = self.random.choice(leases).id
            if self.random.random() < 0.3:
                renew(self.db, lease, PEOPLE[0], now=self.now, end_at=self.now + 400, config=self.config)
            else:
                release(self.db, lease, PEOPLE[0], now=self.now, config=self.config)

    def hold(self) -> None:
        start = self.now + self.random.choice((0, 200))
        node = self.random.choice(NODES)
        reserve(self.db, self.inventory, node, "a", who=PEOPLE[0], now=self.now, start_at=start, end_at=start + 300)

    def engine(self) -> None:
        tick(self.db, self.inventory, self.now, config=self.config)

    def hooks(self) -> None:
        for hook in open_hooks(self.db)[:4]:
            asyncio_run(run_hook(self.db, self.config, self.hosts, hook, self.now))
        finish_ending(self.db, self.now)

    def processes(self) -> None:
        """Work without a lease begins and ends by itself; a number may go to somebody who holds no card."""
        host, pid = self.random.choice(NODES + OUTSIDE), 100
        self.hosts.up += YOUNGER_S + 1  # a kernel goes through all other numbers first
        if self.random.random() < 0.7:
            self.hosts.live[host, pid] = LiveProcess(
                self.hosts.up, self.random.random() < 0.5, self.random.random() < 0.5
            )
        else:
            self.hosts.live.pop((host, pid), None)
        if self.random.random() < 0.3:
            self._see_processes()

    def _see_processes(self) -> None:
        """What a round of the collector stores; between two of them it is old."""
        conn = self.db.conn
        conn.execute("DELETE FROM processes")
        conn.executemany(
            "INSERT INTO processes (host, pid, device, at, up_s) SELECT id, ?, name || '-1', ?, ? FROM hosts WHERE name = ?",
            [(pid, self.now, self.hosts.up, host) for (host, pid), one in self.hosts.live.items() if one.on_card],
        )

    def ends(self) -> None:
        for _ in range(self.random.choice((1, 3))):  # passes come faster than rounds
            for prepared in prepare_passes(self.db, self.config, self.now):
                answer = asyncio_run(send_pass(self.hosts, prepared))
                finish_pass(self.db, self.config, prepared, answer, self.now)

    def outside(self) -> None:
        if self.random.random() < 0.2:
            self.slurm.state[self.random.choice(OUTSIDE)] = (Admin.DRAINED, "Kill task failed", "root")
        asyncio_run(look(self.db, self.slurm, self.now))
        asyncio_run(tell(self.db, self.slurm, self.now))

    def hardware(self) -> None:
        host, card = self.random.choice(NODES), self.random.randrange(4)
        gone = None if self.random.random() < 0.6 else self.now
        self.db.conn.execute("UPDATE devices SET gone_at = ? WHERE key = ?", (gone, f"{host}-{card}"))

    def quota(self) -> None:
        lower = self.random.choice((2.0, 6.0, 10.0, 12.0))
        tenants = tuple(replace(t, max_cards=lower) for t in CONFIG.tenants)
        self.config = replace(CONFIG, tenants=tenants)

    # -- what must hold ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let the engine run without crashes until it has nothing left to do."""
        self.db.before_write = lambda: None
        for number in range(12):
            before = self._mark()
            self.now += 400
            self.engine()
            self._all_hooks()
            if number >= 5 and self._mark() == before:
                break  # the last thing that time alone brings about lies within 2,000 s
        for _ in range(4):  # what the last tick ended
            self.now += 400
            self._all_hooks()
        for _ in range(12):  # processes that were to go have gone, those that nobody asked to go end by themselves
            self._pass_time()
            self.ends()
        self._see_processes()
        assert not prepare_passes(self.db, self.config, self.now), "a process outlived its deadline"
        self.hosts.live.clear()
        self._see_processes()
        self.now += 400
        self.engine()  # may grant what waited for a card on which something ran without a lease
        for _ in range(4):
            self._all_hooks()
            self.now += 400
        finish_ending(self.db, self.now)

    def _mark(self) -> Any:
        """Changes when anything was decided, begun or ended."""
        states = "SELECT state, COUNT(*) FROM {} GROUP BY 1"
        last = self.db.conn.execute("SELECT max(seq) FROM audit").fetchone()
        return last, *(
            self.db.conn.execute(states.format(t)).fetchall() for t in ("lease", "request", "hook_run", "plan_node")
        )

    def _pass_time(self) -> None:
        self.now += 400
        self.hosts.up += 400
        self._see_processes()

    def _all_hooks(self) -> None:
        for hook in open_hooks(self.db):
            asyncio_run(run_hook(self.db, self.config, self.hosts, hook, self.now))
        finish_ending(self.db, self.now)

    def check(self) -> None:
        conn = self.db.conn
        check_bookings(conn)
        self._check_record(conn)
        assert all(n == 1 for n in self.hosts.ran.values()), f"hook run twice: {self.hosts.ran}"
        assert all(n == 1 for n in self.slurm.told.values()), f"told twice: {self.slurm.told}"
        self._check_signals(conn)

    def _check_signals(self, conn: sqlite3.Connection) -> None:
        """Only processes that were on a card, named in the store before, each told once."""
        assert not self.hosts.innocent, f"signalled, never on a card: {self.hosts.innocent}"
        named = {tuple(r) for r in conn.execute("SELECT host, pid, started, plan FROM process_end")}
        stray = [s for s in self.hosts.sent if s[:4] not in named]
        assert not stray, f"signalled before it was named: {stray}"
        told = Counter(s[:4] for s in self.hosts.sent if s[4] == "TERM")
        assert all(n == 1 for n in told.values()), f"told twice: {told}"
        rude = [s for s in self.hosts.sent if s[4] == "KILL" and s[:4] not in told]
        assert not rude, f"killed without being told: {rude}"
        self.happened["terminated"], self.happened["killed"] = len(told), len(self.hosts.sent) - len(told)

    def _check_record(self, conn: sqlite3.Connection) -> None:
        """The decision record is whole, and replaying it gives exactly the wishes and leases that are stored."""
        entries = list(iter_audit(conn))
        assert verify_entries(entries).ok
        check_record(conn, entries)
        plans = {r[0] for r in conn.execute("SELECT id FROM plan")}
        lost = [p for p in self.acknowledged if p not in plans]
        assert not lost, f"acknowledged and lost: {lost}"

    def check_settled(self) -> None:
        """After the engine had its time: what was due has happened."""
        conn = self.db.conn
        late = conn.execute(
            "SELECT id FROM lease WHERE state = 'active' AND end_at <= ?", (self.now - 1600,)
        ).fetchall()
        assert not late, f"leases outlived their time: {late}"
        ending = conn.execute("SELECT id FROM lease WHERE state = 'ending'").fetchall()
        assert not ending, f"leases never freed: {ending}"
        running = conn.execute(
            "SELECT n.plan, n.host FROM plan_node n JOIN node_admin a ON a.host = n.host AND a.version = n.after_version"
            " WHERE n.state = 'waiting' AND n.card = '' AND a.mode <> 'wait'"
            " AND NOT EXISTS (SELECT 1 FROM backend_step b WHERE b.plan = n.plan AND b.host = n.host)"
        ).fetchall()
        assert not running, f"deadline passed, still waiting: {running}"


ACTIONS = (
    History.plan,
    History.confirm,
    History.undo,
    History.ask,
    History.give_back,
    History.hold,
    History.engine,
    History.hooks,
    History.outside,
    History.hardware,
    History.quota,
    History.processes,
    History.ends,
)
WEIGHTS = (6, 2, 2, 6, 3, 1, 6, 4, 2, 1, 1, 3, 6)


def asyncio_run(work: Any) -> Any:
    """Drive a coroutine that never really waits; a loop per call would be most of the time."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the coroutine waited")


def make_template(path: Path) -> tuple[bytes, Inventory]:
    """A database with every host seen, as bytes to start each history from."""
    inventory = build_inventory(CONFIG)
    with Database.open(path, write=True) as db, db.write() as conn:
        for number, host in enumerate(inventory.hosts, 1):
            conn.execute(
                "INSERT INTO hosts (id, name, reach, reach_since, report_at, answer_at, slot) VALUES (?,?,'fresh',0,0,0,0)",
                (number, host),
            )
            conn.executemany(
                "INSERT INTO devices (host, kind, key, number, chip, first_at) VALUES (?,'card',?,?,'H100',0)",
                [(number, f"{host}-{i}", str(i)) for i in range(4)],
            )
        conn.executemany(
            "INSERT INTO node_outside (host, backend, state) VALUES (?, 'slurm', 'in_service')", [(h,) for h in OUTSIDE]
        )
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.execute("PRAGMA journal_mode = DELETE")
    template = conn.serialize()
    conn.close()
    return template, inventory


def run_history(template: bytes, inventory: Inventory, seed: int, steps: int = 25) -> Counter[str]:
    """Play and check one history; what happened in it. Raises AssertionError naming the seed."""
    history = History(template, seed, inventory)
    try:
        with mock.patch.object(secrets, "choice", random.Random(seed).choice):  # ids too follow from the seed
            history.run(steps)
            history.check()
            history.settle()
            history.check()
            history.check_settled()
    except Exception as error:
        raise AssertionError(f"history {seed}: {type(error).__name__}: {error}") from error
    finally:
        history.db.conn.close()
    return history.happened


def play(template: bytes, inventory: Inventory, seeds: range, steps: int, deadline: float) -> Counter[str]:
    """Histories one after another until the deadline; what happened in them."""
    happened: Counter[str] = Counter()
    for seed in seeds:
        happened += run_history(template, inventory, seed, steps)
        happened["histories"] += 1
        if time.time() > deadline:
            break
    return happened


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first history; one more for each")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, with what was played")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    happened: Counter[str] = Counter()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        template, inventory = make_template(Path(folder) / "template.db")
    deadline = time.time() + options.seconds
    seeds = range(options.seed, options.seed + options.histories)
    shares = [seeds[job :: options.jobs] for job in range(options.jobs)]
    if options.jobs == 1:
        played = [play(template, inventory, shares[0], options.steps, deadline)]
    else:
        with ProcessPoolExecutor(options.jobs) as pool:
            waiting = [pool.submit(play, template, inventory, share, options.steps, deadline) for share in shares]
            played = [one.result() for one in waiting]
    for one in played:
        happened += one
    count = happened.pop("histories")
    cpu = sum(os.times()[:4])
    seconds = time.perf_counter() - began
    print(f"{count} histories of {options.steps} steps in {seconds:.0f} s ({cpu:.0f} s CPU), all held")
    print("no double booking, no lost wish, no repeated step, the record whole in each")
    for name, count in happened.most_common():
        print(f"  {name:12} {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
