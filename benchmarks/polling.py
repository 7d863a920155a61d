"""Client CPU per host and round: our three ways beside clush with kept ControlMaster connections, on real sshd hosts.

    python benchmarks/polling.py [--hosts 50] [--bed ../shared/testbed/hosts/hostbed.py]

Starts its own hosts on loopback and ends them. Every way runs in a process of its own; CPU is user + system time, the
ssh masters' included. The hosts' own CPU does not count here (benchmarks/host_loop.py does that).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
STREAM_S = 15.0
CARDS_READER = """
import json, random
COLUMNS = 19
def read():
    rows = [[random.randint(0, 100), random.randint(0, 100)] + [random.randint(0, 1 << 36) for _ in range(2)]
            + [random.randint(0, 2000) for _ in range(COLUMNS - 4)] for _ in range(8)]
    head = "".join("card %d GPU-%032x Accelerator 80GB\\n" % (n, n) for n in range(8))
    return head + json.dumps(rows, separators=(",", ":")) + "\\n"
"""
CARD_COLUMNS = (
    "util_pct", "mem_util_pct", "mem_used_bytes", "mem_total_bytes", "power_w", "power_cap_w", "temp_c", "mem_temp_c",
    "clock_mhz", "clock_max_mhz", "mem_clock_mhz", "fan_pct", "throttled", "ecc_corrected_total",
    "ecc_uncorrected_total", "pcie_gen", "pcie_width", "energy_j", "procs",
)  # fmt: skip


def cpu_s(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def our_collector(bed: Path, loop: str, interval_s: float):
    from fleetctl.collector.collector import Collector
    from fleetctl.config.schema import Config, HostGroup, Poll, Site, Ssh
    from fleetctl.inventory.inventory import build_inventory
    from fleetctl.model.probe import Output, Probe
    from fleetctl.model.reading import Device, ProbeResult, Reading
    from fleetctl.plugin import Plugin
    from fleetctl.transport.build import build_transports

    def parse(output: Output) -> ProbeResult:
        *heads, last = output.stdout.rstrip("\n").split("\n")
        devices = [Device("card", head.split()[2], model="Accelerator 80GB") for head in heads]
        rows = json.loads(last)
        return ProbeResult(
            tuple(Reading(d, dict(zip(CARD_COLUMNS, row, strict=True))) for d, row in zip(devices, rows, strict=True))
        )

    command = f"/usr/bin/python3 -S -E -c '{CARDS_READER}\nprint(read(), end=\"\")'" if loop == "once-cards" else ""
    probe = Probe("bench.cards", command, parse, python=CARDS_READER, columns=CARD_COLUMNS)
    hosts = json.loads((bed / "hosts.json").read_text())
    config = Config(
        sites=tuple(Site(name=site, max_connecting=64) for site in sorted({host["site"] for host in hosts})),
        hosts=tuple(HostGroup(nodes=host["name"], site=host["site"]) for host in hosts),
        poll=Poll(interval_s=interval_s, slow_interval_s=300.0),
        ssh=Ssh(
            loop=loop,
            config=str(bed / "ssh_config"),
            known_hosts=str(bed / "known_hosts"),
            identity_files=(str(bed / "keys/client"),),
            host_keys=str(bed / "accepted"),
            connects_per_second=1000.0,
            max_connecting=64,
        ),
    )
    plugins = [Plugin(name="bench", title="bench", probes=(probe,))] if loop == "python" else []
    return Collector(config, build_inventory(config), build_transports(config), plugins)


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def keep(bed: Path, loop: str) -> dict[str, float]:
    """Connect, wait until all hosts have answered twice, then measure."""
    interval_s = 1.0 if loop == "python" else 2.0
    collector = our_collector(bed, loop, interval_s)
    before = rss_bytes()
    heard: dict[str, int] = {}
    cards = 0

    async def take(slot: int, reports: list) -> None:
        nonlocal cards
        for report in reports:
            if report.error is None:
                heard[report.host] = heard.get(report.host, 0) + 1
                cards = max(cards, *(len(block.rows) for block in report.blocks if block.kind != "sensor"))

    started = cpu_s(resource.RUSAGE_SELF)
    task = asyncio.create_task(collector.run(take))
    wanted = len(collector.inventory.hosts)
    for _ in range(60):
        await asyncio.sleep(1.0)
        if sum(count >= 2 for count in heard.values()) == wanted:
            break
    else:
        raise SystemExit(f"{wanted - len(heard)} hosts never answered")
    connected = cpu_s(resource.RUSAGE_SELF)
    polled = sum(poll.frames for poll in collector.polls.values())
    await asyncio.sleep(STREAM_S)
    used = cpu_s(resource.RUSAGE_SELF) - connected
    polled = sum(poll.frames for poll in collector.polls.values()) - polled
    memory = rss_bytes() - before
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return {
        "ms": used * 1000 / polled,
        "setup_ms": (connected - started) * 1000 / wanted,
        "kib": memory / 1024 / wanted,
        "polls": polled,
        "rows": cards,
    }


async def once(bed: Path) -> dict[str, float]:
    reports = await our_collector(bed, "auto", 60.0).round_once()
    return {"ok": sum(report.error is None for report in reports), "hosts": len(reports)}


def child(bed: Path, way: str) -> tuple[dict[str, float], float]:
    """Run one way in a fresh process: what it says, and the CPU seconds of the whole process."""
    before = cpu_s(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, __file__, "--way", way, "--dir", str(bed)], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout), cpu_s(resource.RUSAGE_CHILDREN) - before


def masters(control: Path) -> list[Path]:
    """The ssh processes that hold the kept connections."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(control).encode() in (entry / "cmdline").read_bytes():
                found.append(entry)
    return found


