"""The standard Linux probes: load, CPU, memory, network each round; disks, state D and who the host is now and then."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from types import MappingProxyType

from fleetctl.model.probe import Output, Probe
from fleetctl.model.reading import Device, FindingKind, ProbeFinding, ProbeResult, Reading, Value
from fleetctl.probes.text import excerpt, plausible

HOST = Device(kind="host", key="host")
COLUMNS = (
    "load1",
    "cpu_pct",
    "cores",
    "mem_used_bytes",
    "mem_total_bytes",
    "swap_used_bytes",
    "net_rx_bytes_total",
    "net_tx_bytes_total",
    "uptime_s",
)
# Raw counters of the sh form: it keeps no state, so the console takes the difference and drops these.
CPU_TOTAL, CPU_IDLE, BOOT_AT = "cpu_total_jiffies", "cpu_idle_jiffies", "boot_at_s"

_VIRTUAL = re.compile(
    r"(lo|veth|docker|br-|cali|cni|flannel|virbr|bond|team|dummy|tun|tap|wg|ovs|kube|nodelocal|vxlan)|.*\."
)
_MEMORY = {"MemTotal", "MemAvailable", "SwapTotal", "SwapFree"}
_MAX_RAW = 2048

SYSTEM_COMMAND = (
    "sed -n -e '/^cpu /p;/^btime /p;/^MemTotal:/p;/^MemAvailable:/p;/^SwapTotal:/p;/^SwapFree:/p'"
    r" -e '/^[0-9.]* [0-9.]* [0-9.]* [0-9]*\/[0-9]* /s/^/load /p' -e '/^[0-9.]* [0-9.]*$/s/^/uptime /p'"
    r" -e '/^ *[^ ]*: *[0-9]\{1,\} [ 0-9]\{28,\}$/s/^/net /p'"
    " /proc/loadavg /proc/uptime /proc/stat /proc/meminfo /proc/net/dev"
)
SLOW_COMMAND = r"""set -- $(uname -nrm)
echo "fact hostname $1"; echo "fact kernel $2"; echo "fact arch $3"
sed -n 's/^PRETTY_NAME=/fact os /p' /etc/os-release 2>/dev/null || sed -n 's/^PRETTY_NAME=/fact os /p' /usr/lib/os-release
for pair in boot_id:/proc/sys/kernel/random/boot_id machine_id:/etc/machine-id \
  server_vendor:/sys/class/dmi/id/sys_vendor server_model:/sys/class/dmi/id/product_name; do
  { read -r line <"${pair#*:}"; } 2>/dev/null && [ -n "$line" ] && echo "fact ${pair%%:*} $line"
done
echo "cores $(getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c ^processor /proc/cpuinfo)"
set --
while read -r device where kind rest; do
  case $kind in
  ext2|ext3|ext4|xfs|btrfs|zfs|f2fs|jfs|reiserfs|overlay|vfat|bcachefs)
    case $where in *\\*) ;; *) set -- "$@" "$where" ;; esac ;;
  esac
