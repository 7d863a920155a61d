"""A Source over a made-up fleet, the same for the same seed: sizes, states, plots and plans without a store."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fleetctl.config.schema import Config, HostGroup, Site
from fleetctl.errors import NotFoundError
from fleetctl.facility.cooling import Loop
from fleetctl.facility.electrical import FeedLoad, NodeLoad, RackLoad, Watts
from fleetctl.facility.picture import Picture, ZoneState
from fleetctl.inventory import build_inventory
from fleetctl.inventory.nodesets import expand, fold
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.facility import PointState
from fleetctl.model.plan import Action, PlanState
from fleetctl.model.states import Admin, Health, Load, Reach
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
from fleetctl.tui.widgets.heat_map import CardGrid
from fleetctl.tui.widgets.plot import Series
from fleetctl.views import events, findings, nodes, plans
from fleetctl.views.column import Column, Table
from fleetctl.views.cooling import table as cooling_table
from fleetctl.views.events import EventRow
from fleetctl.views.facility import EndpointRow
from fleetctl.views.facility import table as endpoint_table
from fleetctl.views.findings import FindingRow
from fleetctl.views.nodes import NodeRow
from fleetctl.views.power_places import PowerPlace, PowerView, load_view, node_table
from fleetctl.views.units import show_pct, show_temp, show_watts

NOW = 1_790_000_000.0
CHIPS = ("H100 SXM5 80GB", "Ascend 910B", "MLU590", "MI300X", "C500", "A800 SXM4 80GB")
SITES = ("lingang", "qingpu", "jiading", "songjiang", "baoshan")


@dataclass(frozen=True, slots=True)
class Card:
    index: str
    chip: str
    vendor: str
    util_pct: float | None
    temp_c: float | None
    power_w: float | None
    mem_pct: float | None
    health: str
    lease: str | None


CARD_COLUMNS: tuple[Column[Card], ...] = (
    Column("index", "card", lambda c: c.index, width=4),
    Column("vendor", "vendor", lambda c: c.vendor, width=8),
    Column("chip", "chip", lambda c: c.chip, width=14),
    Column("health", "health", lambda c: c.health, width=8, role="state"),
    Column("util_pct", "util", lambda c: c.util_pct, show_pct, 4, right=True),
    Column("mem_pct", "mem", lambda c: c.mem_pct, show_pct, 4, right=True),
    Column("temp_c", "temp", lambda c: c.temp_c, show_temp, 4, right=True),
    Column("power_w", "power", lambda c: c.power_w, show_watts, 6, right=True),
    Column("lease", "lease", lambda c: c.lease, width=10),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of findings, events, leases, probes or plans: enough columns for each of them."""

    key: str
    at: float | None
    state: str
    host: str | None
    text: str
    count: int = 1


LINE_COLUMNS: tuple[Column[Line], ...] = (
    Column("at", "age", lambda r: r.at, width=5, right=True, role="age"),
    Column("state", "state", lambda r: r.state, width=11, role="state"),
    Column("host", "host", lambda r: r.host, width=10),
    Column("text", "what", lambda r: r.text, width=30),
)


def lines(noun: str, *rows: Line) -> Table[Line]:
    return Table(noun, LINE_COLUMNS, list(rows), lambda r: r.key)


