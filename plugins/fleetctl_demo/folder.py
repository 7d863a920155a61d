"""What a demo leaves in its folder: fleet.toml, an SSH config and known hosts, as a person's own fleet would have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from fleetctl.inventory import fold
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


def write_folder(folder: Path, fleet: Fleet, ports: Mapping[str, int], keys: Keys, interval_s: float) -> Path:
    """Write fleet.toml and its SSH files; returns the path of fleet.toml."""
    host_key = keys.host.with_suffix(".pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(
        "".join(f"[127.0.0.1]:{port} {' '.join(host_key)}\n" for port in ports.values())
    )
    stanzas = [f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User {USER}\n" for name, port in ports.items()]
    (folder / "ssh_config").write_text("".join(stanzas))
    path = folder / "fleet.toml"
    path.write_text("\n".join(_config(fleet, keys, interval_s)) + "\n", encoding="utf-8")
    return path


def _config(fleet: Fleet, keys: Keys, interval_s: float) -> Iterator[str]:
    yield f"# The demo fleet {fleet.name!r}: {fleet.doc}. Simulated hosts behind real SSH servers on loopback."
    yield f"name = {_text('demo ' + fleet.name)}"
    for site in fleet.sites:
        yield "\n[[sites]]"
        for key in ("name", "title", "operator", "region", "tier", "grid_region"):
            yield f"{key} = {_text(getattr(site, key))}"
        yield "max_connecting = 64"
        yield f"\n[[halls]]\nname = {_text(site.name + '-a')}\nsite = {_text(site.name)}"
    for part in fleet.parts:
        every = list(names(part))
        yield f"\n[[hosts]]\nnodes = {_text(fold(every))}\nsite = {_text(part.site)}\nmodel = {_text(part.model)}"
        if part.card is not None:
            yield f"chip = {_text(part.card.chip)}\ncards = {part.cards}"
        hosts = iter(every)
        number = 0
        while rack := list(islice(hosts, part.per_rack)):
            number += 1
            yield f"\n[[racks]]\nname = {_text(rack_name(fleet, part, number - 1))}\nsite = {_text(part.site)}"
            yield f"hall = {_text(part.site + '-a')}\nrow = {_text(str((number - 1) // 10 + 1))}"
            yield f"nodes = {_text(fold(rack))}\npower_budget_w = {part.rack_budget_w:.0f}"
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


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
