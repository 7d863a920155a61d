"""The Source the console runs on: one database, one inventory, the views and the operations.

What only one screen asks for is imported by the method that answers it: the first frame does not wait for all of it.
"""

from __future__ import annotations

import getpass
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from fleetctl.clock import Clock, SystemClock
from fleetctl.config.schema import Config
from fleetctl.errors import NotFoundError, UsageError
from fleetctl.i18n import _
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, ActorKind, DrainMode
from fleetctl.model.plan import Plan, PlanState
from fleetctl.scheduler.partitions import PartitionFollower
from fleetctl.store.card_places import CardPlace, devices_mark, list_card_places
from fleetctl.store.catalogue import sample_columns
from fleetctl.store.database import Database
from fleetctl.store.engine_row import engine_row
from fleetctl.store.findings import FindingState, acknowledge_finding, list_findings
from fleetctl.store.leases import list_holds
from fleetctl.store.samples import latest_samples, latest_slot
from fleetctl.store.temperature import sources
from fleetctl.tui.source import (
    CoolingView,
    FleetView,
    NodeView,
    Places,
    PlanPreview,
    PlansView,
    Pulse,
    QueueView,
)
from fleetctl.views import events, findings, leases, nodes
from fleetctl.views.column import Table
from fleetctl.views.nodes import NodeRow
from fleetctl.views.units import parse_duration, show_moment

if TYPE_CHECKING:
    from fleetctl.tui.widgets.heat_map import CardGrid
    from fleetctl.tui.widgets.plot import Series
    from fleetctl.views.node_history import Curve
    from fleetctl.views.power_places import PowerPlace, PowerView

OPEN_PLANS = frozenset({PlanState.RUNNING, PlanState.HELD, PlanState.SCHEDULED})
LEAST_SPAN_S = 600.0  # a plot shows at least so much time
PUE_DAYS = 14  # drawn for a site
EVENTS = 2000  # newest events kept on the screen
# What is drawn for each figure of the heat map: the metrics read, its unit.
_PICTURES: dict[str, tuple[tuple[str, ...], str]] = {
    "temp_c": (("temp_c",), "°C"),
    "util_pct": (("util_pct",), "%"),
    "mem_pct": (("mem_used_bytes", "mem_total_bytes"), "%"),
    "power_w": (("power_w",), "W"),
}
_SHARES = (10.0, 25.0, 40.0, 55.0, 70.0, 85.0, 95.0)
_WATTS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0)