def make_node(number: int, seed: int, now: float, hosts: int) -> NodeRow:
    """One node; about one in forty has something wrong."""
    r = random.Random(f"{seed}/{number}")
    site = SITES[number * len(SITES) // max(1, hosts)]
    rack = f"{site[:2]}-r{number // 8 + 1:03d}"
    fate = r.random()
    row = NodeRow(
        name=f"gpu{number + 1:0{max(3, len(str(hosts)))}d}",
        site=site,
        hall=f"{site[:2]}-{'ab'[number // 64 % 2]}",
        row=str(number // 32 % 4 + 1),
        rack=rack,
        pools=("train",) if number % 5 else ("infer",),
        model="R5500 G6",
        chip=CHIPS[number // 40 % len(CHIPS)],
        cards=8,
        cards_found=8,
        reach=Reach.FRESH,
        health=Health.OK,
        admin=Admin.IN_SERVICE,
        load=r.choice((Load.ALLOCATED, Load.ALLOCATED, Load.MIXED, Load.IDLE)),
        util_pct=round(r.uniform(20, 99)),
        temp_c=round(r.uniform(48, 78)),
        power_w=round(r.uniform(3200, 9400)),
        mem_pct=round(r.uniform(10, 95)),
        cpu_pct=round(r.uniform(3, 60)),
        load1=round(r.uniform(1, 90), 2),
        leases=(f"L{number % 97:04d}",),
        age_at=now - r.randint(1, 55),
    )
    if fate > 0.995:
        return replace(
            row, reach=Reach.UNREACHABLE, health=Health.UNKNOWN, util_pct=None, temp_c=None, power_w=None,
            mem_pct=None, cpu_pct=None, load1=None, cards_found=None, error="no route to host", age_at=now - 5400,
        )  # fmt: skip
    if fate > 0.990:
        return replace(
            row, health=Health.CRIT, findings="Xid 79: card 3 has fallen off the bus", findings_open=2, cards_found=7
        )
    if fate > 0.984:
        return replace(row, health=Health.WARN, findings="card 5 at 88C for 12 rounds", findings_open=1, temp_c=88.0)
    if fate > 0.980:
        return replace(row, reach=Reach.HUNG, health=Health.WARN, findings="nvidia-smi does not end", findings_open=1)
    if fate > 0.974:
        return replace(
            row, admin=Admin.DRAINING, reason="hw: ECC errors on card 1", owner="person:chen", health=Health.WARN,
            findings="12 uncorrected memory errors on card 1", findings_open=1,
        )  # fmt: skip
    return row


@dataclass
class FleetSource:
    """See the module. `change(share)` moves some figures on, as a round would; acts are remembered in `done`."""

    hosts: int = 200
    seed: int = 7
    fleet: str = "city-pool"
    stale_s: float = 150.0
    clock: float = NOW
    done: list[PlanPreview] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    acked: list[str] = field(default_factory=list)
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        self._version = 1
        self._random = random.Random(self.seed)
        self.rows = [make_node(i, self.seed, self.clock, self.hosts) for i in range(self.hosts)]
        self._known = {r.name: i for i, r in enumerate(self.rows)}
        self.places = Places(
            hosts=sorted(self._known),
            racks={r.rack: r.site for r in self.rows if r.rack},
            pools=sorted({p for r in self.rows for p in r.pools}),
            sites=sorted({r.site for r in self.rows}),
        )

    def change(self, share: float = 0.1) -> None:
        """A round went by: this share of the nodes says something new."""
        self._version += 1
        for i in self._random.sample(range(self.hosts), max(1, int(self.hosts * share))):
            row = self.rows[i]
            if row.temp_c is not None and row.power_w is not None:
                self.rows[i] = replace(
                    row,
                    temp_c=round(row.temp_c + self._random.choice((-1, 0, 1))),
                    util_pct=round(self._random.uniform(20, 99)),
                    power_w=round(row.power_w + self._random.uniform(-200, 200)),
                    age_at=self.clock,
                )

    def now(self) -> float:
        return self.clock

    def version(self) -> int:
        return self._version

    def pulse(self) -> Pulse:
        return Pulse(data_at=self.clock - 12, beat_at=self.clock - 1, version="0.1.0")

    def nodes(self) -> Table[NodeRow]:
        return nodes.table(list(self.rows))

    def overview(self, *, figures: bool = True) -> FleetView:
        return FleetView(self.nodes(), self._findings(None), waiting=3, leased=97)

    def _row(self, name: str) -> NodeRow:
        if name not in self._known:
            raise NotFoundError(f"no node named {name}")
        return self.rows[self._known[name]]

    def node(self, name: str, hours: float) -> NodeView:
        row = self._row(name)
        r = random.Random(name)
        found = range(row.cards_found or 0)
        mixed = self._known[name] % 3 == 0
        cards = [
            Card(
                str(i), CHIPS[1] if mixed and i >= 4 else (row.chip or "-"), "ascend" if mixed and i >= 4 else "nvidia",
                round(r.uniform(0, 100)), round(r.uniform(45, 92)), round(r.uniform(90, 690)), round(r.uniform(5, 99)),
                "crit" if row.health is Health.CRIT and i == 3 else "ok", "L0042" if i < 6 else None,
            )
            for i in found
        ]  # fmt: skip
        since = self.clock - hours * 3600
        shapes = (("utilisation", "%", 70, 25, 0.0, 100.0), ("hottest card", "C", 66, 12, None, None),
                  ("power", "W", 6200, 1800, None, None), ("card memory", "%", 60, 30, 0.0, 100.0))  # fmt: skip
        plots = [
            Series(title, unit, [(since + i * hours * 10, None if 120 < i < 150 else mid + swing * math.sin(i / 17 + k) * math.sin(i / 91))
                                 for i in range(360)], since, self.clock, low, top)
            for k, (title, unit, mid, swing, low, top) in enumerate(shapes)
        ]  # fmt: skip
        happened = [self._event(i, self.clock - 600 * i - 30, name) for i in range(len(EVENTS))]
        probes = [
            Line("nvidia.nvml", self.clock - 12, "done", name, "0.04 s"),
            Line("system", self.clock - 12, "done", name, "0.01 s"),
        ]
        facts = (("kernel", "6.1.0-18-amd64"), ("os", "openEuler 22.03 LTS"), ("driver", "550.54.15"), ("uptime", "41d7h"),
                 ("serial", "2102313ABC"), ("address", f"{name}.{row.site}.example"))  # fmt: skip
        leases = [Line("L0042", self.clock - 7200, "active", name, "tenant atlas, cards 0-5, ends in 6h")]
        return NodeView(row, Table("card", CARD_COLUMNS, cards, lambda c: c.index), self._findings(name),
                        events.table(happened), lines("lease", *leases), lines("probe", *probes), facts, plots)  # fmt: skip

    def _findings(self, name: str | None) -> Table[Any]:
        rows = [r for r in self.rows if r.findings and (name is None or r.name == name)]
        building = [] if name is not None else [
            FindingRow(900, None, None, "li-r002", "facility.rack_over_budget", Health.CRIT, "firing",
                       "rack li-r002 draws 45500 W of 44000 W", since_at=self.clock - 60, seen_at=self.clock - 12),
            FindingRow(901, None, None, "cdu-2", "facility.leak", Health.CRIT, "firing", "cdu-2: leak at tray",
                       since_at=self.clock - 60, seen_at=self.clock - 12),
            FindingRow(902, None, None, "bmc:gpu001", "facility.endpoint_silent", Health.WARN, "firing",
                       "bmc:gpu001: timed out", since_at=self.clock - 60, seen_at=self.clock - 12),
        ]  # fmt: skip
        return findings.table(
            building
            + [
                FindingRow(i, r.name, r.site, "GPU-3", "card.lost", r.health, "firing", r.findings or "",
                           since_at=self.clock - 900, seen_at=self.clock - 12)
                for i, r in enumerate(rows)
            ]
        )  # fmt: skip

    def _event(self, number: int, at: float, host: str) -> EventRow:
        severity, text = EVENTS[number % len(EVENTS)]
        return EventRow(number, at, at, 1, host, None, "finding", severity, "card.lost", text)

    def cards(self, metric: str) -> CardGrid:
        values: list[float | None] = []
        starts = [0]
        for row in self.rows:
            base = {"temp_c": row.temp_c, "util_pct": row.util_pct, "mem_pct": row.mem_pct,
                    "power_w": None if row.power_w is None else row.power_w / 10}[metric]  # fmt: skip
            values += [None if base is None else base - (row.cards or 8) + i * 2.0 for i in range(row.cards or 0)]
            starts.append(len(values))
        bounds = (40, 50, 60, 68, 75, 82, 88) if metric == "temp_c" else tuple(x * 100 / 8 for x in range(1, 8))
        unit = {"temp_c": "°C", "power_w": "W"}.get(metric, "%")
        return CardGrid(
            metric, unit, [(r.name, r.rack or r.site) for r in self.rows], starts, values, bounds, self.clock - 12
        )

    def power(self, place: PowerPlace | None = None) -> PowerView:
        racks = [
            RackLoad("li-r001", "lingang", "h1", Watts(41_000.0, "pdu", self.clock - 12, 2, 2), 44_000.0, {}, 8),
            RackLoad("li-r002", "lingang", "h1", Watts(45_500.0, "pdu", self.clock - 12, 2, 2), 44_000.0, {}, 8),
            RackLoad("li-r003", "lingang", "h1", Watts(None, parts=2), 44_000.0, {}, 8),
            RackLoad("qi-r001", "qingpu", "h2", Watts(30_000.0, "servers", self.clock - 40, 3, 4), 44_000.0, {}, 4),
        ]
        feeds = {
            name: FeedLoad(name, "lingang", name, Watts(watts, "pdu", self.clock - 12, 2, 2), 250_000.0, ("li-r001",))
            for name, watts in (("A", 86_500.0), ("B", 210_000.0))
        }
        servers = {row.name: Watts(4_800.0, "PowerControl/0", self.clock - 12, 1, 1) for row in self.rows[:8]}
        picture = Picture(self.clock, {r.name: r for r in racks}, feeds, {}, servers)
        hosts = (HostGroup(nodes=fold(servers), site="lingang"),)
        inventory = build_inventory(Config(sites=(Site(name="lingang"),), hosts=hosts))
        place = place or PowerPlace("site")
        if place.level != "node":
            return load_view(None, inventory, picture, place)  # type: ignore[arg-type]
        nodes = [
            NodeLoad(row.name, row.rack or "", servers[row.name], row.power_w, 5_500.0, 22.5) for row in self.rows[:8]
        ]
        view = load_view(None, inventory, Picture(self.clock, {"li-r001": racks[0]}, feeds), PowerPlace("rack"))  # type: ignore[arg-type]
        return replace(view, place=place, places=node_table(nodes))

    def power_plots(self, kind: str, name: str, hours: float) -> list[Series]:
        points = [(self.clock - 900 * n, 41_000.0 + 2_500 * math.sin(n / 5)) for n in range(96)][::-1]
        power = Series("power", "W", points, self.clock - 86_400, self.clock, 0.0, None, 44_000.0)
        days = [(self.clock - 86_400 * n, 1.2 + n % 3 / 50) for n in range(14)][::-1]
        pue = Series("PUE by day", "", days, self.clock - 14 * 86_400, self.clock, 1.0)
        return [power, pue] if kind == "site" else [power]

    def cooling_plots(self, kind: str, name: str, hours: float) -> list[Series]:
        moments = [self.clock - 900 * n for n in reversed(range(96))]
        since = self.clock - 86_400
        supply = [(at, 31.8 if at < self.clock - 7200 else None) for at in moments]
        back = [(at, 41.0 + math.sin(at / 9000)) for at in moments]
        return [
            Series("supply", "C", supply, since, self.clock, None, None, 35.0, back, "return"),
            Series("flow", "L/min", [(at, 61.4) for at in moments[:-9]], since, self.clock, 0.0, None, 40.0),
        ]

    def feed_fails(self, feed: str) -> list[tuple[str, str]]:
        return [(f"{feed} holds", "plain")]

    def cooling(self) -> CoolingView:
        leak = PointState("leak", "tray", "critical", "s", "Critical", self.clock, True)
        loops = (
            Loop("cdu-1", 31.8, 41.6, 61.4, 41.9, "device", (), self.clock - 5),
            Loop("cdu-2", 30.0, 48.0, None, None, "", (leak,), self.clock - 5),
        )
        zone = ZoneState("loop1", "lingang", loops, 800.0, None, 32.0, 40.0, ())
        endpoint = EndpointRow(
            "bmc:gpu001",
            "bmc",
            "lingang",
            "gpu001",
            "https://x",
            "silent",
            None,
            "",
            None,
            self.clock - 900,
            "timed_out",
            "",
        )
        return CoolingView(cooling_table([zone]), endpoint_table([endpoint]))

    def queue(self) -> QueueView:
        waiting = [
            Line(
                "R0007",
                self.clock - 3000,
                "queued",
                None,
                "tenant orion: 16 x 8 H100, no rack has 16 free nodes before 14:20",
            )
        ]
        leases = [
            Line(
                f"L{i:04d}",
                self.clock - 3600 * i,
                "active",
                f"gpu{i + 1:03d}",
                f"tenant atlas, 8 cards, ends in {i + 1}h",
            )
            for i in range(20)
        ]
        return QueueView(lines("request", *waiting), lines("lease", *leases))

    def plans(self) -> PlansView:
        chen = Actor(ActorKind.PERSON, "chen")
        actions = [
            Action("p-drain003", "drain", PlanState.RUNNING, chen, int(self.clock) - 4000, int(self.clock) - 4000,
                   8, 5, 3, reason="hw: ECC errors on card 1"),
            Action("p-resume02", "resume", PlanState.DONE, chen, int(self.clock) - 90000, int(self.clock) - 90000, 1, 1),
        ]  # fmt: skip
        return PlansView(Table("plan", plans.COLUMNS, actions, lambda r: r.plan), self._steps)

    def _steps(self, plan: str) -> Table[Line]:
        names = [f"gpu{i:03d}" for i in range(9, 17)]
        return lines(
            "node", *(Line(n, self.clock - 100, "draining" if n > "gpu013" else "drained", n, plan) for n in names)
        )

    def events(self) -> Table[Any]:
        return events.table(
            [self._event(i, self.clock - 37 * i, self.rows[i * 13 % self.hosts].name) for i in range(120)]
        )

    def record(self, noun: str, key: str) -> Any:
        return {"noun": noun, "key": key, "说明": "原始记录", "values": {"temp_c": 71, "util_pct": None}}

    def fold(self, names: Iterable[str]) -> str:
        return fold(names)

    def select(self, nodeset: str) -> list[str]:
        names = expand(nodeset, {})
        for name in names:
            self._row(name)
        return names

    def plan(
        self, verb: str, nodes: Sequence[str], reason: str, how: str = "wait", undo: str = "", **more: str
    ) -> PlanPreview:
        needs = "" if verb in ("resume", "undo") or ":" in reason else 'write it as "class: text"'
        self.asked.append((verb, how))
        self.more = {name: text for name, text in more.items() if text}
        touched = [(f"{name}  in service -> draining", "plain") for name in nodes]
        return PlanPreview(
            verb, fold(nodes), len(nodes), [(f"{len(nodes)} nodes, work ends by itself", "strong"), *touched],
            must_type=len(nodes) > 20, needs=needs, token=(verb, tuple(nodes), reason),
        )  # fmt: skip

    def apply(self, preview: PlanPreview) -> str:
        self.done.append(preview)
        verb, names, reason = preview.token
        for name in names:
            i = self._known[name]
            admin = Admin.DRAINING if verb == "drain" else Admin.IN_SERVICE
            self.rows[i] = replace(self.rows[i], admin=admin, reason=reason or None)
        self._version += 1
        return f"P{len(self.done) + 3:04d}"

    def acknowledge(self, noun: str, keys: Sequence[str]) -> int:
        self.acked += keys
        return len(keys)

    def close(self) -> None:
        pass


EVENTS = (
    (Health.CRIT, "Xid 79: card 3 has fallen off the bus"),
    (Health.WARN, "reach: fresh -> hung, nvidia-smi does not end"),
    (Health.OK, "drain began: hw: ECC errors on card 1"),
    (Health.OK, "resolved: card 5 at 88C for 12 rounds"),
)
