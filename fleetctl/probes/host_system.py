"""Reads a Linux host's own figures from /proc, inside the loop on the host. Sent there as source; python3.6 and newer.

Prints one line of identity and one line of values in the order of fleetctl.probes.system.COLUMNS.
"""

import os
import time

PROC = "/proc/loadavg"
_open = {}  # type: dict[str, int]
_last = [0, 0]
_nics = [0.0, ()]  # type: list[object]


def _read(path: str, size: int = 16384) -> bytes:
    """The file from its start; /proc files stay open, because opening costs more than reading."""
    fd = _open.get(path)
    if fd is None:
        fd = _open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return os.pread(fd, size, 0)


def _physical() -> "tuple[bytes, ...]":
    """Interfaces with a device behind them; where there are none (containers), all but the loopback."""
    now = time.monotonic()
    if not _nics[1] or now - float(str(_nics[0])) > 600:
        try:
            names = os.listdir("/sys/class/net")
        except OSError:
            names = []
        real = [n for n in names if os.path.exists("/sys/class/net/%s/device" % n)]
        _nics[1] = tuple(n.encode() for n in (real or [n for n in names if n != "lo"]))
        _nics[0] = now
    return _nics[1]  # type: ignore[return-value]


def _traffic() -> "tuple[str, str]":
    names = _physical()
    rx = tx = 0
    found = False
    for line in _read("/proc/net/dev", 65536).split(b"\n")[2:]:
        name, _, rest = line.partition(b":")
        if name.strip() in names:
            cells = rest.split()
            rx += int(cells[0])
            tx += int(cells[8])
            found = True
    return (str(rx), str(tx)) if found else ("null", "null")


def _memory() -> "tuple[str, str, str]":
    found = {}
    for line in _read("/proc/meminfo", 4096).split(b"\n"):
        name, _, rest = line.partition(b":")
        if name in (b"MemTotal", b"MemAvailable", b"SwapTotal", b"SwapFree"):
            found[name] = int(rest.split()[0]) * 1024
            if len(found) == 4:
                break
    total, free = found.get(b"MemTotal"), found.get(b"MemAvailable")
    swap, swap_free = found.get(b"SwapTotal"), found.get(b"SwapFree")
    return (
        "null" if total is None or free is None else str(total - free),
        "null" if total is None else str(total),
        "null" if swap is None or swap_free is None else str(swap - swap_free),
    )


def _cpu() -> str:
    """Share of time that was not idle since the last call, %; idle includes waiting for disks."""
    cells = [int(cell) for cell in _read("/proc/stat", 512).split(b"\n", 1)[0].split()[1:9]]
    total, idle = sum(cells), cells[3] + cells[4]
    spent, rested = total - _last[0], idle - _last[1]
    first = not _last[0]
    _last[:] = [total, idle]
    if first or spent <= 0:
        return "null"
    return "%.1f" % max(0.0, min(100.0, 100.0 * (1.0 - rested / float(spent))))


def _by_psutil() -> str:
    """The same row on a console whose own machine has no /proc."""
    import psutil  # type: ignore[import-untyped,unused-ignore]

    memory, swap, net = psutil.virtual_memory(), psutil.swap_memory(), psutil.net_io_counters()
    cells = (
        "%.2f" % os.getloadavg()[0],
        "%.1f" % psutil.cpu_percent(),
        str(psutil.cpu_count()),
        str(memory.total - memory.available),
        str(memory.total),
        str(swap.used),
        str(net.bytes_recv) if net else "null",
        str(net.bytes_sent) if net else "null",
        "%.2f" % (time.time() - psutil.boot_time()),
    )
    return "host\n[[" + ",".join(cells) + "]]\n"


def read() -> str:
    """Two lines: `host`, then one JSON row."""
    if not os.path.exists(PROC):
        return _by_psutil()
    load = _read("/proc/loadavg", 128).split()[0].decode()
    uptime = _read("/proc/uptime", 128).split()[0].decode()
    cores = os.sysconf("SC_NPROCESSORS_ONLN")
    rx, tx = _traffic()
    cells = (load, _cpu(), str(cores), *_memory(), rx, tx, uptime)
    return "host\n[[" + ",".join(cells) + "]]\n"
