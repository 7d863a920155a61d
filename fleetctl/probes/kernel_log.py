"""The kernel log: new lines only, handed to every plugin's reader of fault lines, and the faults any Linux knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files

from fleetctl.model.probe import Outcome, Output, Probe
from fleetctl.model.reading import Fault, FaultAction, FindingKind, ProbeFinding, ProbeResult
from fleetctl.plugin.catalogue import ladder

NAME = "kernel.log"
FaultReader = Callable[[Sequence[str]], tuple[Fault, ...]]

COMMAND = r"""t() { "$@" 2>/dev/null | tail -n 300; }
out=$(t dmesg --time-format=iso)
[ -n "$out" ] || out=$(t journalctl -k -q --no-pager -n 300 -o short-iso-precise)
if [ -z "$out" ]; then
  out=$(t dmesg)
  read -r up rest </proc/uptime
  [ -z "$out" ] || echo "#uptime $up $(date +%s)"
fi
[ -n "$out" ] || { dmesg >/dev/null || exit 77; }
printf '%s\n' "$out"
"""

_ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d{1,6}))?(Z|[+-]\d\d:?\d\d)? (.*)")
_SINCE_BOOT = re.compile(r"\[ *(\d{1,12}\.\d{1,9})\] ?(.*)")
_JOURNAL = re.compile(r"\S{1,255} kernel: (.*)")
_MAX_LINE = 1024
_MARKS = 3  # lines in a row that say where the last reading ended
_SAME_S = 2.0  # two readings of one line differ by this much at most: the log's clock is compared anew each time

# What Linux itself says; vendors' lines belong to plugins. (words, code, what it means, action)
_GENERIC: tuple[tuple[re.Pattern[str], str, str, FaultAction], ...] = (
    (re.compile(r"Out of memory: Killed process|Memory cgroup out of memory: Killed"), "oom",
     "the kernel ended a process because memory ran out", FaultAction.RESTART_WORK),
    (re.compile(r"blocked for more than \d+ seconds"), "hung_task",
     "a process waits in the kernel and does not come back", FaultAction.STOP_NEW_WORK),
    (re.compile(r"soft lockup|hard LOCKUP|rcu.{0,30}(?:self-detected stall|detected stalls)"), "lockup",
     "a processor did not answer in time", FaultAction.STOP_NEW_WORK),
    (re.compile(r"Machine check events logged|\[Hardware Error\]|mce: .{0,80}Hardware Error"), "mce",
     "the processor or its memory reported a hardware error", FaultAction.OBSERVE),
    (re.compile(r"EDAC .{0,80}\bUE\b|Uncorrected error, .{0,20}memory"), "memory_ue",
     "an uncorrected error in main memory", FaultAction.REPAIR),
    (re.compile(r"(?:EXT4-fs error|XFS .{0,80}(?:Corruption|shutting down)|BTRFS (?:error|critical))"), "filesystem",
     "a file system found itself damaged", FaultAction.REPAIR),
    (re.compile(r"Remounting filesystem read-only"), "read_only",
     "a file system became read-only", FaultAction.STOP_NEW_WORK),
    (re.compile(r"(?:blk_update_request: )?(?:I/O error|critical medium error), dev"), "disk_io",
     "a disk failed to read or write", FaultAction.OBSERVE),
    (re.compile(r"AER: .{0,40}(?:Uncorrected|Fatal)|AER: Multiple Uncorrected"), "pcie_aer",
     "an uncorrected error on PCIe", FaultAction.OBSERVE),
    (re.compile(r"CPU\d+: (?:Core|Package) temperature above threshold"), "cpu_thermal",
     "a processor is held back by heat", FaultAction.OBSERVE),
)  # fmt: skip


def canonical_lines(text: str) -> list[tuple[float | None, str]]:
    """(epoch seconds or None, line as `dmesg --time-format=iso` prints it) of any form the sources give."""
    boot: float | None = None
    found: list[tuple[float | None, str]] = []
    for line in text.splitlines():
        line = "".join(c for c in line[:_MAX_LINE] if c.isprintable() or c == "\t")
        if line.startswith("#uptime "):
            try:
                up, now = line.split()[1:3]
                boot = float(now) - float(up)
            except ValueError:
                boot = None
            continue
        iso, since = _ISO.match(line), _SINCE_BOOT.match(line)
        if iso is not None:
            at = _stamp(iso[1], iso[2], iso[3])
            rest = iso[4]
            journal = _JOURNAL.match(rest)
            found.append((at, f"{_iso(at)} {journal[1] if journal else rest}" if at is not None else rest))
        elif since is not None and boot is not None:
            at = boot + float(since[1])
            found.append((at, f"{_iso(at)} {since[2]}"))
        elif line:
            found.append((None, line))
    return found


def _stamp(day: str, fraction: str | None, zone: str | None) -> float | None:
    offset = "+00:00" if zone in (None, "Z") else str(zone)
    if ":" not in offset:
        offset = offset[:3] + ":" + offset[3:]
    try:
        return datetime.fromisoformat(f"{day}.{(fraction or '0'):0<6}{offset}").timestamp()
    except (ValueError, OverflowError):
        return None


def _iso(at: float | None) -> str:
    try:
        return datetime.fromtimestamp(at or 0.0, UTC).isoformat(timespec="microseconds").replace(".", ",")
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00,000000+00:00"


def linux_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """Faults any Linux kernel names, repeats of one code folded."""
    found: dict[str, Fault] = {}
    for line in lines:
        for words, code, meaning, action in _GENERIC:
            if words.search(line):
                old = found.get(code)
                stamp = _ISO.match(line)
                found[code] = Fault(
                    vendor="linux",
                    family="kernel",
                    code=code,
                    text=line[:400],
                    action=action,
                    meaning=meaning,
                    at=_stamp(stamp[1], stamp[2], stamp[3]) if stamp else None,
                    count=old.count + 1 if old else 1,
                )
                break
    return tuple(found.values())


@dataclass(slots=True)
class KernelLog:
    """Where one host's kernel log was left off, so that what is read twice is told once.

    A new connection, and the command every time, start with lines that were read before; the python reader goes on
    where it was. The last lines are recognised by their text and, roughly, their time: the log's clock is compared
    anew each time, and the host's clock may be set meanwhile.
    """

    readers: tuple[FaultReader, ...]
    last: tuple[tuple[float | None, int], ...] = ()

    def take(self, text: str) -> tuple[Fault, ...]:
        """Faults in lines not seen before."""
        lines = canonical_lines(text)
        if not lines:
            return ()
        marks = [(at, hash(line.partition(" ")[2] if at is not None else line)) for at, line in lines]
        fresh = [line for _, line in lines[self._known(marks) :]]
        self.last = tuple((*self.last, *marks)[-_MARKS:])
        return fold(ladder().judge(fault) for reader in self.readers for fault in reader(fresh)) if fresh else ()

    def _known(self, marks: list[tuple[float | None, int]]) -> int:
        """How many lines at the start were seen: up to the last place where the remembered ones stand in a row."""
        size = len(self.last)
        if not size:
            return 0
        for end in range(len(marks), size - 1, -1):
            if all(_same(a, b) for a, b in zip(marks[end - size : end], self.last, strict=True)):
                return end
        return 0


def _same(a: tuple[float | None, int], b: tuple[float | None, int]) -> bool:
    if a[1] != b[1]:
        return False
    return a[0] is None or b[0] is None or abs(a[0] - b[0]) <= _SAME_S


def fold(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """One fault per vendor, family, code and device, the last one with the sum of counts."""
    folded: dict[tuple[str, str, str, str | None], Fault] = {}
    for fault in faults:
        key = (fault.vendor, fault.family, fault.code, fault.device)
        old = folded.get(key)
        folded[key] = fault if old is None else replace(fault, count=old.count + fault.count)
    return tuple(folded.values())


def parse_access(output: Output) -> ProbeResult:
    """What the log's state is; its lines go through `KernelLog`, which remembers."""
    if output.outcome is Outcome.DONE and output.exit_status != 0:
        text = "the kernel log may not be read: faults in it stay unseen (group adm or root may)"
        raw = output.stderr[:400]
        return ProbeResult(findings=(ProbeFinding(FindingKind.NOT_PERMITTED, text, raw=raw),))
    return ProbeResult()


def kernel_probe(every_s: float) -> Probe:
    """The probe of the kernel log. every_s: its cadence, seconds."""
    return Probe(
        name=NAME,
        command=COMMAND,
        parse=parse_access,
        timeout_s=10.0,
        every_s=every_s,
        python=(files("fleetctl.probes") / "host_kernel.py").read_text(encoding="utf-8"),
        doc="new lines of the kernel log",
    )
