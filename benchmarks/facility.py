"""The slow lane at scale: 2,000 Redfish, 4,000 SNMP and 500 Modbus sources, each every 10 s, on loopback.

    python benchmarks/facility.py [--seconds 30] [--share 1.0]

Redfish is served by aiohttp without TLS (set-up is a matter of the first minute), SNMP by net-snmp's own snmpd (Debian:
snmpd), Modbus by pymodbus; each in a process of its own. Measured is the CPU time and memory of the collecting process,
store included. Beside it stands what one poll costs with the tools that a shell script would start: curl and snmpget.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fleetctl.clock import SystemClock
from fleetctl.collector.facility import FacilityCollector
from fleetctl.config.schema import Config
from fleetctl.engine.facility import FacilityKeeper
from fleetctl.facility.endpoints import Asked
from fleetctl.inventory import build_inventory
from fleetctl.model.facility import EndpointResult
from fleetctl.store.database import Database

WARM_S = 60.0
HTTP, SNMP, MODBUS = 18_443, 18_161, 18_502
MAP = "\n".join(
    ['title = "ten counters of net-snmp itself"', 'source = "SNMPv2-MIB"', 'present = ["1.3.6.1.2.1.11"]']
    + [
        f'[[point]]\noid = "1.3.6.1.2.1.11.{i}.0"\nquantity = "value"\nwhere = "counter {i}"'
        for i in (1, 3, 4, 5, 6, 30, 31, 32)
    ]
    + ['[[point]]\noid = "1.3.6.1.2.1.1.3.0"\nquantity = "value"\nwhere = "uptime"']
)


# -- servers, each started as `python facility.py serve-...` -------------------------------------------------------------


def serve_redfish() -> None:
    """A server with one chassis, Power and Thermal, the shape of an iLO 5; the same for every client."""
    from aiohttp import web

    chassis = "/redfish/v1/Chassis/1"
    power = {
        "@odata.type": "#Power.v1_3_0.Power",
        "@odata.id": f"{chassis}/Power",
        "PowerControl": [{"MemberId": "0", "PowerConsumedWatts": 531, "PowerMetrics": {"AverageConsumedWatts": 530}}],
        "PowerSupplies": [{"Name": f"PS{i}", "LineInputVoltage": 229, "LastPowerOutputWatts": 265} for i in (1, 2)],
    }
    thermal = {
        "@odata.type": "#Thermal.v1_1_0.Thermal",
        "@odata.id": f"{chassis}/Thermal",
        "Temperatures": [
            {"Name": f"T{i}", "ReadingCelsius": 20 + i, "Status": {"State": "Enabled", "Health": "OK"}}
            for i in range(40)
        ],
        "Fans": [{"Name": f"Fan {i}", "Reading": 30, "ReadingUnits": "Percent"} for i in range(6)],
    }
    tree: dict[str, object] = {
        "/redfish/v1/": {"RedfishVersion": "1.6.0", "Vendor": "HPE", "Chassis": {"@odata.id": "/redfish/v1/Chassis"}},
        "/redfish/v1/Chassis": {"Members": [{"@odata.id": chassis}]},
        chassis: {
            "@odata.type": "#Chassis.v1_10_2.Chassis",
            "@odata.id": chassis,
            "ChassisType": "RackMount",
            "Power": {"@odata.id": f"{chassis}/Power"},
            "Thermal": {"@odata.id": f"{chassis}/Thermal"},
        },
        f"{chassis}/Power": power,
        f"{chassis}/Thermal": thermal,
    }
    bodies = {path: json.dumps(body).encode() for path, body in tree.items()}

    async def get(request: web.Request) -> web.Response:
        body = bodies.get(request.path)
        return web.Response(status=404) if body is None else web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{tail:.*}", get)
    web.run_app(app, host="127.0.0.1", port=HTTP, print=None, access_log=None)


def serve_modbus() -> None:
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    words = [SimData(0, values=[0x4365, 0] * 410, datatype=DataType.REGISTERS)]

    async def main() -> None:
        await ModbusTcpServer(
            SimDevice(1, simdata=(bits, bits, words, words)), address=("127.0.0.1", MODBUS)
        ).serve_forever()

    asyncio.run(main())


@contextlib.contextmanager
def servers(folder: Path):  # type: ignore[no-untyped-def]
    me = [sys.executable, __file__]
    running = [subprocess.Popen([*me, "serve-redfish"]), subprocess.Popen([*me, "serve-modbus"])]
    snmpd = shutil.which("snmpd") or ("/usr/sbin/snmpd" if Path("/usr/sbin/snmpd").exists() else None)
    if snmpd:
        (folder / "snmpd.conf").write_text(f"agentAddress udp:127.0.0.1:{SNMP}\nrocommunity public\n")
        command = [snmpd, "-f", "-C", "-c", str(folder / "snmpd.conf"), "-Lf", "/dev/null"]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    else:
        print("snmpd is not installed (Debian: snmpd): SNMP is left out", file=sys.stderr)
    try:
        time.sleep(3)
        yield bool(snmpd)
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait()


# -- measuring -----------------------------------------------------------------------------------------------------------


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def asked(share: float, folder: Path, *, snmp: bool) -> dict[str, Asked]:
    (folder / "bench.toml").write_text(MAP)
    out: dict[str, Asked] = {}

    def add(kind: str, count: int, url: str, **more: str) -> None:
        for i in range(int(count * share)):
            name = f"{kind}{i}"
            out[name] = Asked(name, kind, url, "s", 10.0, 1e9, 20.0, **more)

    add("bmc", 2_000, f"http://127.0.0.1:{HTTP}")
    if snmp:
        add("pdu", 4_000, f"snmp://127.0.0.1:{SNMP}", map=str(folder / "bench.toml"))
    add("meter", 500, f"modbus://127.0.0.1:{MODBUS}/1", map="siemens-pac2200")
    return out


async def measure(seconds: float, share: float, folder: Path, snmp: bool) -> None:
    config = Config()
    inventory = build_inventory(config)
    endpoints = asked(share, folder, snmp=snmp)
    lane = FacilityCollector(config, inventory, SystemClock(), asked=endpoints)
    keeper = FacilityKeeper(config, inventory)
    counts: dict[str, int] = {}
    readings = failed = 0
    with Database.open(folder / "bench.db", write=True) as db:

        async def keep(results: list[EndpointResult]) -> None:
            nonlocal readings, failed
            for one in results:
                counts[one.kind] = counts.get(one.kind, 0) + 1
                readings += len(one.report.readings) if one.report else 0
                failed += one.report is None
            await asyncio.to_thread(keeper.save, db, results, time.time())

        task = asyncio.create_task(lane.run(keep))
        await asyncio.sleep(WARM_S)  # everybody has been read completely once
        counts.clear()
        readings = failed = 0
        began, cpu = time.monotonic(), cpu_s()
        await asyncio.sleep(seconds)
        wall, used = time.monotonic() - began, cpu_s() - cpu
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    polls = sum(counts.values())
    print(f"endpoints        {len(endpoints):>8}   ({', '.join(f'{k} {v}' for k, v in sorted(counts.items()))} polls)")
    print(f"polls            {polls / wall:>8.0f} /s   {failed} failed")
    print(f"readings stored  {readings / wall:>8.0f} /s")
    print(f"CPU              {used / wall:>8.2f} cores   {1000 * used / max(1, polls):.2f} ms per poll, store included")
    print(f"memory           {rss_mib():>8.0f} MiB")


def peer(command: list[str], times: int = 20) -> str:
    if shutil.which(command[0]) is None:
        return f"{command[0]}: not installed"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        subprocess.run(command, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / times
    return f"{command[0]:<10} {1000 * used:>6.1f} ms CPU per poll"


def main() -> None:
    if sys.argv[1:2] == ["serve-redfish"]:
        return serve_redfish()
    if sys.argv[1:2] == ["serve-modbus"]:
        return serve_modbus()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--share", type=float, default=1.0, help="part of the 6,500 sources")
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    with tempfile.TemporaryDirectory() as name, servers(Path(name)) as snmp:
        asyncio.run(measure(given.seconds, given.share, Path(name), snmp))
        print("beside it, one process per poll:")
        print("  " + peer(["curl", "-s", f"http://127.0.0.1:{HTTP}/redfish/v1/Chassis/1/Power"]))
        oids = [f"1.3.6.1.2.1.11.{i}.0" for i in (1, 3, 4, 5, 6, 30, 31, 32)]
        print("  " + peer(["snmpget", "-v2c", "-c", "public", f"127.0.0.1:{SNMP}", *oids]))
    return None


if __name__ == "__main__":
    main()
