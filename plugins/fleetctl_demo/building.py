"""The building around a demo fleet: what its BMCs, PDUs, meters, CDUs and room coolers say at any moment.

Power follows the load of the hosts in each rack, heat follows power, cooling follows heat, and now and then a rack gets
more than its budget, a cold plate leaks, a pump stops or a BMC goes dark. Only the meters' counters remember anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from fleetctl_demo.fleets import Fleet
from fleetctl_demo.machine import EPISODE_S, Machine, fate

RACKS_PER_HALL = 200
MOST_PDUS = 800  # beyond, racks are measured by their servers alone, as in many real halls
FACILITY_FAULTS: dict[str, str] = {
    "dark": "the BMC of a host does not answer",
    "over": "a rack draws more than its budget",
    "leak": "a cooling unit finds water",
    "flow": "a cooling unit loses its coolant flow",
}
_BACKGROUND = {"dark": 0.008, "over": 0.03, "leak": 0.03, "flow": 0.03}  # chance per device and EPISODE_S
_DAY_S = 86_400.0
# What cooling and losses cost beside IT power, by a site's tier: a new hub with free cooling, an old edge room.
_OVERHEAD = {"hub": 0.17, "city": 0.29, "edge": 0.46}


@dataclass(frozen=True, slots=True)
class DemoRack:
    """One rack with the hosts in it."""

    name: str
    site: str
    hall: str
    row: str
    machines: tuple[Machine, ...]
    budget_w: float


@dataclass(frozen=True, slots=True)
class DemoDevice:
    """One thing with an address: its kind as in fleet.toml, where it stands, the racks it serves, the feed it hangs on."""

    name: str
    kind: str
    site: str
    hall: str = ""
    racks: tuple[str, ...] = ()
    feed: str = ""


@dataclass(frozen=True, slots=True)
class DemoHall:
    """One hall: its racks, and what its two feeds can carry."""

    name: str
    site: str
    racks: tuple[DemoRack, ...]
    feed_limit_w: float
    liquid: bool

    @property
    def feeds(self) -> tuple[str, str]:
        return f"{self.name}-A", f"{self.name}-B"


@dataclass
class Building:
    """All of it. lasting: host, rack or device -> faults that stay on; calm: nothing breaks by itself."""

    fleet: Fleet
    halls: Sequence[DemoHall]
    seed: int
    lasting: Mapping[str, frozenset[str]] = field(default_factory=dict)
    calm: bool = False

    def __post_init__(self) -> None:
        self.racks = {rack.name: rack for hall in self.halls for rack in hall.racks}
        self.devices = {one.name: one for one in self._all_devices()}
        self.machines = {m.name: m for rack in self.racks.values() for m in rack.machines}
        self._overhead = {site.name: _OVERHEAD.get(site.tier, 0.3) for site in self.fleet.sites}
        self._counters: dict[str, tuple[float, float]] = {}  # device -> (moment, kWh)
        self._second = -1
        self._rack_w: dict[str, float] = {}

    def _all_devices(self) -> Iterator[DemoDevice]:
        with_pdus = 2 * len(self.racks) <= MOST_PDUS
        for site, halls in groupby(self.halls, key=lambda hall: hall.site):
            yield DemoDevice(f"{site}-incomer", "meter", site)
            for hall in halls:
                for feed in hall.feeds:
                    yield DemoDevice(f"{feed}-bus", "meter", site, hall.name, feed=feed)
                    for rack in hall.racks if with_pdus else ():
                        yield DemoDevice(f"{rack.name}-{feed[-1]}", "pdu", site, hall.name, (rack.name,), feed)
                names = [rack.name for rack in hall.racks]
                kinds = (("cdu", 4), ("crac", 8)) if hall.liquid else (("crac", 4),)
                for kind, each in kinds:
                    for number in range(-(-len(names) // each)):
                        own = tuple(names[number * each : (number + 1) * each])
                        yield DemoDevice(f"{hall.name}-{kind}-{number + 1}", kind, site, hall.name, own)

    def prone(self, kind: str) -> list[str]:
        """What one kind of fault can befall."""
        if kind in ("leak", "flow"):
            return [one.name for one in self.devices.values() if one.kind == "cdu"]
        return list(self.racks if kind == "over" else self.machines)

    def fault(self, name: str, kind: str, now: float) -> bool:
        """Whether one fault is on at one device, rack or host."""
        if kind in self.lasting.get(name, ()):
            return True
        return not self.calm and fate(self.seed, name, kind, int(now // EPISODE_S)) < _BACKGROUND[kind]

    # Power

    def host_w(self, machine: Machine, load: float) -> float:
        """What a host draws at the wall: its cards, then fans, processors and switches, over the supplies' losses."""
        kind = machine.card
        if kind is None:
            return (180.0 + 420.0 * load) / 0.94
        cards = machine.cards * (kind.idle_w + (kind.cap_w * 0.94 - kind.idle_w) * load**0.9)
        rest = 220.0 + 0.22 * machine.cards * kind.cap_w * (0.55 + 0.45 * load)
        return (cards + rest) / 0.95

    def rack_w(self, rack: DemoRack, now: float) -> float:
        """What a rack draws; its hosts share one job."""
        second = int(now)
        if second != self._second:
            self._second, self._rack_w = second, {}
        known = self._rack_w.get(rack.name)
        if known is None:
            load = rack.machines[0].load(now)
            known = sum(self.host_w(machine, load) for machine in rack.machines)
            if self.fault(rack.name, "over", now):  # somebody plugged in what fleet.toml does not know
                known = max(known, rack.budget_w * (1.02 + 0.03 * fate(self.seed, rack.name, "strangers")))
            self._rack_w[rack.name] = known
        return known

    def _racks_w(self, racks: Iterable[DemoRack], now: float) -> float:
        return sum(self.rack_w(rack, now) for rack in racks)

    def power_w(self, device: DemoDevice, now: float) -> float:
        """What a device measures or draws."""
        side = 0.52 if device.feed.endswith("A") else 0.48
        if device.kind == "pdu":
            return side * self.rack_w(self.racks[device.racks[0]], now)
        if device.feed:
            return side * self._racks_w(next(h for h in self.halls if h.name == device.hall).racks, now)
        if device.kind != "meter":
            return 900.0 + 0.012 * self._racks_w((self.racks[r] for r in device.racks), now)
        it = self._racks_w((rack for hall in self.halls if hall.site == device.site for rack in hall.racks), now)
        noon = math.sin((now % _DAY_S) / _DAY_S * 2 * math.pi - math.pi / 2)  # coolest at UTC midnight
        return it * (1 + self._overhead[device.site] * (1 + 0.25 * noon)) + 150.0

    def _energy_kwh(self, device: DemoDevice, power_w: float, now: float) -> float:
        """The counter of a meter: what it stood at when first asked, and what was drawn since."""
        at, kwh = self._counters.get(device.name, (now, 1e6 * fate(self.seed, device.name, "counter")))
        kwh += power_w / 1000 * max(0.0, now - at) / 3600
        self._counters[device.name] = (now, kwh)
        return kwh

    # What is said on the wire

    def tell(self, path: str, now: float) -> dict[str, Any] | None:
        """The answer to one question, `bmc/HOST` or the name of a device; None: it stays silent.

        readings: [quantity, where, value, unit]; states: [what, where, word, bad].
        """
        kind, _, host = path.partition("/")
        if kind == "bmc":
            return self._bmc(self.machines[host], now) if host in self.machines else None
        device = self.devices.get(path)
        if device is None:
            return None
        if device.kind in ("cdu", "crac"):
            return self._cooler(device, now)
        power = self.power_w(device, now)
        readings: list[list[Any]] = [["power", "input", round(power, 1), "W"]]
        if device.kind == "meter":
            readings.append(["energy", "import", round(self._energy_kwh(device, power, now), 3), "kWh"])
        else:
            readings.append(["current", "L1", round(power / 3 / 230, 2), "A"])
        return {"model": "demo meter" if device.kind == "meter" else "demo rack PDU", "total": 0, "readings": readings}

    def _bmc(self, machine: Machine, now: float) -> dict[str, Any] | None:
        if self.fault(machine.name, "dark", now):
            return None
        load = machine.load(now)
        own = fate(self.seed, machine.name, "inlet")
        inlet = 20.5 + 4.0 * own
        readings = [
            ["power", "system input", round(self.host_w(machine, load) * (0.99 + 0.02 * own)), "W"],
            ["temperature", "inlet air", round(inlet, 1), "C"],
            ["temperature", "exhaust air", round(inlet + 9 + 11 * load, 1), "C"],
            ["fan_speed", "fan 1", round(4200 + 6100 * load + 90 * own), "rpm"],
            ["fan_speed", "fan 2", round(4200 + 6100 * load - 70 * own), "rpm"],
        ]
        return {"model": machine.model, "total": 0, "readings": readings}

    def _cooler(self, device: DemoDevice, now: float) -> dict[str, Any]:
        liquid = device.kind == "cdu"
        all_kw = self._racks_w((self.racks[r] for r in device.racks), now) / 1000
        hall = next(h for h in self.halls if h.name == device.hall)
        heat = all_kw * (0.72 if liquid else 0.28 if hall.liquid else 1.0)
        own = fate(self.seed, device.name, "own")
        if not liquid:
            supply = 21.0 + 2.0 * own
            readings = [
                ["temperature", "supply air", round(supply, 1), "C"],
                ["temperature", "return air", round(supply + 11.0 + 0.4 * math.sin(now / 300), 1), "C"],
                ["humidity", "return air", round(44 + 6 * own, 1), "%"],
                ["cooling_power", "sensible", round(heat, 1), "kW"],
                ["fan_duty", "fans", round(min(100.0, 40 + 55 * own), 0), "%"],
                ["power", "input", round(self.power_w(device, now)), "W"],
            ]
            return {"model": "demo room cooler", "total": 5, "readings": readings}
        lost = self.fault(device.name, "flow", now)
        flow = (28.0 + 4 * own) * len(device.racks) * (0.08 if lost else 1.0)
        supply = 31.0 + 2.0 * own + 0.3 * math.sin(now / 500) + (4.5 if lost else 0.0)
        warmer = min(heat * 60 / 4.18 / flow, 26.0)
        readings = [
            ["temperature", "secondary supply", round(supply, 1), "C"],
            ["temperature", "secondary return", round(supply + warmer, 1), "C"],
            ["flow", "secondary", round(flow, 1), "L/min"],
            ["cooling_power", "secondary", round(flow * 4.18 / 60 * warmer, 1), "kW"],
            ["pressure", "secondary differential", round(22 if lost else 148 + 20 * own, 0), "kPa"],
            ["power", "input", round(self.power_w(device, now) * (0.3 if lost else 1.0)), "W"],
        ]
        wet = self.fault(device.name, "leak", now)
        states = [["leak", "tray", "Critical" if wet else "OK", wet], ["leak", "manifold", "OK", False]]
        return {"model": "demo CDU", "total": 5, "readings": readings, "states": states}


