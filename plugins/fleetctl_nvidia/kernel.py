"""Xid and SXid lines of the kernel log, folded: one fault per code, card and link, with a count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fleetctl.model.probe import Output
from fleetctl.model.reading import Fault, FaultAction, ProbeResult
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import pci_address

_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9A-Fa-f:.]+)\):? ?(\d{1,5})(?:,\s*(.*))?$")
_SXID = re.compile(r"nvidia-nvswitch(\d+): SXid \((?:PCI:)?([0-9A-Fa-f:.]+)\): (\d{1,6}),?\s*(.*)$")
_LINK = re.compile(r"\bLink (-?\d+)\b")
_RECOVERY = re.compile(r"recovery action changed from \S+ \(([^)]*)\) to \S+ \(([^)]*)\)")
_OFF_BUS = re.compile(
    r"NVRM: (?:The NVIDIA )?GPU (?:at )?(?:PCI:)?([0-9A-Fa-f:.]{7,16})\b.*fallen off the bus", re.IGNORECASE
)
_MISMATCH = re.compile(r"NVRM: API mismatch: (.*)$")
_INIT_FAILED = re.compile(r"NVRM: (?:GPU ([0-9A-Fa-f:.]{7,16}): )?RmInitAdapter failed! (.*)$")
_ACTIONS = {
    "none": FaultAction.OBSERVE,
    "gpu reset required": FaultAction.RESET_NOW,
    "gpu reset": FaultAction.RESET_NOW,
    "node reboot required": FaultAction.ISOLATE,
    "reboot": FaultAction.ISOLATE,
    "drain p2p": FaultAction.STOP_NEW_WORK,
    "drain and reset": FaultAction.RESET_WHEN_IDLE,
}


@dataclass(slots=True)
class _Fold:
    text: str
    at: float | None
    count: int = 1
    action: FaultAction | None = None


def parse_kernel(output: Output) -> ProbeResult:
    """Faults only; a log without any is a healthy one. device is the PCI address, as no line holds the index."""
    sheet = Sheet("nvidia")
    text = output.stdout if not output.stdout.strip() else sheet.text_of(output)
    folded: dict[tuple[str, str, str | None, str], _Fold] = {}
    for line in log_lines(text, now=output.at, wanted=("NVRM", "nvidia-nvswitch")):
        found = _read(line.message)
        if found is None:
            continue
        family, code, device, said, detail, action = found
        key = (family, code, device, detail)
        fold = folded.get(key)
        if fold is None:
            folded[key] = _Fold(said, line.at, 1, action)
        else:
            fold.count += 1
            fold.at = line.at if line.at is not None else fold.at
    for (family, code, device, _), fold in folded.items():
        sheet.fault(family, code, fold.text, device=device, action=fold.action, at=fold.at, count=fold.count)
    return sheet.result()


def kernel_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """The faults in new kernel lines, for the probe that reads the kernel log once for all vendors."""
    mine = [line for line in lines if "NVRM" in line or "nvidia-nvswitch" in line]
    return parse_kernel(Output("\n".join(mine))).faults if mine else ()


def _read(message: str) -> tuple[str, str, str | None, str, str, FaultAction | None] | None:
    """(family, code, PCI address, text, what else tells it apart, action the line itself names)."""
    if match := _XID.search(message):
        said = match[3] or ""
        link = _LINK.search(said)
        recovery = _RECOVERY.search(said)
        action = _ACTIONS.get(recovery[2].lower()) if recovery else None
        detail = link[1] if link else recovery[2] if recovery else ""
        return "xid", match[2], pci_address(match[1]), said, detail, action
    if match := _SXID.search(message):
        link = _LINK.search(match[4])
        return "sxid", match[3], pci_address(match[2]), match[4], link[1] if link else "", None
    if match := _OFF_BUS.search(message):
        return "bus", "lost", pci_address(match[1]), message, "", FaultAction.ISOLATE
    if match := _MISMATCH.search(message):
        return "driver", "library_mismatch", None, match[1], "", FaultAction.RESET_WHEN_IDLE
    if match := _INIT_FAILED.search(message):
        device = pci_address(match[1]) if match[1] else None
        return "driver", "init_failed", device, f"RmInitAdapter failed! {match[2]}", "", FaultAction.ISOLATE
    return None


def looks_like_kernel(text: str) -> bool:
    """A log with lines of the driver, or raw kernel records."""
    head = text[:65536]
    return "NVRM:" in head or "nvidia-nvswitch" in head
