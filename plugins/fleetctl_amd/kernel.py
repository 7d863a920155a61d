"""RAS lines of the amdgpu driver, folded per card and block; a count of 1048560 is a sleeping card, not a fault."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleetctl.model.probe import Output
from fleetctl.model.reading import Fault, FaultAction, ProbeResult
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import pci_address

_RAS = re.compile(
    r"amdgpu ([0-9A-Fa-f:.]{7,16}):.*?\b(\d{1,12}) (correctable|uncorrectable|deferred) hardware errors detected in "
    r"(?:total in )?(\w+) block"
)
_GONE = re.compile(
    r"amdgpu ([0-9A-Fa-f:.]{7,16}):.*?(?:device lost from bus|GPU is lost|failed to read reg)", re.IGNORECASE
)
_RESET = re.compile(r"amdgpu ([0-9A-Fa-f:.]{7,16}):.*?GPU reset(?: begin|\(\d+\) (?:failed|succeeded))", re.IGNORECASE)
_HANG = re.compile(r"amdgpu ([0-9A-Fa-f:.]{7,16}):.*?ring (\S+) timeout", re.IGNORECASE)
# A card in runtime suspend adds this to its count at every reading (0xFFFF0 = all ones of a masked register).
_SLEEPING = 1_048_560


def parse_kernel(output: Output) -> ProbeResult:
    """Faults only; a log without any is a healthy one."""
    sheet = Sheet("amd")
    text = output.stdout if not output.stdout.strip() else sheet.text_of(output)
    folded: dict[tuple[str, str, str | None], tuple[str, float | None, int, FaultAction | None]] = {}
    for line in log_lines(text, now=output.at, wanted=("amdgpu",)):
        found = _read(line.message)
        if found is None:
            continue
        family, code, device, action = found
        _, at, count, _ = folded.get((family, code, device), ("", None, 0, None))
        latest = line.at if line.at is not None else at
        folded[(family, code, device)] = (line.message, latest, count + 1, action)
    for (family, code, device), (said, at, count, action) in folded.items():
        sheet.fault(family, code, said, device=device, action=action, at=at, count=count)
    return sheet.result()


def _read(message: str) -> tuple[str, str, str | None, FaultAction | None] | None:
    if match := _RAS.search(message):
        count = int(match[2])
        if count == 0 or count % _SLEEPING == 0:
            return None
        action = FaultAction.OBSERVE if match[3] == "correctable" else FaultAction.RESET_NOW
        return "ras", match[4].lower(), pci_address(match[1]), action
    if match := _GONE.search(message):
        return "bus", "lost", pci_address(match[1]), FaultAction.ISOLATE
    if match := _HANG.search(message):
        return "driver", "ring_timeout", pci_address(match[1]), FaultAction.RESTART_WORK
    if match := _RESET.search(message):
        return "driver", "gpu_reset", pci_address(match[1]), FaultAction.RESTART_WORK
    return None


def kernel_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """Faults in new kernel lines."""
    mine = [line for line in lines if "amdgpu" in line]
    return parse_kernel(Output("\n".join(mine))).faults if mine else ()
