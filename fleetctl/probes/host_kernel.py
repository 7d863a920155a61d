"""Reads new records of the kernel log, inside the loop on the host. Sent there as source; python3.6 and newer.

The first call says what the ring holds (the last 64 KiB of it), later calls what came since. Lines are printed as
`dmesg --time-format=iso` prints them, so that one reader does for every source.
"""

import os
import time

LIMIT = 65536
_state = {"fd": -1}


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ",%06d+00:00" % int(seconds % 1 * 1000000)


def _boot_at() -> float:
    """Epoch seconds at which the log's clock was zero. It stands still while the host sleeps, servers do not."""
    return time.time() - time.monotonic()


def read() -> str:
    """Raises PermissionError where the kernel log is for root only; the loop then runs the command instead."""
    if _state["fd"] < 0:
        _state["fd"] = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    boot, lines, size = _boot_at(), [], 0
    while True:
        try:
            record = os.read(_state["fd"], 8192)
        except BlockingIOError:
            break
        except BrokenPipeError:  # the ring turned over before we read it: go on with what is there
            lines.append("fleetctl: kernel log lines were lost")
            continue
        head, _, text = record.partition(b";")
        cells = head.split(b",")
        first = text.split(b"\n", 1)[0]
        if len(cells) < 3 or not first:
            continue
        line = _iso(boot + int(cells[2]) / 1e6) + " " + first.decode("utf-8", "replace")
        lines.append(line)
        size += len(line)
        while size > LIMIT:
            size -= len(lines.pop(0))
    return "".join(line + "\n" for line in lines)
