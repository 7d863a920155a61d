"""Power and cooling inside the engine: what the slow lane brings is saved, looked at, and turned into findings."""

from __future__ import annotations

from fleetctl.collector.traps import TrapEvent
from fleetctl.config.schema import Config
from fleetctl.facility.judge import judge
from fleetctl.facility.picture import build_picture
from fleetctl.inventory import Inventory
from fleetctl.model.facility import EndpointResult
from fleetctl.model.states import Health
from fleetctl.store.connections import Connections
from fleetctl.store.events import append_event
from fleetctl.store.facility import (
    list_endpoints,
    list_point_states,
    list_readings,
    save_endpoint_results,
    save_facility_conditions,
)
from fleetctl.store.facility_history import Seen, prune_facility, prune_minutes

JUDGE_EVERY_S = 15.0  # or every round, where rounds are shorter
PRUNE_EVERY_S = 3600.0
PRUNE_MINUTES_EVERY_S = 60.0


class FacilityKeeper:
    """Saves batches of results; judges the whole picture soon after each. Runs on the writer's thread."""

    def __init__(self, config: Config, inventory: Inventory) -> None:
        self._config = config
        self._inventory = inventory
        self._judge_every_s = min(JUDGE_EVERY_S, config.poll.interval_s)
        self._judged_at = 0.0
        self._seen: Seen = {}
        self._told = False  # something since the last look
        self._pruned_at = self._pruned_minutes_at = 0.0

    def save(self, db: Connections, results: list[EndpointResult], now: float) -> None:
        """Keep a batch, which may be empty, and bring the findings up to date."""
        facility = self._config.facility
        if results:
            self._told = True
            with db.write() as conn:
                save_endpoint_results(conn, results, minutes=facility.minute_hours > 0, seen=self._seen)
        # A leak does not wait for the next look.
        leak = any(s.bad for r in results if r.report for s in r.report.states if s.what == "leak")
        if leak or (self._told and now - self._judged_at >= self._judge_every_s):
            self._judged_at, self._told = now, False
            self._judge(db, now)
        if now - self._pruned_at >= PRUNE_EVERY_S:
            self._pruned_at = now
            with db.write() as conn:
                prune_facility(conn, now, facility.keep_days)
        if now - self._pruned_minutes_at >= PRUNE_MINUTES_EVERY_S:
            self._pruned_minutes_at = now
            with db.write() as conn:
                prune_minutes(conn, now, facility.minute_hours)

    def note(self, db: Connections, events: list[TrapEvent]) -> None:
        """What devices told by themselves, as events."""
        with db.write() as conn:
            for e in events:
                append_event(
                    conn, e.at, "facility", e.name, e.text, host=e.host, severity=Health(e.severity), count=e.count
                )

    def _judge(self, db: Connections, now: float) -> None:
        zoned = {d for z in self._config.facility.zones for d in z.devices}
        metered = {m.device for m in self._config.facility.meters if m.point}
        with db.read() as conn:
            states = list_endpoints(conn)
            leaks = list_point_states(conn, "leak")
            wanted = [s.id for s in states if s.name in zoned or s.name in metered]
            loaded = {number: list_readings(conn, number).get(number, []) for number in wanted}
        picture = build_picture(self._config, self._inventory, states, loaded, leaks, now)
        conditions, spoke = judge(picture, states, leaks, now)
        with db.write() as conn:
            save_facility_conditions(conn, now, conditions, spoke)
