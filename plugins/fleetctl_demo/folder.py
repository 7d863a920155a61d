"""What a demo leaves in its folder: fleet.toml, an SSH config and known hosts, as a person's own fleet would have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from fleetctl.inventory import fold
from fleetctl_demo.building import Building, DemoDevice
from fleetctl_demo.fleets import Fleet, Part, names
from fleetctl_demo.machine import Machine
from fleetctl_demo.server import USER, Keys


def machines(fleet: Fleet, seed: int, faults: Mapping[str, frozenset[str]], *, calm: bool = False) -> list[Machine]:
    """Every host of the fleet; those of one rack share their jobs. faults: host name -> faults that stay on."""
    found = []
    for part in fleet.parts:
        for index, name in enumerate(names(part)):
            rack = rack_name(fleet, part, index // part.per_rack)
            found.append(
                Machine(
                    name=name,
                    seed=seed,
                    card=part.card,
                    cards=part.cards,
                    neighbours=rack,
                    faults=faults.get(name, frozenset()),
                    model=part.model,
                    calm=calm,
                )
            )
    return found


def rack_name(fleet: Fleet, part: Part, number: int) -> str:
    """`lg-a01`: site, a letter per part of the site, number from 1."""
    letter = chr(ord("a") + [p for p in fleet.parts if p.site == part.site].index(part))
    return f"{part.prefix.split('-')[0]}-{letter}{number + 1:02d}"


def write_folder(
    folder: Path, building: Building, ports: Mapping[str, int], building_port: int, keys: Keys, interval_s: float
) -> Path:
    """Write fleet.toml and its SSH files; returns the path of fleet.toml."""
    host_key = keys.host.with_suffix(".pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(
        "".join(f"[127.0.0.1]:{port} {' '.join(host_key)}\n" for port in ports.values())
    )
    stanzas = [f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User {USER}\n" for name, port in ports.items()]
    (folder / "ssh_config").write_text("".join(stanzas))
    path = folder / "fleet.toml"
    lines = [*_config(building, keys, interval_s), *_facility(building, building_port, interval_s)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _config(building: Building, keys: Keys, interval_s: float) -> Iterator[str]:
    fleet = building.fleet
    yield f"# The demo fleet {fleet.name!r}: {fleet.doc}. Simulated hosts behind real SSH servers on loopback."
    yield f"name = {_text('demo ' + fleet.name)}"
    for site in fleet.sites:
        yield "\n[[sites]]"
        for key in ("name", "title", "operator", "region", "tier", "grid_region"):
            yield f"{key} = {_text(getattr(site, key))}"
        yield "max_connecting = 64"
    for hall in building.halls:
        yield f"\n[[halls]]\nname = {_text(hall.name)}\nsite = {_text(hall.site)}"
    for part in fleet.parts:
        every = list(names(part))
        yield f"\n[[hosts]]\nnodes = {_text(fold(every))}\nsite = {_text(part.site)}\nmodel = {_text(part.model)}"
        if part.card is not None:
            yield f"chip = {_text(part.card.chip)}\ncards = {part.cards}"
    for rack in building.racks.values():
        yield f"\n[[racks]]\nname = {_text(rack.name)}\nsite = {_text(rack.site)}"
        yield f"hall = {_text(rack.hall)}\nrow = {_text(rack.row)}"
        yield f"nodes = {_text(fold([m.name for m in rack.machines]))}\npower_budget_w = {rack.budget_w:.0f}"
    pools: dict[str, list[str]] = {}
    for part in fleet.parts:
        pools.setdefault(part.pool, []).extend(names(part))
    for pool, members in pools.items():
        yield f"\n[[pools]]\nname = {_text(pool)}\nnodes = {_text(fold(members))}"
    yield f"\n[poll]\ninterval_s = {interval_s:g}\nslow_interval_s = {max(10.0, interval_s):g}"
    yield f"stale_after = {max(2.5, 10.0 / interval_s):g}"
    yield f"quiet_interval_s = {max(10.0, 2 * interval_s):g}"
    yield '\n[ssh]\nconfig = "ssh_config"\nknown_hosts = "known_hosts"'
    yield f"identity_files = [{_text(keys.client.name)}]\nconnects_per_second = 500\nmax_connecting = 64"
    yield '\n[store]\npath = "fleet.db"'


def _facility(building: Building, port: int, interval_s: float) -> Iterator[str]:
    """Power and cooling: every BMC, PDU, meter and cooler at its pace, the feeds, the zones, the places of the meters."""
    pace = min(10, 2 * interval_s) if len(building.machines) <= 500 else 60
    asked = f"every_s = {pace:g}\nfull_every_s = {max(10, pace):g}\ntimeout_s = 5"
    address = f"demo://127.0.0.1:{port}"
    yield f"\n[[facility.bmcs]]\nnodes = {_text(fold(building.machines))}\nurl = {_text(address + '/bmc/{name}')}\n{asked}"
    for device in building.devices.values():
        yield f"\n[[facility.devices]]\nname = {_text(device.name)}\nurl = {_text(f'{address}/{device.name}')}"
        yield f"kind = {_text(device.kind)}\nsite = {_text(device.site)}\nhall = {_text(device.hall)}"
        yield f"racks = {json.dumps(device.racks)}\nfeed = {_text(device.feed)}\n{asked}"
        if device.kind == "meter":
            yield f"\n[[facility.meters]]\nname = {_text(device.name)}\ndevice = {_text(device.name)}"
            yield f"place = {_text('busway' if device.feed else 'utility')}"
            yield f"site = {_text(device.site)}\nhall = {_text(device.hall)}"
    for hall in building.halls:
        racks = json.dumps([rack.name for rack in hall.racks])
        for side, feed in zip("AB", hall.feeds, strict=True):
            yield f"\n[[facility.feeds]]\nname = {_text(feed)}\nsite = {_text(hall.site)}\nhall = {_text(hall.name)}"
            yield f"side = {_text(side)}\nlimit_w = {hall.feed_limit_w:.0f}\nracks = {racks}"
        own = [d for d in building.devices.values() if d.hall == hall.name]
        yield from _zone(building, hall.name, "loop", [d for d in own if d.kind == "cdu"], 0.72)
        yield from _zone(building, hall.name, "air", [d for d in own if d.kind == "crac"], 0.28 if hall.liquid else 1.0)


def _zone(building: Building, hall: str, what: str, coolers: list[DemoDevice], share: float) -> Iterator[str]:
    """One cooling zone. share: of the racks' heat that goes this way."""
    if not coolers:
        return
    racks = [name for device in coolers for name in device.racks]
    capacity = sum(building.racks[name].budget_w for name in racks) / 1000 * share * 1.1
    yield f"\n[[facility.zones]]\nname = {_text(f'{hall}-{what}')}\nsite = {_text(coolers[0].site)}"
    yield f"devices = {json.dumps([d.name for d in coolers])}\nracks = {json.dumps(racks)}\ncapacity_kw = {capacity:.0f}"
    yield "supply_max_c = 35\nflow_min_lpm = 25" if what == "loop" else "supply_max_c = 27"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
