"""A simulated host's own figures, in the text of fleetctl's readers of /proc (probes/host_system.py, host_slow.py)."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from hashlib import blake2b

from fleetctl_demo.machine import EPISODE_S, Machine

_BOOTED_S = 41 * 86400.0
_NET_BYTES_PER_S = 2.2e9  # of a host that trains: about 18 Gbit/s on average


def quick_text(machine: Machine, now: float) -> str:
    """`host` and one row: load1, cpu %, cores, memory used and total, swap used, bytes received and sent, uptime."""
    load = machine.load(now)
    wave = 0.5 + 0.5 * math.sin(now / 41.0 + len(machine.name))
    cpu = 1.5 + 26 * load + 4 * wave
    used = int(machine.mem_bytes * (0.04 + 0.38 * load + 0.02 * wave))
    uptime = uptime_s(machine, now)
    sent = int(_NET_BYTES_PER_S * 0.6 * uptime + 1e9 * wave)
    cells = [
        f"{machine.cores * cpu / 100:.2f}",
        f"{cpu:.1f}",
        str(machine.cores),
        str(used),
        str(machine.mem_bytes),
        "0",
        str(int(sent * 1.04)),
        str(sent),
        f"{uptime:.2f}",
    ]
    return "host\n[[" + ",".join(cells) + "]]\n"


def slow_text(machine: Machine, now: float, faults: Collection[str]) -> str:
    """Facts, file systems and processes in state D."""
    digest = blake2b(f"{machine.seed} {machine.name} boot".encode(), digest_size=16).hexdigest()
    boot_id = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"
    total = 1_919_850_381_312
    used = int(total * (0.973 if "disk" in faults else 0.41))
    lines = [
        f"fact hostname {machine.name}",
        "fact kernel 5.15.0-119-generic",
        "fact arch x86_64",
        "fact os Ubuntu 22.04.5 LTS",
        f"fact boot_id {boot_id}",
        f"fact machine_id {digest}",
        f"fact server_model {machine.model}",
        f"disk {total} {used} {total - used} /",
        f"disk 30725970923520 {int(30725970923520 * 0.58)} {int(30725970923520 * 0.42)} /raid",
        f"procs_d {11 if 'hang' in faults else 0}",
    ]
    return "\n".join(lines) + "\n"


def kernel_text(machine: Machine, now: float, faults: Collection[str]) -> str:
    """The kernel log's lines about what is broken now, as `dmesg --time-format=iso` prints them."""
    if machine.card is None or machine.card.plugin != "nvidia":
        return ""
    began = now - now % EPISODE_S
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S,000000+00:00", time.gmtime(began))
    lines = []
    for card in machine.cards_at(now):
        place = card.pci.removesuffix(".0")
        if card.lost:
            lines.append(
                f"{stamp} NVRM: Xid (PCI:{place}): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
            )
        elif card.ecc_uncorrected and "ecc" in faults:
            lines.append(
                f"{stamp} NVRM: Xid (PCI:{place}): 48, pid=20411, name=python3, DBE (double bit error) ECC error"
            )
    return "".join(f"{line}\n" for line in lines)


def uptime_s(machine: Machine, now: float) -> float:
    return _BOOTED_S + (now % 86400.0) + len(machine.name) * 3600.0
