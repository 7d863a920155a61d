"""Reads what changes slowly on a Linux host: file systems, processes in state D, who the host is.

Sent to the host as source and run in a child of the loop, because asking a file system may hang. python3.6 and newer.
"""

import os
import platform

LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "overlay", "vfat", "bcachefs")


def _first_line(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _unescape(text: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text


def _disks() -> "list[str]":
    """One line per local file system: total, used, free bytes and where; network file systems are not asked."""
    lines, seen = [], set()
    with open("/proc/mounts", errors="replace") as file:
        for line in file:
            cells = line.split()
            if len(cells) < 3 or cells[2] not in LOCAL or cells[0] in seen:
                continue
            try:
                stat = os.statvfs(_unescape(cells[1]))
            except OSError:
                continue
            if not stat.f_blocks:
                continue
            seen.add(cells[0])
            used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize
            free = stat.f_bavail * stat.f_frsize
            lines.append("disk %d %d %d %s" % (stat.f_blocks * stat.f_frsize, used, free, cells[1]))
    return lines


def _in_state_d() -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    if file.read(512).rpartition(b")")[2][:3] == b" D ":
                        count += 1
            except OSError:  # it ended meanwhile
                pass
    return count


def _os_name() -> str:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, errors="replace") as file:
                for line in file:
                    if line.startswith("PRETTY_NAME="):
                        return line.partition("=")[2].strip().strip("\"'")
        except OSError:
            pass
    return ""


def read() -> str:
    """`fact NAME TEXT`, `disk TOTAL USED FREE WHERE` and `procs_d N` lines."""
    uname = platform.uname()
    facts = [
        ("hostname", uname.node),
        ("kernel", uname.release),
        ("arch", uname.machine),
        ("os", _os_name()),
        ("boot_id", _first_line("/proc/sys/kernel/random/boot_id")),
        ("machine_id", _first_line("/etc/machine-id")),
        ("server_vendor", _first_line("/sys/class/dmi/id/sys_vendor")),
        ("server_model", _first_line("/sys/class/dmi/id/product_name")),
    ]
    lines = ["fact %s %s" % pair for pair in facts if pair[1]]
    lines.extend(_disks())
    lines.append("procs_d %d" % _in_state_d())
    return "\n".join(lines) + "\n"
