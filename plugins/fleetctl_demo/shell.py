"""What a command answers on a simulated host. It knows the tools fleetctl asks for and a few words people type."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from fleetctl_demo.machine import Card, Machine
from fleetctl_demo.system import kernel_text, quick_text, slow_text, uptime_s
from fleetctl_demo.tools import npu_smi, nvidia_smi, rocm_smi

_TOOLS = {
    "nvidia": ("nvidia-smi", nvidia_smi.run),
    "ascend": ("npu-smi", npu_smi.run),
    "amd": ("rocm-smi", rocm_smi.run),
}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. hangs: it does not end."""

    status: int
    stdout: str = ""
    stderr: str = ""
    hangs: bool = False


class Shell:
    """Commands on one simulated host, at the time of asking."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        plugin = machine.card.plugin if machine.card else ""
        self._tool, self._run_tool = _TOOLS.get(plugin, ("", _no_tool))

    def now(self) -> float:
        return time.time()

    def host_clock(self) -> float:
        """What the host believes the time is."""
        return self.now() + (217.0 if "skew" in self.machine.fault(self.now()) else 0.0)

    def has_tool(self, snippet: str) -> bool:
        """Whether a detect snippet would succeed here: it looks for the tool this host has, and for no clone of it."""
        if "hy-smi" in snippet:  # asks for rocm-smi only beside Hygon's own folders
            return False
        if re.search(rf"command -v {re.escape(self._tool)} [^;]*&& exit 1", snippet):  # only where the tool is missing
            return False
        return bool(self._tool) and re.search(rf"(?<![\w-]){re.escape(self._tool)}(?![\w-])", snippet) is not None

    def run(self, command: str) -> Ran:
        """Run one command line or a probe's script."""
        faults = self.machine.fault(self.now())
        command = _with_variables(command)
        if self._tool == "npu-smi" and re.search(r"for \w+ in \$\(npu-smi info -l", command):
            return (
                Ran(0, hangs=True) if "hang" in faults else Ran(0, npu_smi.details(self.machine.cards_at(self.now())))
            )
        if self._tool and (
            found := re.search(
                rf"(?<![\w/.-])(?:\S*/)?{re.escape(self._tool)}((?:\s+(?!\d?[<>])[^\s|;&<>)]+)*)", command
            )
        ):
            if "hang" in faults:
                return Ran(0, hangs=True)
            return Ran(*self._run_tool(found[1].strip(), self.machine.cards_at(self.now())))
        if "/proc/loadavg" in command:
            return Ran(0, quick_text(self.machine, self.now()))
        if "boot_id" in command:
            return Ran(0, slow_text(self.machine, self.now(), faults))
        if re.search(r"dmesg|journalctl|/dev/kmsg", command):
            return Ran(0, kernel_text(self.machine, self.now(), faults))
        return self._words(command)

    def script(self, text: str) -> Ran:
        """Run a script as `sh -s` or a login shell would: here, one command at a time, the last status counts."""
        if ".fleetctl/ends" in text:
            return Ran(0, self._end_processes(text))
        out, err, status = "", "", 0
        for command in re.split(r"&&|;|\n", text.strip()):
            ran = self.run(command.strip())
            if ran.hangs:
                return ran
            out, err, status = out + ran.stdout, err + ran.stderr, ran.status
            if status and (otherwise := re.search(r"\|\| exit (\d+)$", command.strip())):
                return Ran(int(otherwise[1]), out, err)
        return Ran(status, out, err)

    def _end_processes(self, text: str) -> str:
        """What fleetctl's script that ends processes would print here; work that is told to go goes at once."""
        machine, now = self.machine, self.now()
        names = {pid: name for card in machine.cards_at(now) for pid, name, _mib in card.processes}
        boot = blake2b(f"{machine.seed} {machine.name} boot".encode(), digest_size=16).hexdigest()
        out = [f"boot\t{boot}\t{int(uptime_s(machine, now))}\t100"]
        for word, number in re.findall(r"^(look|end) (\d+)", text, re.MULTILINE):
            pid = int(number)
            if word == "look":
                found = f"seen\t{pid}\t{pid}\tops\tpython3\t{names[pid]}" if pid in names else f"none\t{pid}"
                out.append(found)
            else:
                out.append(f"{'TERM' if pid in names else 'gone'}\t{pid}\t{pid}\t")
                machine.ended.add(pid)
        return "\n".join(out) + "\n"

    def _words(self, command: str) -> Ran:
        try:
            words = shlex.split(command)
        except ValueError:
            return Ran(2, "", "sh: 1: Syntax error: Unterminated quoted string\n")
        if not words:
            return Ran(0)
        match words[0]:
            case "true" | ":":
                return Ran(0)
            case "false":
                return Ran(1)
            case "command" if words[1:2] == ["-v"]:
                return Ran(0 if words[2:3] and words[2] in ("python3", "sh", self._tool) else 1)
            case "python3" if words[1:] == ["--version"]:
                return Ran(0, "Python 3.10.12\n")
            case "echo":
                return Ran(0, " ".join(words[1:]) + "\n")
            case "hostname" | "uname" if words[1:] in ([], ["-n"], ["-s"]):
                return Ran(0, ("Linux" if words == ["uname"] or words[1:] == ["-s"] else self.machine.name) + "\n")
            case "uname":
                return Ran(0, f"Linux {self.machine.name} 5.15.0-119-generic #129-Ubuntu SMP x86_64 GNU/Linux\n")
            case "id" | "whoami":
                return Ran(0, "ops\n" if words[0] == "whoami" else "uid=1000(ops) gid=1000(ops)\n")
            case "date":
                return Ran(0, time.strftime("%a %b %e %H:%M:%S UTC %Y\n", time.gmtime(self.host_clock())))
            case "uptime":
                load = self.machine.load(self.now()) * self.machine.cores
                return Ran(0, f" up 41 days,  3:12,  0 users,  load average: {load:.2f}, {load:.2f}, {load:.2f}\n")
        return Ran(127, "", f"sh: 1: {words[0]}: not found\n")


def _no_tool(arguments: str, cards: Sequence[Card]) -> tuple[int, str, str]:
    return 127, "", "not found\n"


def _with_variables(command: str) -> str:
    """Plain assignments in front of a command put into it: `f=a,b; tool --x=$f`."""
    for name, value in re.findall(r"(?:^|;\s*)(\w+)=([\w.,/:-]+);", command):
        command = re.sub(rf"\${name}\b|\$\{{{name}\}}", value, command)
    return command