def plan_halls(fleet: Fleet, machines: Sequence[Machine]) -> list[DemoHall]:
    """The halls of a fleet: one per kind of host and site, split where it would hold too many racks."""
    by_rack: dict[str, list[Machine]] = {}
    for machine in machines:
        by_rack.setdefault(machine.neighbours, []).append(machine)
    halls, start = [], 0
    names = list(by_rack)
    for part in sorted(fleet.parts, key=lambda p: [s.name for s in fleet.sites].index(p.site)):
        letter = chr(ord("a") + [p for p in fleet.parts if p.site == part.site].index(part))
        count = -(-part.count // part.per_rack)
        start = names.index(next(m.neighbours for m in machines if m.name.startswith(part.prefix)))
        mine = names[start : start + count]
        for number in range(0, count, RACKS_PER_HALL):
            hall = f"{part.site}-{letter}{number // RACKS_PER_HALL + 1 if count > RACKS_PER_HALL else ''}"
            racks = tuple(
                DemoRack(name, part.site, hall, str(i // 10 + 1), tuple(by_rack[name]), part.rack_budget_w)
                for i, name in enumerate(mine[number : number + RACKS_PER_HALL])
            )
            liquid = part.card is not None and part.card.cap_w >= 400 and part.cards >= 8
            # The second hall of a site was built on a shoestring: one side cannot carry both.
            share = 1.25 if letter == "a" else 0.8
            halls.append(DemoHall(hall, part.site, racks, sum(r.budget_w for r in racks) * share, liquid))
    return halls
