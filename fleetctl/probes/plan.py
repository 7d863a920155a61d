"""Which probes a fleet's hosts are asked, and the programs that ask them: built once, sent to every host.

A host gets one of three forms (ADR 0012): the python loop, the sh loop, or one sh script per round. They speak the
same frames, so everything after the channel is the same for all of them.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib.resources import files
from typing import Any

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin

NICE = 10
BOOT_PYTHON = (
    'import os,zlib;g=lambda n,b=b"":b if len(b)>=n else g(n,b+(os.read(0,n-len(b)) or os._exit(41)));'
    "exec(zlib.decompress(g(int(g(8)))))"
)
SH_END = "#fleetctl:end"
BOOT_SH = (
    "LC_ALL=C;export LC_ALL;p=;n=\"$(printf '\\n.')\";n=${n%.};"
    f'while IFS= read -r l&&[ "$l" != "{SH_END}" ];do p="$p$l$n";done;eval "$p"'
)
# Python from the system's own places too: RHEL keeps one that is not on anybody's PATH.
FIND_PYTHON = (
    "for p in python3 /usr/bin/python3 /usr/libexec/platform-python;do "
    'if command -v "$p" >/dev/null 2>&1;then exec "$p" -S -E -c \'' + BOOT_PYTHON + "';fi;done;echo fleetctl-no-python"
)
NO_PYTHON = b"fleetctl-no-python"


class LoopForm(StrEnum):
    """How a host is asked."""

    PYTHON = "python"
    SH = "sh"
    EXEC = "exec"


@dataclass(frozen=True)
class PlanItem:
    """One probe with its short id on the wire. inline: our own, read in the loop itself because it cannot hang."""

    id: str
    probe: Probe
    inline: bool = False


@dataclass(frozen=True)
class Plan:
    """All probes of a fleet in asking order, and the limits on the host. items: built-in probes first."""

    items: tuple[PlanItem, ...]
    max_bytes: int
    paths: tuple[str, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, PlanItem]:
        return {item.id: item for item in self.items}

    def python_program(self, interval_s: float) -> bytes:
        """What the python form reads from stdin: eight digits of length, then the compressed program and plan."""
        source = _text("host_loop.py") + f"\nmain({self._literal(interval_s)!r})\n"
        packed = zlib.compress(source.encode(), 9)
        return b"%08d" % len(packed) + packed

    def _literal(self, interval_s: float) -> dict[str, Any]:
        ids = {item.probe.name: item.id for item in self.items}
        return {
            "interval": interval_s,
            "max_bytes": self.max_bytes,
            "heartbeat": heartbeat_limit_s(interval_s),
            "nice": NICE,
            "path": ":".join(self.paths),
            "probes": [
                {
                    "id": item.id,
                    "command": item.probe.command,
                    "detect": item.probe.detect,
                    "timeout": item.probe.timeout_s,
                    "every": item.probe.every_s,
                    "background": int(item.probe.background),
                    "inline": int(item.inline),
                    "python": item.probe.python,
                    "replaces": " ".join(ids[name] for name in item.probe.replaces if name in ids),
                }
                for item in self.items
            ],
        }

    def sh_program(self, interval_s: float) -> bytes:
        """What the sh form reads from stdin before its first line of work."""
        return (self._script(self.items, interval_s) + f"serve\n{SH_END}\n").encode()

    def sh_script(self, asked: Collection[str], kind: str, seq: int, words: Iterable[str]) -> bytes:
        """One round as a script for `sh -s`: only the probes asked travel."""
        items = [item for item in self.items if item.id in asked]
        return (self._script(items, 60.0) + f"run_round {kind} {seq} {' '.join(words)}\n").encode()

    def _script(self, items: Iterable[PlanItem], interval_s: float) -> str:
        lines = [
            f"PATHS={shlex.quote(':'.join(self.paths))} LIMIT={self.max_bytes}",
            f"PATIENCE={int(heartbeat_limit_s(interval_s))}",
        ]
        ids = []
        for item in items:
            probe = item.probe
            if not probe.command:
                continue
            ids.append(item.id)
            lines.append(f"C{item.id}={shlex.quote(probe.command)} T{item.id}={max(1, round(probe.timeout_s))}")
            lines.append(f"D{item.id}={shlex.quote(probe.detect)} I{item.id}={'y' if item.inline else ''} K{item.id}=")
        lines.append(f"IDS='{' '.join(ids)}'")
        return "\n".join(lines) + "\n" + _bare_sh()


def heartbeat_limit_s(interval_s: float) -> float:
    """How long a loop on a host goes on without a word from the console, seconds."""
    return max(180.0, 3 * interval_s)


def build_plan(
    builtin: Iterable[tuple[Probe, bool]],
    plugins: Iterable[Plugin],
    max_bytes: int,
    known: Collection[str] | None = None,
) -> Plan:
    """Built-in probes (with: may it run inside the loop itself?) and then every plugin's, in order of name.

    known: names of probes to keep; None keeps all.
    """
    plugins = sorted(plugins, key=lambda plugin: plugin.name)
    pairs = [*builtin, *((probe, False) for plugin in plugins for probe in plugin.probes)]
    wanted = [(probe, inline) for probe, inline in pairs if known is None or probe.name in known]
    items = tuple(PlanItem(str(number), probe, inline) for number, (probe, inline) in enumerate(wanted))
    return Plan(items, max_bytes, tuple(dict.fromkeys(path for plugin in plugins for path in plugin.paths)))


def launch_command(form: LoopForm, *, own_python: str = "") -> str:
    """What to execute on the host; works whatever the user's login shell is.

    own_python: on the console's own machine its own interpreter, whose packages (psutil, pynvml) the readers may use.
    """
    if form is LoopForm.PYTHON and own_python:
        return f"exec {shlex.quote(own_python)} -c {shlex.quote(BOOT_PYTHON)}"
    if form is LoopForm.PYTHON:
        return "exec /bin/sh -c " + shlex.quote(FIND_PYTHON)
    if form is LoopForm.SH:
        return "exec /bin/sh -c " + shlex.quote(BOOT_SH)
    return "exec /bin/sh -s"


def next_form(form: LoopForm, setting: str) -> LoopForm | None:
    """The form to try when this one did not come up; None when the setting allows no other."""
    if setting != "auto":
        return None
    return {LoopForm.PYTHON: LoopForm.SH, LoopForm.SH: LoopForm.EXEC, LoopForm.EXEC: None}[form]


def first_form(setting: str) -> LoopForm:
    """The form of the loop that is tried first; setting: `ssh.loop`."""
    return LoopForm.PYTHON if setting == "auto" else LoopForm(setting)


def _text(name: str) -> str:
    return (files("fleetctl.probes") / name).read_text(encoding="utf-8")


def _bare_sh() -> str:
    """The sh program without comments and blank lines: it travels with every round of the exec form."""
    lines = (line.strip() for line in _text("host_loop.sh").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#")) + "\n"
