"""The slow lane at scale: 2,000 Redfish, 4,000 SNMP and 500 Modbus sources, each every 10 s, on loopback.

    python benchmarks/facility.py [--seconds 30] [--share 1.0] [--only bmc,pdu,meter] [--hanging 0.05] [--plain]
                                  [--huge 64] [--asyncio] [--profile FILE]

Redfish over TLS with an address of its own each and Modbus are served by `facility_peers.py`, SNMP by net-snmp's own
snmpd (Debian: snmpd), all in processes of their own. Measured is the CPU time and memory of the collecting process,
store included, after everybody has been read completely once (and TLS is set up). --hanging: that share of all takes
connections and never answers; --huge: so many more answer with 100 MB. Beside it stands what one poll costs with the
tools that a shell script would start: curl and snmpget.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import hashlib
import logging
import os
import resource
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facility_peers import HOLE, HUGE, MODBUS, REDFISH, UDP_HOLE, address

from fleetctl.clock import SystemClock
from fleetctl.collector.facility import FacilityCollector
from fleetctl.config.schema import Config
from fleetctl.engine import loop
from fleetctl.engine.facility import FacilityKeeper
from fleetctl.facility.endpoints import Asked
from fleetctl.inventory import build_inventory
from fleetctl.model.facility import EndpointResult
from fleetctl.store.database import Database

EVERY_S, TIMEOUT_S = 10.0, 20.0
WARM_MAX_S = 180.0
SNMP = 18_161
KINDS = {"bmc": 2_000, "pdu": 4_000, "meter": 500}
MAP = "\n".join(
    ['title = "ten counters of net-snmp itself"', 'source = "SNMPv2-MIB"', 'present = ["1.3.6.1.2.1.11"]']
    + [
        f'[[point]]\noid = "1.3.6.1.2.1.11.{i}.0"\nquantity = "value"\nwhere = "counter {i}"'
        for i in (1, 3, 4, 5, 6, 30, 31, 32)
    ]
    + ['[[point]]\noid = "1.3.6.1.2.1.1.3.0"\nquantity = "value"\nwhere = "uptime"']
)


@contextlib.contextmanager
def servers(folder: Path, count: int, *, tls: bool) -> Iterator[str]:
    """The peers while the block runs; yields the SHA-256 of their certificate ("" without TLS)."""
    certificate, pin = "-", ""
    if tls:
        key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
        make = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=bmc",
            "-days",
            "2",
        ]
        subprocess.run([*make, "-keyout", key, "-out", cert], check=True, capture_output=True)
        both.write_text(key.read_text() + cert.read_text())
        certificate, pin = str(both), hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest()
    me = [sys.executable, str(Path(__file__).with_name("facility_peers.py")), certificate, str(count)]
    running = [subprocess.Popen(me, stdout=subprocess.PIPE)]
    snmpd = shutil.which("snmpd") or "/usr/sbin/snmpd"
    (folder / "snmpd.conf").write_text(f"agentAddress udp:127.0.0.1:{SNMP}\nrocommunity public\n")
    command = [snmpd, "-f", "-C", "-c", str(folder / "snmpd.conf"), "-Lf", "/dev/null"]
    running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        assert running[0].stdout is not None
        running[0].stdout.readline()  # "ready"
        yield pin
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait()


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def asked(given: argparse.Namespace, folder: Path, pin: str) -> dict[str, Asked]:
    """Everybody by name; names of the hanging end in "!", of those with huge answers in "+"."""
    (folder / "bench.toml").write_text(MAP)
    http = "https" if pin else "http"
    every = round(1 / given.hanging) if given.hanging else 0
    out: dict[str, Asked] = {}
    for kind in given.only.split(","):
        for i in range(int(KINDS[kind] * given.share)):
            hangs = every and i % every == 0
            url = {
                "bmc": f"{http}://127.0.0.1:{HOLE}" if hangs else f"{http}://{address(i)}:{REDFISH}",
                "pdu": f"snmp://127.0.0.1:{UDP_HOLE if hangs else SNMP}",
                "meter": f"modbus://127.0.0.1:{HOLE if hangs else MODBUS}/1",
            }[kind]
            at = {"bmc": "", "pdu": str(folder / "bench.toml"), "meter": "siemens-pac2200"}[kind]
            name = f"{kind}{i}{'!' if hangs else ''}"
            out[name] = Asked(name, kind, url, "s", EVERY_S, 1e9, TIMEOUT_S, map=at, tls_pin=pin)
    for i in range(given.huge):
        out[f"huge{i}+"] = Asked(
            f"huge{i}+", "bmc", f"{http}://127.0.0.1:{HUGE}", "s", EVERY_S, 1e9, TIMEOUT_S, tls_pin=pin
        )
    return out


@dataclass
class Seen:
    """What came in since the last `clear`."""

    polls: dict[str, int] = field(default_factory=dict)
    readings: int = 0
    failed: int = 0
    late: list[float] = field(default_factory=list)  # s behind the pace, of those that answer
    store_cpu: float = 0.0
    last: dict[str, float] = field(default_factory=dict)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def everybody(self, count: int) -> None:
        while len(self.last) < count:
            self.came.clear()
            await self.came.wait()

    def clear(self) -> None:
        self.polls, self.readings, self.failed, self.late, self.store_cpu = {}, 0, 0, [], 0.0

    def add(self, one: EndpointResult) -> None:
        if one.name[-1] in "!+":
            return
        self.polls[one.kind] = self.polls.get(one.kind, 0) + 1
        self.readings += len(one.report.readings) if one.report else 0
        self.failed += one.report is None
        if one.name in self.last:
            self.late.append(max(0.0, one.at - self.last[one.name] - EVERY_S))
        self.last[one.name] = one.at
        self.came.set()


async def measure(given: argparse.Namespace, folder: Path, pin: str) -> None:
    config = Config()
    inventory = build_inventory(config)
    endpoints = asked(given, folder, pin)
    lane = FacilityCollector(config, inventory, SystemClock(), asked=endpoints)
    keeper = FacilityKeeper(config, inventory)
    seen = Seen()
    bare = rss_mib()
    with Database.open(folder / "bench.db", write=True) as db:

        def save(results: list[EndpointResult]) -> None:
            began = time.thread_time()
            keeper.save(db, results, time.time())
            seen.store_cpu += time.thread_time() - began

        async def keep(results: list[EndpointResult]) -> None:
            for one in results:
                seen.add(one)
            await asyncio.to_thread(save, results)

        living = sum(name[-1] not in "!+" for name in endpoints)
        began, cpu = time.monotonic(), cpu_s()
        task = asyncio.create_task(lane.run(keep))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(seen.everybody(living), WARM_MAX_S)
        print(
            f"first readings   {time.monotonic() - began:>8.0f} s   {cpu_s() - cpu:.0f} s of CPU, TLS set-up included"
        )
        await asyncio.sleep(2 * EVERY_S)  # polls, not readings, from here on
        seen.clear()
        profile = cProfile.Profile() if given.profile else None
        if profile:
            profile.enable()
        began, cpu = time.monotonic(), cpu_s()
        await asyncio.sleep(given.seconds)
        wall, used = time.monotonic() - began, cpu_s() - cpu
        if profile:
            profile.disable()
            profile.dump_stats(given.profile)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    polls = sum(seen.polls.values())
    late = sorted(seen.late)
    each = ", ".join(f"{k} {v}" for k, v in sorted(seen.polls.items()))
    if len(seen.last) < living:
        print(f"never answered   {living - len(seen.last):>8}")
    print(f"endpoints        {len(endpoints):>8}   {len(endpoints) - living} of them hang or answer with 100 MB")
    print(f"polls            {polls / wall:>8.0f} /s   {polls / wall / (living / EVERY_S):.0%} of pace; {each}")
    print(f"failed           {seen.failed:>8}   of those that should answer")
    print(f"readings stored  {seen.readings / wall:>8.0f} /s")
    print(f"CPU              {used / wall:>8.2f} cores   {1000 * used / max(1, polls):.2f} ms per poll:")
    print(
        f"  asking, decoding {(used - seen.store_cpu) / wall:>6.2f}         {1000 * (used - seen.store_cpu) / max(1, polls):.2f}"
    )
    print(f"  store, judging   {seen.store_cpu / wall:>6.2f}         {1000 * seen.store_cpu / max(1, polls):.2f}")
    if late:
        at = [late[int(len(late) * p)] for p in (0.5, 0.99, 0.999)]
        print(f"behind the pace  median {at[0]:.2f} s, p99 {at[1]:.2f} s, p99.9 {at[2]:.2f} s, most {late[-1]:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory           {rss_mib():>8.0f} MiB   peak {peak:.0f}, before the first question {bare:.0f}")


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--share", type=float, default=1.0, help="part of the 6,500 sources")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, with commas between")
    parser.add_argument("--hanging", type=float, default=0.0, help="part that never answers")
    parser.add_argument("--huge", type=int, default=0, help="services beside them that answer with 100 MB")
    parser.add_argument("--plain", action="store_true", help="Redfish without TLS")
    parser.add_argument("--asyncio", action="store_true", help="on asyncio's own loop where uvloop is installed")
    parser.add_argument("--profile", default="", help="write cProfile's figures of the loop's thread")
    given = parser.parse_args()
    if given.asyncio:
        sys.modules["uvloop"] = None  # type: ignore[assignment]  # importing it fails from here on
    logging.getLogger("fleetctl.facility").setLevel(logging.ERROR)  # the hanging ones are told of in the figures
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    with tempfile.TemporaryDirectory() as name, servers(Path(name), KINDS["bmc"], tls=not given.plain) as pin:
        loop.run(measure(given, Path(name), pin))
        print("beside it, one process per poll:")
        scheme = "http" if given.plain else "https"
        print("  " + peer(["curl", "-sk", f"{scheme}://{address(0)}:{REDFISH}/redfish/v1/Chassis/1/Power"]))
        oids = [f"1.3.6.1.2.1.11.{i}.0" for i in (1, 3, 4, 5, 6, 30, 31, 32)]
        print("  " + peer(["snmpget", "-v2c", "-c", "public", f"127.0.0.1:{SNMP}", *oids]))


if __name__ == "__main__":
    main()
