"""The child process of a demo: `python -m fleetctl_demo.serve FOLDER` serves until its standard input ends."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from fleetctl.inventory import expand
from fleetctl_demo.building import Building, plan_halls
from fleetctl_demo.bus import BuildingServer
from fleetctl_demo.fleets import find_fleet, resized
from fleetctl_demo.folder import machines, write_folder
from fleetctl_demo.past import write_past
from fleetctl_demo.server import DemoServers, make_keys


async def serve(folder: Path, spec: dict[str, Any]) -> None:
    """Start all servers, write the folder, print `ready PATH`, and serve until stdin ends."""
    fleet = find_fleet(spec["fleet"])
    if spec["hosts"]:
        fleet = resized(fleet, spec["hosts"])
    lasting: dict[str, frozenset[str]] = {}
    calm = bool(spec.get("calm"))
    building = Building(fleet, plan_halls(fleet, machines(fleet, spec["seed"], {})), spec["seed"])
    for kind, nodes in spec["faults"]:
        every = building.prone(kind)
        for name in expand(nodes) if nodes else every[:: max(1, len(every) // 3)][:3]:
            lasting[name] = lasting.get(name, frozenset()) | {kind}
    hosts = machines(fleet, spec["seed"], lasting, calm=calm)
    building = Building(fleet, plan_halls(fleet, hosts), spec["seed"], lasting, calm)
    _raise_file_limit(len(hosts) * 2 + 256)
    keys = make_keys(folder)
    servers = DemoServers(hosts, keys)
    await servers.start()
    wire = BuildingServer(building.tell)
    await wire.start()
    path = write_folder(folder, building, servers.ports, wire.port, keys, spec["interval_s"])
    write_past(path, building, time.time())
    print(f"ready {path}", flush=True)
    loop = asyncio.get_running_loop()
    cutting = asyncio.create_task(servers.run())
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    cutting.cancel()
    await wire.stop()
    await servers.stop()


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted, hard)
        )


def main() -> None:
    """First line of stdin: the demo's shape as JSON; its end: stop."""
    spec = json.loads(sys.stdin.readline())
    asyncio.run(serve(Path(sys.argv[1]), spec))


if __name__ == "__main__":
    main()
