"""A fleet with a real store: hosts and cards as the collector would have written them, without polling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleetctl.config.schema import Config, Guards, HostGroup, Pool, Rack, Site
from fleetctl.inventory.inventory import Inventory, build_inventory
from fleetctl.model.admin import Actor, ActorKind, OutsideState
from fleetctl.model.lease import Hold, Request, Shape
from fleetctl.model.plan import Action, Plan
from fleetctl.model.states import Admin
from fleetctl.operations import apply
from fleetctl.scheduler.drainer import Steps
from fleetctl.scheduler.leasing import grant
from fleetctl.scheduler.picture import load_picture
from fleetctl.scheduler.placement import Placement
from fleetctl.scheduler.tick import tick
from fleetctl.store.database import Database
from fleetctl.store.leases import get_lease
from fleetctl.store.nodes import get_admin, save_outside
from fleetctl.store.requests import insert_request

ALICE = Actor(ActorKind.PERSON, "alice")
BOB = Actor(ActorKind.PERSON, "bob")
RULE = Actor(ActorKind.RULE, "lemon")

CONFIG = Config(
    sites=(Site("s1", max_drain_pct=20.0), Site("s2", max_drain_pct=100.0)),
    racks=(Rack("r1", "s1", nodes="n[01-08]"), Rack("r2", "s1", nodes="n[09-16]"), Rack("r3", "s2", nodes="m[01-04]")),
    pools=(Pool("train", "n[01-16]", max_drain_pct=50.0),),
    hosts=(
        HostGroup("n[01-16]", "s1", chip="H100 SXM5 80GB", cards=8),
        HostGroup("m[01-04]", "s2", chip="Ascend 910B", cards=8),
    ),
    guards=Guards(breaker_actions=2, breaker_window_s=3600.0),
)


@dataclass
class SchedulerFleet:
    """`db` holds every host as answering with eight cards named HOST-INDEX."""

    db: Database
    config: Config = CONFIG
    inventory: Inventory = field(default_factory=lambda: build_inventory(CONFIG))
    count: int = 0

    @classmethod
    def make(cls, path: Path, config: Config = CONFIG) -> SchedulerFleet:
        fleet = cls(Database.open(path, write=True), config, build_inventory(config))
        fleet.see({name: host.cards or 0 for name, host in fleet.inventory.hosts.items()})
        return fleet

    def see(self, cards: Mapping[str, int], *, reach: str = "fresh", at: int = 900) -> None:
        """Write hosts with so many cards; cards above that are gone."""
        with self.db.write() as conn:
            for name, count in cards.items():
                conn.execute(
                    "INSERT INTO hosts (name, reach, reach_since, report_at, answer_at, slot) VALUES (?,?,?,?,?,?)"
                    " ON CONFLICT (name) DO UPDATE SET reach = excluded.reach",
                    (name, reach, at, at, at, at),
                )
                (host,) = conn.execute("SELECT id FROM hosts WHERE name = ?", (name,)).fetchone()
                chip = self.inventory.hosts[name].chip
                for index in range(count):
                    conn.execute(
                        "INSERT INTO devices (host, kind, key, number, chip, first_at) VALUES (?,'card',?,?,?,?)"
                        " ON CONFLICT DO UPDATE SET gone_at = NULL",
                        (host, f"{name}-{index}", str(index), chip, at),
                    )
                conn.execute(
                    "UPDATE devices SET gone_at = ? WHERE host = ? AND CAST(number AS INTEGER) >= ?", (at, host, count)
                )

    def apply(self, plan: Plan, who: Actor = ALICE) -> Action:
        return apply(self.db, plan, who, inventory=self.inventory, config=self.config, now=plan.created_at)

    def tick(self, now: int) -> Steps:
        return tick(self.db, self.inventory, now, config=self.config).drain

    def state(self, host: str) -> Admin:
        with self.db.read() as conn:
            return load_picture(conn, self.config, 0).state(host)

    def observed(self, host: str) -> Admin:
        with self.db.read() as conn:
            return get_admin(conn, host).observed

    def lease(self, host: str, *, cards: int, end_at: int | None, now: int = 1000, first: int = 0) -> str:
        """Book cards first.. of one host directly."""
        self.count += 1
        duration = None if end_at is None else end_at - now
        request = Request(f"r-{self.count:08}", "lab", Shape(cards=cards), now, "alice", duration_s=duration)
        holds = tuple(Hold(host, f"{host}-{i}", 1000, str(i)) for i in range(first, first + cards))
        with self.db.write() as conn:
            insert_request(conn, request)
            return grant(conn, self.config, request, Placement(holds), now, ALICE).id

    def lease_state(self, lease: str) -> str:
        with self.db.read() as conn:
            found = get_lease(conn, lease)
        assert found is not None
        return found.state.value

    def outside(self, host: str, state: Admin, *, owner: str = "", reason: str = "", busy: bool | None = False) -> None:
        with self.db.write() as conn:
            save_outside(
                conn, [OutsideState(host, "slurm", state, owner, reason, busy=busy, since_at=900, seen_at=900)]
            )

    def with_config(self, **changes: object) -> SchedulerFleet:
        """The same store under another configuration."""
        config = replace(self.config, **changes)  # type: ignore[arg-type]
        return SchedulerFleet(self.db, config, build_inventory(config), self.count)
