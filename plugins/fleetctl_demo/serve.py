"""The child process of a demo: `python -m fleetctl_demo.serve FOLDER` serves until its standard input ends."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from fleetctl.inventory import expand
from fleetctl_demo.fleets import find_fleet, names, resized
from fleetctl_demo.folder import machines, write_folder
from fleetctl_demo.server import DemoServers, make_keys


async def serve(folder: Path, spec: dict[str, Any]) -> None:
    """Start all servers, write the folder, print `ready PATH`, and serve until stdin ends."""
    fleet = find_fleet(spec["fleet"])
    if spec["hosts"]:
        fleet = resized(fleet, spec["hosts"])
    faults: dict[str, set[str]] = {}
    every = [name for part in fleet.parts for name in names(part)]
    for kind, nodes in spec["faults"]:
        chosen = expand(nodes) if nodes else every[:: max(1, len(every) // 3)][:3]
        for name in chosen:
            faults.setdefault(name, set()).add(kind)
    hosts = machines(
        fleet, spec["seed"], {name: frozenset(kinds) for name, kinds in faults.items()}, calm=bool(spec.get("calm"))
    )
    _raise_file_limit(len(hosts) * 2 + 256)
    keys = make_keys(folder)
    servers = DemoServers(hosts, keys)
    await servers.start()
    path = write_folder(folder, fleet, servers.ports, keys, spec["interval_s"])
    print(f"ready {path}", flush=True)
    loop = asyncio.get_running_loop()
    cutting = asyncio.create_task(servers.run())
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    cutting.cancel()
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