def cpu_of(processes: list[Path]) -> float:
    total = 0
    for entry in processes:
        with contextlib.suppress(OSError):
            total += sum(map(int, (entry / "stat").read_text().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def memory_of(processes: list[Path]) -> int:
    total = 0
    for entry in processes:
        with contextlib.suppress(OSError):
            for line in (entry / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def clush(bed: Path, names: list[str]) -> tuple[float, float]:
    """(CPU ms per host and round with warm masters, KiB per host)."""
    with tempfile.TemporaryDirectory(prefix="cm") as control:
        options = (
            f"-F {bed}/ssh_config -o ControlMaster=auto -o ControlPath={control}/%C -o ControlPersist=120 "
            "-o KexAlgorithms=curve25519-sha256"
        )
        doubled = options.replace("%", "%%")  # clush reads them as a configuration value
        tool = Path(sys.executable).with_name("clush")
        command = [str(tool), "-f", "64", "-w", ",".join(names), "-o", doubled, "cat /proc/loadavg"]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        held = masters(Path(control))
        before = cpu_s(resource.RUSAGE_CHILDREN) + cpu_of(held)
        lines = 0
        for _ in range(ROUNDS):
            lines += subprocess.run(command, capture_output=True, check=False, text=True).stdout.count("\n")
        used = cpu_s(resource.RUSAGE_CHILDREN) + cpu_of(held) - before
        kib = memory_of(held) / len(names)
        for name in names:
            exit_command = ["ssh", *options.split(), "-O", "exit", name]
            subprocess.run(exit_command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if lines != ROUNDS * len(names):
        print(f"clush answered for {lines} of {ROUNDS * len(names)}", file=sys.stderr)
    return used * 1000 / (ROUNDS * len(names)), kib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--bed", type=Path, default=Path("../shared/testbed/hosts/hostbed.py"))
    parser.add_argument("--only", nargs="*", default=["python", "sh", "exec", "once"], help="ways to run")
    parser.add_argument("--way", choices=("python", "sh", "exec", "once"), help=argparse.SUPPRESS)
    parser.add_argument("--dir", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        work = once(args.dir) if args.way == "once" else keep(args.dir, args.way)
        from fleetctl.engine import loop

        print(json.dumps(loop.run(work)))
        return
    with tempfile.TemporaryDirectory(prefix="bed") as folder:
        os.chmod(folder, 0o755)  # the hosts' users pass through it
        bed = Path(folder) / "b"
        run = [sys.executable, str(args.bed)]
        subprocess.run([*run, "start", "--dir", str(bed), "-n", str(args.hosts)], stdout=subprocess.DEVNULL, check=True)
        try:
            names = [host["name"] for host in json.loads((bed / "hosts.json").read_text())]
            began = time.monotonic()
            peer_ms, peer_kib = clush(bed, names)
            print(f"{len(names)} hosts, CPU of the client per host and round, load {os.getloadavg()[0]:.1f}\n")
            print(f"{'way':44} {'ms':>8} {'ratio':>7} {'target':>7}  remarks")
            print(
                f"{'clush, fanout 64, ControlMaster kept':44} {peer_ms:8.3f} {1:7.3f} {'':7}  {peer_kib:.0f} KiB/host"
            )
            for way, title, target in (
                ("python", "streamed frame, 8 cards, parsed to blocks", "0.012"),
                ("sh", "sh loop, one line and one frame per round", "-"),
                ("exec", "kept connection, one script per round", "0.08"),
            ):
                if way not in args.only:
                    continue
                said, _ = child(bed, way)
                remarks = f"set-up {said['setup_ms']:.1f} ms, {said['kib']:.0f} KiB/host, {said['polls']:.0f} polls"
                print(f"{title:44} {said['ms']:8.3f} {said['ms'] / peer_ms:7.3f} {target:>7}  {remarks}")
            if "once" not in args.only:
                return
            said, used = child(bed, "once")
            ms = used * 1000 / len(names)
            goal = "0.5" if len(names) >= 200 else "0.8"
            ok = f"{said['ok']:.0f} of {said['hosts']:.0f} answered, start of python included"
            print(f"{'one-shot: connect, ask once, close':44} {ms:8.3f} {ms / peer_ms:7.3f} {goal:>7}  {ok}")
            print(f"\n{time.monotonic() - began:.0f} s")
        finally:
            subprocess.run([*run, "stop", "--dir", str(bed), "--rm"], stdout=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