done </proc/mounts
[ $# = 0 ] || df -Pk "$@" 2>/dev/null | sed -n 's/^[^ ]* *\([0-9]*\) *\([0-9]*\) *\([0-9]*\) *[0-9-]*% */diskk \1 \2 \3 /p'
echo "procs_d $(cat /proc/[0-9]*/stat 2>/dev/null | grep -c '^[0-9]* (.*) D ')"
"""


def _source(name: str) -> str:
    return (files("fleetctl.probes") / name).read_text(encoding="utf-8")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e18 else None


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _unreadable(text: str, output: Output) -> ProbeResult:
    raw = excerpt(output.stdout, _MAX_RAW) or excerpt(output.stderr, _MAX_RAW)
    return ProbeResult(findings=(ProbeFinding(FindingKind.UNREADABLE, text, raw=raw),))


def parse_system(output: Output) -> ProbeResult:
    """One reading of the host itself; reads the reader's two lines and the sh form's excerpts of /proc."""
    if output.stdout.startswith("host\n"):
        return _parse_row(output)
    values: dict[str, Value] = {}
    memory: dict[str, int] = {}
    traffic: list[tuple[int, int]] = []
    for line in output.stdout[:262144].splitlines():
        word, _, rest = line.partition(" ")
        cells = rest.split()
        if word == "load" and cells:
            values["load1"] = _number(cells[0])
        elif word == "uptime" and cells:
            values["uptime_s"] = _number(cells[0])
        elif word == "btime" and cells:
            values[BOOT_AT] = _whole(cells[0])
        elif word == "cpu":
            numbers = [_whole(cell) for cell in cells[:8]]
            if len(numbers) >= 5 and None not in numbers:
                known = [n for n in numbers if n is not None]
                values[CPU_TOTAL], values[CPU_IDLE] = sum(known), known[3] + known[4]
        elif word == "net":
            name, _, counts = rest.partition(":")
            cells = counts.split()
            if len(cells) >= 9 and not _VIRTUAL.match(name.strip()):
                received, sent = _whole(cells[0]), _whole(cells[8])
                if received is not None and sent is not None:
                    traffic.append((received, sent))
        elif word.endswith(":") and word[:-1] in _MEMORY and cells:
            kib = _whole(cells[0])
            if kib is not None:
                memory[word[:-1]] = kib * 1024
    if not values:
        return _unreadable("nothing of /proc could be read", output)
    counters = {name: values.pop(name, None) for name in (CPU_TOTAL, CPU_IDLE, BOOT_AT) if name in values}
    values |= _memory_values(memory)
    if traffic:
        values["net_rx_bytes_total"] = sum(received for received, _ in traffic)
        values["net_tx_bytes_total"] = sum(sent for _, sent in traffic)
    return _told(values, counters)


def _memory_values(memory: dict[str, int]) -> dict[str, Value]:
    values: dict[str, Value] = {"mem_total_bytes": memory.get("MemTotal")}
    if "MemTotal" in memory and "MemAvailable" in memory:
        values["mem_used_bytes"] = memory["MemTotal"] - memory["MemAvailable"]
    if "SwapTotal" in memory and "SwapFree" in memory:
        values["swap_used_bytes"] = memory["SwapTotal"] - memory["SwapFree"]
    return values


def _parse_row(output: Output) -> ProbeResult:
    try:
        (row,) = json.loads(output.stdout.partition("\n")[2][:65536])
        values = dict(zip(COLUMNS, row, strict=True))
    except (ValueError, TypeError, RecursionError):
        return _unreadable("the reader's row cannot be read", output)
    if not all(value is None or type(value) in (int, float) for value in values.values()):
        return _unreadable("the reader's row holds something that is no number", output)
    return _told(values)


def _told(values: Mapping[str, Value], beside: Mapping[str, Value] = MappingProxyType({})) -> ProbeResult:
    """A reading of what a host can have; the rest is unknown, and said. beside: counters that are no metrics."""
    impossible = [name for name, value in values.items() if value is not None and not plausible(name, value)]
    kept = {name: None if name in impossible else value for name, value in values.items()}
    findings = tuple(
        ProbeFinding(FindingKind.UNREADABLE, f"{name} cannot be that", raw=str(values[name])[:80])
        for name in impossible
    )
    return ProbeResult(readings=(Reading(HOST, kept | dict(beside)),), findings=findings)


def parse_slow(output: Output) -> ProbeResult:
    """Facts of the host, its fullest local file system, and how many processes are in state D."""
    values: dict[str, Value] = {}
    facts: dict[str, str] = {}
    fullest: tuple[float, int, str] | None = None
    for line in output.stdout[:262144].splitlines():
        word, _, rest = line.partition(" ")
        if word == "fact":
            name, _, text = rest.partition(" ")
            if name.isidentifier() and text:
                facts[name] = "".join(c for c in text.strip("\"' ") if c.isprintable())[:200]
        elif word in ("disk", "diskk"):
            cells = rest.split(" ", 3)
            numbers = [_whole(cell) for cell in cells[:3]]
            if len(cells) == 4 and None not in numbers:
                unit = 1024 if word == "diskk" else 1
                _, used, free = ((n or 0) * unit for n in numbers)
                if used + free > 0:
                    full = (100.0 * used / (used + free), free, cells[3])
                    fullest = full if fullest is None or full[0] > fullest[0] else fullest
        elif word in ("procs_d", "cores"):
            values[word] = _whole(rest.strip())
    if fullest is not None:
        values["disk_used_pct"], values["disk_free_bytes"] = round(fullest[0], 1), fullest[1]
        facts["disk_fullest"] = "".join(c for c in fullest[2] if c.isprintable())[:200]
    if not values and not facts:
        return _unreadable("nothing about the host could be read", output)
    told = _told(values)
    return replace(told, readings=told.readings if values else (), facts=facts)


def system_probes(slow_interval_s: float) -> tuple[tuple[Probe, bool], ...]:
    """(probe, may it run inside the loop itself) for the standard ones."""
    quick = Probe(
        name="system",
        command=SYSTEM_COMMAND,
        parse=parse_system,
        timeout_s=5.0,
        python=_source("host_system.py"),
        columns=COLUMNS,
        doc="load, CPU, memory, network, uptime from /proc",
    )
    slow = Probe(
        name="system.slow",
        command=SLOW_COMMAND,
        parse=parse_slow,
        timeout_s=10.0,
        every_s=slow_interval_s,
        python=_source("host_slow.py"),
        doc="local file systems, processes in state D, kernel, operating system, names and ids of the host",
    )
    return ((quick, True), (slow, False))
