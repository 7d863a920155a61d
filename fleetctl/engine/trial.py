"""Trying one host by hand: connect, ask every probe once, and say what is wrong. Writes nothing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from fleetctl.clock import SystemClock
from fleetctl.collector.collector import Collector
from fleetctl.config.schema import Config
from fleetctl.errors import FleetctlError
from fleetctl.inventory import Inventory
from fleetctl.model.host import Host
from fleetctl.model.report import HostReport
from fleetctl.plugin import load_plugins
from fleetctl.transport.build import build_transports


@dataclass(frozen=True, slots=True)
class Trial:
    """How one host fared. connect_s, ask_s: seconds, None when it did not come that far; facts: of the connection;
    hint: what to do about `error`, "" when there is none."""

    host: Host
    error: str = ""
    hint: str = ""
    exit_code: int = 0
    connect_s: float | None = None
    ask_s: float | None = None
    facts: dict[str, str] = field(default_factory=dict)
    python: str = ""
    report: HostReport | None = None


async def try_hosts(config: Config, inventory: Inventory, hosts: list[Host]) -> list[Trial]:
    """Each host once, all at the same time; a host that fails is a Trial with its error."""
    plugins, _ = load_plugins()
    clock = SystemClock()
    collector = Collector(config, inventory, build_transports(config, clock=clock), plugins, clock)
    try:
        tried = await asyncio.gather(*(_connect(collector, host) for host in hosts))
        began = time.monotonic()
        reached = [trial.host for trial in tried if not trial.error]
        reports = {report.host: report for report in await collector.round_once(reached)}
        ask_s = time.monotonic() - began
    finally:
        await collector.connections.close()
    return [_with_report(trial, reports.get(trial.host.name), ask_s) for trial in tried]


async def _connect(collector: Collector, host: Host) -> Trial:
    began = time.monotonic()
    try:
        session = await collector.connections.session(host)
    except FleetctlError as error:
        return Trial(host, str(error), error.hint, error.exit_code)
    connect_s = time.monotonic() - began
    found = await session.run("command -v python3 >/dev/null 2>&1 && python3 --version", timeout_s=15)
    python = found.stdout.strip() if found.exit_status == 0 else ""
    return Trial(host, connect_s=connect_s, facts=dict(session.facts), python=python)


def _with_report(trial: Trial, report: HostReport | None, ask_s: float) -> Trial:
    if report is None:
        return trial
    error = report.error_text if report.error is not None else ""
    return Trial(
        trial.host, error, "", 6 if error else 0, trial.connect_s, ask_s, trial.facts, trial.python, report
    )  # fmt: skip