class StoreSource:
    """See fleetctl.tui.source. The database is opened when it is first asked, read only; a change opens it for writing
    and closes it again, so that the engine never waits for a screen."""

    def __init__(self, config: Config, inventory: Inventory, *, clock: Clock | None = None) -> None:
        self.config, self.inventory = config, inventory
        self.fleet = config.name
        self.stale_s = config.poll.interval_s * config.poll.stale_after
        self.places = Places(
            hosts=sorted(inventory.hosts),
            racks={rack.name: rack.site for rack in inventory.racks.values()},
            pools=sorted(inventory.pools),
            sites=sorted(inventory.sites),
        )
        self._clock = clock or SystemClock()
        self._version: int | None = None
        self._partitions = PartitionFollower(config)
        self._lock = threading.Lock()
        self._db: Database | None = None
        self._places_mark: tuple[int, ...] = ()
        self._card_places: dict[str, list[CardPlace]] = {}

    def _database(self) -> Database:
        with self._lock:
            if self._db is None:
                self._db = Database.open(self.config.store.path, write=False)
            return self._db

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    # Questions

    def now(self) -> float:
        return self._clock.now()

    def version(self) -> int:
        version = self._database().data_version()
        if version != self._version:
            self._version = version
            with self._database().read() as conn:
                self.inventory = self._partitions.follow(conn, self.inventory)
        return version

    def pulse(self) -> Pulse:
        with self._database().read() as conn:
            engine = engine_row(conn)
            slot = max((s for kind in ("card", "host") if (s := latest_slot(conn, kind)) is not None), default=None)
        if engine is None:
            return Pulse(data_at=slot)
        return Pulse(slot, engine.beat_at, engine.stopped_at, engine.version)

    def nodes(self) -> Table[NodeRow]:
        with self._database().read() as conn:
            return nodes.table(nodes.load(conn, self.inventory, self.now(), config=self.config))

    def overview(self, *, figures: bool = True) -> FleetView:
        with self._database().read() as conn:
            rows = nodes.load(conn, self.inventory, self.now(), config=self.config, figures=figures)
            open_findings = findings.load(conn, self.inventory)
            waiting = leases.load_requests(conn, self.now())
            held = len({lease for _host, _card, lease, _milli, _whole in list_holds(conn)})
        return FleetView(nodes.table(rows), findings.table(open_findings), len(waiting), held)

    def node(self, name: str, hours: float) -> NodeView:
        from fleetctl.store.hosts import host_state
        from fleetctl.views import devices, facility, jobs, node_cards, node_history, probe_states

        host = self.inventory.hosts.get(name)
        if host is None:
            raise NotFoundError(_("no node named {name} in this fleet").format(name=name))
        now = self.now()
        with self._database().read() as conn:
            row = nodes.load(conn, self.inventory, now, config=self.config, host=name)[0]
            cards = devices.load(conn, {name: host.site}, node=name)
            held: dict[str, str] = {}
            for held_host, card, lease, _milli, _whole in list_holds(conn):
                if held_host == name:
                    held[card] = f"{held[card]},{lease}" if card in held else lease
            states = (FindingState.FIRING, FindingState.PENDING)
            found = findings.load(conn, self.inventory, node=name, states=states)
            happened = events.load(conn, node=name, limit=500)
            leased = leases.load_leases(conn, now, node=name)
            working = jobs.load(conn, self.inventory, now, node=name) if row.outside else []
            asked = probe_states.table(probe_states.load(conn, name))
            told = host_state(conn, name)
            wall = facility.wall_facts(conn, name, now)
            since = now - hours * 3600
            curves = node_history.load(conn, name, since, now, interval_s=self.config.poll.interval_s)
        facts = [(key, str(value)) for key, value in sorted(told.facts.items())] if told is not None else []
        declared = [
            (_("address"), host.address or host.name),
            (_("transport"), host.transport),
            (_("jump host"), host.jump or "-"),
        ]
        if told is not None:
            declared.append((_("state since"), show_moment(told.reach_since)))
            declared.append((_("last report"), show_moment(told.report_at)))
        return NodeView(
            row=row,
            cards=node_cards.table(
                cards, found, held, now=now, stale_after_s=self.stale_s, jobs=jobs.by_card(working, name)
            ),
            findings=findings.table(found),
            events=events.table(happened),
            leases=leases.lease_table(leased),
            probes=asked,
            jobs=[jobs.on_node(job, name) for job in working],
            facts=[*wall.items(), *facts, *declared],
            plots=_drawn(curves, since, now),
        )

    def cards(self, metric: str) -> CardGrid:
        from fleetctl.tui.widgets.heat_map import CardGrid

        metrics, unit = _PICTURES[metric]
        with self._database().read() as conn:
            mark = devices_mark(conn)
            if mark != self._places_mark:
                places: dict[str, list[CardPlace]] = defaultdict(list)
                for place in list_card_places(conn):
                    places[place.host].append(place)
                self._card_places, self._places_mark = dict(places), mark
            if len(metrics) == 1:  # a temperature may have a second source
                metrics = tuple(sources("card", metric, sample_columns(conn, "card"))) or metrics
            rows = latest_samples(conn, "card", metrics)
        known: dict[int, float | int | None]
        if metric == "mem_pct":
            known = {d: 100.0 * v[0] / v[1] for d, _slot, v in rows if v[0] is not None and v[1]}
        else:
            known = {d: next((one for one in v if one is not None), None) for d, _slot, v in rows}
        values: list[float | None] = []
        starts, hosts = [0], []
        for host in self.inventory.hosts.values():
            seen = self._card_places.get(host.name, ())
            values += [known.get(place.id) for place in seen]
            # Cards that should be there and are not stand as unknown: a hole in the picture would look cold.
            values += [None] * ((host.cards or 0) - len(seen))
            starts.append(len(values))
            hosts.append((host.name, host.rack or host.hall or host.site))
        newest = max((slot for _d, slot, _v in rows), default=None)
        return CardGrid(metric, unit, hosts, starts, values, self._bounds(metric), newest)

    def _bounds(self, metric: str) -> tuple[float, ...]:
        limits = self.config.thresholds
        if metric == "temp_c":
            return (40.0, 50.0, 58.0, 66.0, 74.0, limits.card_temp_warn_c, limits.card_temp_crit_c)
        return _WATTS if metric == "power_w" else _SHARES

    def queue(self) -> QueueView:
        from fleetctl.views.queue import load_line

        with self._database().read() as conn:
            now = self.now()
            requests = leases.request_table(load_line(conn, self.config, now))
            return QueueView(requests, leases.lease_table(leases.load_leases(conn, now)))

    def power(self, place: PowerPlace | None = None) -> PowerView:
        from fleetctl.views import facility, power_places

        with self._database().read() as conn:
            picture = facility.load_picture(conn, self.config, self.inventory, self.now())
            return power_places.load_view(conn, self.inventory, picture, place)

    def power_plots(self, kind: str, name: str, hours: float) -> Sequence[Series]:
        from fleetctl.reports.energy import pue_by_day
        from fleetctl.tui.widgets.plot import Series
        from fleetctl.views import facility_curves, node_history

        until = self.now()
        since = until - hours * 3600
        with self._database().read() as conn:
            if kind == "node":  # its BMC beside its cards
                every = node_history.load(conn, name, since, until, interval_s=self.config.poll.interval_s)
                curves = [curve for curve in every if curve.unit == "W"]
            else:
                curves = [facility_curves.power_curve(conn, self.config, self.inventory, kind, name, since, until)]
            metered = kind == "site" and any(m.site == name for m in self.config.facility.meters)
            days = pue_by_day(conn, self.config, name, until, PUE_DAYS) if metered else []
        out = _drawn(curves, since, until)
        if days:
            out.append(Series("PUE by day", "", days, days[0][0] - 86_400, days[-1][0], 1.0))
        return out

    def cooling_plots(self, kind: str, name: str, hours: float) -> Sequence[Series]:
        from fleetctl.views import facility_curves

        until = self.now()
        since = until - hours * 3600
        with self._database().read() as conn:
            if kind == "cooler":
                curves = facility_curves.cooler_curves(conn, self.config, name, since, until)
            else:
                curves = facility_curves.quantity_curves(conn, name, since, until)
        return _drawn(curves, since, until)

    def feed_fails(self, feed: str) -> Sequence[tuple[str, str]]:
        from fleetctl.facility.electrical import what_if_feed_fails
        from fleetctl.views import facility, power

        with self._database().read() as conn:
            picture = facility.load_picture(conn, self.config, self.inventory, self.now())
        return power.effect_lines(what_if_feed_fails(feed, picture.feeds, picture.racks.values()))

    def cooling(self) -> CoolingView:
        from fleetctl.views import cooling, facility

        with self._database().read() as conn:
            picture = facility.load_picture(conn, self.config, self.inventory, self.now())
            endpoints = facility.load(conn, self.config, self.inventory)
        endpoints.sort(key=lambda row: row.state == "ok")  # who is silent stands first
        return CoolingView(cooling.table(picture.zones.values()), facility.table(endpoints))

    def plans(self) -> PlansView:
        from fleetctl.views import plans

        with self._database().read() as conn:
            table = plans.load(conn)
        # Newest first, but what is under way before what is over: that is what one comes to this screen for.
        rows = sorted(table.rows, key=lambda a: a.state not in OPEN_PLANS)
        return PlansView(replace(table, rows=rows), self._steps)

    def _steps(self, plan: str) -> Table[Any]:
        from fleetctl.views import plans

        with self._database().read() as conn:
            return plans.load_nodes(conn, plan, self.config, self.now())

    def events(self) -> Table[Any]:
        with self._database().read() as conn:
            return events.table(events.load(conn, limit=EVENTS))

    def record(self, noun: str, key: str) -> Any:
        from fleetctl.views import facility, plans
        from fleetctl.views.power_places import PowerPlace

        if noun == "node":
            view = self.node(key, 1.0)
            tables = ("cards", "findings", "events", "leases", "probes")
            rows = {name: [_plain(r) for r in getattr(view, name).rows] for name in tables}
            return {"node": _plain(view.row), "facts": dict(view.facts), **rows}
        if noun == "plan":
            with self._database().read() as conn:
                plan = plans.load_plan(conn, key)
            return None if plan is None else plans.plan_record(plan)
        if noun in ("endpoint", "cooler"):
            with self._database().read() as conn:
                return facility.endpoint_record(conn, key)
        tables_of: dict[str, Callable[[], Table[Any]]] = {
            "event": self.events,
            "finding": lambda: self.overview().findings,
            "lease": lambda: self.queue().leases,
            "request": lambda: self.queue().requests,
            "site": lambda: self.power(PowerPlace("site")).places,
            "hall": lambda: self.power(PowerPlace("hall")).places,
            "rack": lambda: self.power(PowerPlace("rack")).places,
            "feed": lambda: self.power(PowerPlace("site")).feeds,
        }
        table = tables_of[noun]() if noun in tables_of else None
        row = next((r for r in table.rows if table.key(r) == key), None) if table is not None else None
        return _plain(row) if row is not None else {noun: key}

    def fold(self, names: Iterable[str]) -> str:
        return self.inventory.fold(names)

    def select(self, nodeset: str) -> list[str]:
        return [host.name for host in self.inventory.select(nodeset)]

    # Changes

    def _who(self) -> Actor:
        return Actor(ActorKind.PERSON, getpass.getuser())

    def plan(
        self,
        verb: str,
        nodes: Sequence[str],
        reason: str,
        how: str = "wait",
        undo: str = "",
        *,
        begin: str = "",
        until: str = "",
        cards: str = "",
    ) -> PlanPreview:
        from fleetctl.operations.planning import build_plan
        from fleetctl.scheduler.states import parse_reason
        from fleetctl.views.moments import moment

        if undo:
            return self._undo(undo)
        needs, parsed = "", None
        if reason or verb != "resume":
            try:
                parsed = parse_reason(reason)
            except UsageError as error:  # not typed to its end yet: the plan is shown all the same
                needs = f"{error}. {error.hint}" if reason.strip() else error.hint
        length = parse_duration(how)  # None for "wait" and "now"
        mode = DrainMode.DEADLINE if length is not None else DrainMode(how)
        now = self.now()
        start = moment(begin, now) if begin else None
        # A length counts from the beginning of the window, a time of day is the next one after it.
        end = moment(until, start or now) if until else None
        plan = build_plan(
            *(self._database(), self.inventory, verb, list(nodes)),
            who=self._who(),
            now=now,
            config=self.config,
            reason=parsed,
            mode=mode,
            start_at=start,
            end_at=end,
            deadline_at=None if length is None else (start or now) + length,
            cards=[card.strip() for card in cards.split(",") if card.strip()],
        )
        return self._preview(plan, needs)

    def _preview(self, plan: Plan, needs: str = "") -> PlanPreview:
        from fleetctl.views.plans import plan_lines

        refused = "\n".join(str(guard) for guard in plan.refusals)
        if not plan.nodes and not refused:
            refused = _("none of these nodes can change; see why below")
        return PlanPreview(
            verb=plan.verb,
            nodes=self.fold(plan.hosts),
            count=plan.confirm_count or len(plan.nodes),
            lines=[(line, _tone(line)) for line in plan_lines(plan)],
            must_type=plan.confirm_count is not None,
            refused=refused,
            needs=needs,
            token=plan,
        )

    def _undo(self, name: str) -> PlanPreview:
        """A plan that has not begun is cancelled; one that has is taken back node by node."""
        from fleetctl.operations.applying import plan_undo
        from fleetctl.store.plans import get_action

        with self._database().read() as conn:
            action = get_action(conn, name)
        if action is None or action.state not in (PlanState.SCHEDULED, PlanState.HELD):
            back = plan_undo(self._database(), name, who=self._who(), now=self.now(), config=self.config)
            return self._preview(back)
        line = _("{plan} has not begun: it is cancelled, nothing else happens").format(plan=name)
        return PlanPreview("undo", self.fold(action.hosts), len(action.hosts), [(line, "strong")], token=name)

    def apply(self, preview: PlanPreview) -> str:
        from fleetctl.operations.applying import apply, cancel

        with Database.open(self.config.store.path, write=True) as db:
            if isinstance(preview.token, str):
                return cancel(db, preview.token, self._who(), now=self.now()).plan
            action = apply(db, preview.token, self._who(), inventory=self.inventory, config=self.config, now=self.now())
        return action.plan

    def acknowledge(self, noun: str, keys: Sequence[str]) -> int:
        who, now = self._who().name, self.now()
        with self._database().read() as conn:
            if noun == "finding":
                numbers = [int(key) for key in keys]
            else:
                wanted = set(keys)
                numbers = [f.id for f in list_findings(conn) if f.host in wanted]
        if not numbers:
            return 0
        with Database.open(self.config.store.path, write=True) as db, db.write(durable=True) as conn:
            return sum(acknowledge_finding(conn, now, number, who) for number in numbers)


def _drawn(curves: Sequence[Curve], since: float, until: float) -> list[Series]:
    """Curves over one span of time: no longer than what there is, or the plot would be empty but for its last dots."""
    from fleetctl.tui.widgets.plot import Series

    first = min((points[0][0] for c in curves if (points := c.points or c.beside)), default=since)
    since = max(since, min(first, until - LEAST_SPAN_S))
    return [
        Series(c.title, c.unit, c.points, since, until, c.bottom, c.top, c.limit, c.beside, c.beside_title)
        for c in curves
    ]


def _tone(line: str) -> str:
    """How a line of a plan reads: what is refused or warned of stands out."""
    if line.lstrip().startswith("!"):
        return "warn"
    return "plain" if line.startswith("  ") else "strong"


def _plain(row: Any) -> Any:
    """A row as JSON takes it."""
    if is_dataclass(row) and not isinstance(row, type):
        return json.loads(json.dumps(asdict(row), default=str, ensure_ascii=False))
    return str(row)
