"""What `crash.py` kills and what the killed talk to.

    python benchmarks/crash_bed.py serve FOLDER HOSTS    hosts behind real SSH servers that run hooks, BMCs, a building
    python benchmarks/crash_bed.py fork                  a process that has fleetctl imported and forks commands

`serve` prints `ready PATH` and ends with its standard input. Each host keeps what its hooks did in homes/HOST/ran, each BMC
what it was asked to do in bmc.log. `fork` reads {"argv": [...], "out": "file"} per line and prints the pid that runs it:
a process of its own, killed like any other, without a second of imports before each of a thousand deaths.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from aiohttp import web

from fleetctl_demo import server as demo_server
from fleetctl_demo.building import Building, plan_halls
from fleetctl_demo.bus import BuildingServer
from fleetctl_demo.fleets import H100, Fleet, Part, SitePlan
from fleetctl_demo.folder import machines, write_folder
from fleetctl_demo.server import DemoServers, make_keys
from fleetctl_demo.shell import Ran, Shell

SETTINGS = """
[hooks]
prolog = 'echo "prolog $FLEETCTL_LEASE" >> "$HOME/ran"'
epilog = 'echo "epilog $FLEETCTL_LEASE" >> "$HOME/ran"'
timeout_s = 1
retries = 20

[[tenants]]
name = "a"

[[tenants]]
name = "b"
classes = ["urgent", "normal", "spot"]

[scheduling]
preempt = true
default_duration_s = 5
drain_grace_s = 1

[guards]
breaker_actions = 100000
"""


def fleet(hosts: int) -> Fleet:
    site = SitePlan("hub", "hub", "ops", "Shanghai", "hub", "East")
    return Fleet("crash", "hosts that are polled while their engine dies", (site,), (Part("hub", "n", hosts, H100),))


class RunningShell(Shell):
    """Runs hooks for real, in the host's own home: whether one ran twice is then a matter of fact."""

    homes = Path()

    def script(self, text: str) -> Ran:
        if ".fleetctl/hooks" not in text:
            return super().script(text)
        home = self.homes / self.machine.name
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["/bin/sh", "-c", text], env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr)


async def serve(folder: Path, hosts: int) -> None:
    RunningShell.homes = folder / "homes"
    demo_server.Shell = RunningShell  # type: ignore[misc]
    plan = fleet(hosts)
    found = machines(plan, 1, {}, calm=True)
    building = Building(plan, plan_halls(plan, found), 1, {}, True)
    keys = make_keys(folder)
    servers = DemoServers(found, keys)
    await servers.start()
    wire = BuildingServer(building.tell)
    await wire.start()
    port = await _bmcs(folder / "bmc.log", hosts)
    path = write_folder(folder, building, servers.ports, wire.port, keys, 1.0)
    text = path.read_text()
    for table in ("[[sites]]", "[[pools]]"):
        text = text.replace(table, f"{table}\nmax_drain_pct = 100.0")
    text = text.replace(f"demo://127.0.0.1:{wire.port}/bmc/{{name}}", f"redfish+http://127.77.0.{{number}}:{port}")
    path.write_text(
        text.replace("[[facility.bmcs]]", '[facility]\nbmc_action_sites = ["hub"]\n\n[[facility.bmcs]]') + SETTINGS
    )
    print(f"ready {path}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


async def _bmcs(log: Path, hosts: int) -> int:
    """One small Redfish service per host on an address of its own (127.77.0.x); returns their port."""
    system = {
        "@odata.id": "/redfish/v1/Systems/1",
        "Id": "1",
        "PowerState": "On",
        "IndicatorLED": "Off",
        "Actions": {
            "#ComputerSystem.Reset": {
                "target": "/redfish/v1/Systems/1/Reset",
                "ResetType@Redfish.AllowableValues": ["On", "PowerCycle", "ForceOff", "GracefulShutdown"],
            }
        },
    }
    power = {
        "@odata.type": "#Power.v1_3_0.Power",
        "@odata.id": "/redfish/v1/Chassis/1/Power",
        "PowerControl": [{"MemberId": "0", "PowerConsumedWatts": 531}],
    }
    resources: dict[str, Any] = {
        "/redfish/v1": {"RedfishVersion": "1.6.0", "Chassis": {"@odata.id": "/redfish/v1/Chassis"}},
        "/redfish/v1/Chassis": {"Members": [{"@odata.id": "/redfish/v1/Chassis/1"}]},
        "/redfish/v1/Chassis/1": {
            "@odata.type": "#Chassis.v1_10_2.Chassis",
            "@odata.id": "/redfish/v1/Chassis/1",
            "ChassisType": "RackMount",
            "Power": {"@odata.id": "/redfish/v1/Chassis/1/Power"},
        },
        "/redfish/v1/Chassis/1/Power": power,
        "/redfish/v1/Systems": {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]},
        "/redfish/v1/Systems/1": system,
    }

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            body = resources.get(request.path.rstrip("/"))
            return web.json_response(body or {}, status=200 if body else 404)
        with log.open("a") as file:
            host = int(request.get_extra_info("sockname")[0].rpartition(".")[2])
            file.write(f"{host} {json.dumps(await request.json())}\n")
        return web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = 0
    for number in range(1, hosts + 1):
        site = web.TCPSite(runner, f"127.77.0.{number}", port)
        await site.start()
        port = int(runner.addresses[-1][1])
    return port


def fork() -> None:
    import asyncssh  # noqa: F401

    import fleetctl.cli.alloc
    import fleetctl.cli.app
    import fleetctl.cli.bmc
    import fleetctl.cli.drain
    import fleetctl.cli.engine
    import fleetctl.cli.release
    import fleetctl.engine.engine
    import fleetctl.operations.applying
    import fleetctl.plugin
    import fleetctl.scheduler.queue
    import fleetctl.transport.ssh
    import fleetctl.views.plans

    fleetctl.plugin.load_plugins()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    for line in sys.stdin:
        task = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(task["argv"], task["out"])
        print(pid, flush=True)


def _child(argv: list[str], out: str) -> None:
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        fd = os.open(out, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        from fleetctl.cli.app import run

        code = run(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os.write(1, f"\nexit {code} {time.time():.3f}\n".encode())
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        fork()
