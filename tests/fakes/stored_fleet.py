"""A fleet file and a store filled as an engine would have filled it, the same each time: rounds of values, a silent
host, a hung probe, findings, events, a drain under way. Sizes from four hosts to 12,500."""

from __future__ import annotations

import math
import random
from pathlib import Path

from fleetctl.config.schema import Config, Hall, HostGroup, Pool, Rack, Site, Store
from fleetctl.inventory import Inventory, build_inventory
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.model.probe import Outcome
from fleetctl.model.reading import Device
from fleetctl.model.report import Block, ErrorKind, HostReport, ProbeState
from fleetctl.model.states import Health, Reach
from fleetctl.operations.applying import apply
from fleetctl.operations.node_verbs import plan_drain
from fleetctl.store import Database
from fleetctl.store.engine_row import save_engine_beat, save_engine_start
from fleetctl.store.findings import open_finding
from fleetctl.store.rounds import save_reports

NOW = 1_790_000_070
CARD_COLUMNS = ("temp_c", "util_pct", "power_w", "mem_used_bytes", "mem_total_bytes", "ecc_uncorrected_total")
HOST_COLUMNS = ("cpu_pct", "load1", "mem_used_bytes", "mem_total_bytes", "disk_used_pct")
GIB = 2**30


def make_config(path: Path, hosts: int) -> Config:
    """Two sites, racks of eight hosts, a pool of all but the last rack. Mixed vendors in every third host."""
    half = hosts // 2
    wide = max(3, len(str(hosts)))
    name = f"gpu[{{:0{wide}d}}-{{:0{wide}d}}]"
    racks = tuple(
        Rack(
            name=f"r{number // 8 + 1:03d}",
            site="lingang" if number < half else "qingpu",
            hall="lg-a" if number < half else "qp-a",
            nodes=name.format(number + 1, min(number + 8, hosts)),
            power_budget_w=88_000,
        )
        for number in range(0, hosts, 8)
    )
    return Config(
        name="city-pool",
        sites=(Site(name="lingang"), Site(name="qingpu")),
        halls=(Hall(name="lg-a", site="lingang"), Hall(name="qp-a", site="qingpu")),
        racks=racks,
        pools=(Pool(name="train", nodes=name.format(1, max(1, hosts - 8))),),
        hosts=(
            HostGroup(nodes=name.format(1, half), site="lingang", chip="H100 SXM5 80GB", cards=8, model="R5500 G6"),
            HostGroup(nodes=name.format(half + 1, hosts), site="qingpu", chip="Ascend 910B", cards=8),
        ),
        store=Store(path=str(path)),
    )


def make_devices(host: str, number: int) -> tuple[Device, ...]:
    def card(i: int) -> Device:
        nvidia = number % 3 or i < 4
        return Device(
            "card", f"{host}-{i}", str(i), "nvidia" if nvidia else "ascend", pci=f"0000:{i + 26:02x}:00.0",
            model="NVIDIA H100 80GB HBM3" if nvidia else "910B3", chip="H100 SXM5 80GB" if nvidia else "Ascend 910B3",
            driver="550.54.15" if nvidia else "23.0.3",
        )  # fmt: skip

    return tuple(card(i) for i in range(8))


def fill(path: Path, hosts: int = 48, rounds: int = 60) -> tuple[Config, Inventory]:
    """Fill a new store with `rounds` rounds of a minute that end just before NOW."""
    config = make_config(path, hosts)
    inventory = build_inventory(config)
    names = list(inventory.hosts)
    devices = {name: make_devices(name, i) for i, name in enumerate(names)}
    self_of = {name: (Device("host", name),) for name in names}
    facts = {"kernel": "6.1.0-18-amd64", "os": "openEuler 22.03 LTS", "driver": "550.54.15"}
    last = NOW - NOW % 60
    with Database.open(path, write=True) as db:
        with db.write() as conn:
            save_engine_start(conn, 4242, "ops", "0.1.0", last - 3600)
        for number in range(rounds):
            slot = last - 60 * (rounds - 1 - number)
            chance = random.Random(number)
            save_reports(db, slot, [report(names, i, slot, chance, devices, self_of, facts) for i in range(hosts)])
        with db.write() as conn:
            open_finding(
                conn,
                last,
                "card.fell_off",
                "Xid 79: card 3 has fallen off the bus",
                severity=Health.CRIT,
                host=names[2],
                device=f"{names[2]}-3",
            )
            open_finding(
                conn,
                last - 600,
                "card.hot",
                "card 5 at 88C for 12 rounds",
                severity=Health.WARN,
                host=names[5],
                device=f"{names[5]}-5",
            )
            save_engine_beat(conn, NOW - 2, slot=last)
        who = Actor(ActorKind.PERSON, "chen")
        plan = plan_drain(db, inventory, names[9:11], "hw: ECC errors on card 1", who=who, now=NOW - 300, config=config)
        apply(db, plan, who, inventory=inventory, config=config, now=NOW - 300)
    return config, inventory


def report(names, i, slot, chance, devices, self_of, facts):  # type: ignore[no-untyped-def]
    """What host number i says in one round: the second is silent, the fourth has a tool that hangs."""
    name = names[i]
    at = slot + 3 + i % 20
    if i == 1:
        return HostReport(name, at, Reach.UNREACHABLE, error=ErrorKind.UNREACHABLE, error_text="no route to host")
    hung = i == 3
    wave = math.sin(slot / 700 + i)
    rows = tuple(
        (
            round(62 + 12 * wave + k + chance.random()), round(60 + 38 * math.sin(slot / 900 + i + k / 3)),
            round(420 + 200 * wave), (40 + k) * GIB, 80 * GIB, 2 if i == 9 and k == 1 else 0,
        )
        for k in range(8)
    )  # fmt: skip
    host_row = ((round(20 + 15 * wave), round(12 + 8 * wave, 2), 210 * GIB, 1024 * GIB, 61),)
    blocks = (
        *(() if hung else (Block("card", CARD_COLUMNS, devices[name], rows),)),
        Block("host", HOST_COLUMNS, self_of[name], host_row),
    )
    tool = ProbeState(
        "nvidia.smi", Outcome.HUNG if hung else Outcome.DONE, None if hung else 0.31, "state D" if hung else "", at
    )
    return HostReport(
        name, at, Reach.HUNG if hung else Reach.FRESH, blocks=blocks, facts=facts,
        probes=(tool, ProbeState("system", Outcome.DONE, 0.02, "", at)),
    )  # fmt: skip
