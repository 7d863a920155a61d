"""Runs the burns of a recheck on their hosts, many hosts at once, each burn of a host after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetctl.config.schema import Config
    from fleetctl.inventory.inventory import Inventory
    from fleetctl.model.host import Host
    from fleetctl.model.probe import Output
    from fleetctl.scheduler.burns import BurnPlan
    from fleetctl.scheduler.checks import Check
    from fleetctl.transport.pool import Connections

AT_ONCE = 32  # hosts that burn at the same time: a rack or two, which the feeds bear as they bear work
OUTPUT_BYTES = 4 << 20


def run_burns(config: Config, inventory: Inventory, plans: Mapping[str, BurnPlan]) -> dict[str, list[Check]]:
    """Host -> what its burns came to; a host without any to run is only told why. Raises no error of a host."""
    from fleetctl.scheduler.burns import not_run

    burning = {name: plan for name, plan in plans.items() if not plan.why_not}
    done = asyncio.run(_burn_all(config, inventory, burning)) if burning else {}
    return {name: not_run(plan, done.get(name, [])) for name, plan in plans.items()}


async def _burn_all(config: Config, inventory: Inventory, plans: Mapping[str, BurnPlan]) -> dict[str, list[Check]]:
    from fleetctl.transport.build import build_connections

    connections = build_connections(config)
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> tuple[str, list[Check]]:
        async with limit:
            return name, await _burn(connections, inventory.hosts[name], plans[name])

    try:
        return dict(await asyncio.gather(*(one(name) for name in plans)))
    finally:
        await connections.close()


async def _burn(connections: Connections, host: Host, plan: BurnPlan) -> list[Check]:
    from fleetctl.scheduler.burns import SPARE_S, burn_script, read_burn

    found = []
    for group in plan.groups:
        for burn in group:
            output = await _run(connections, host, burn_script(burn), burn.limit_s + SPARE_S)
            check = read_burn(burn, output)
            if check is not None:
                found.append(check)
                break
    return found


async def _run(connections: Connections, host: Host, script: str, timeout_s: float) -> Output | str:
    from fleetctl.errors import FleetctlError

    try:
        session = await connections.session(host)
        return await session.run(script, timeout_s=timeout_s, max_bytes=OUTPUT_BYTES)
    except FleetctlError as error:
        return str(error)
