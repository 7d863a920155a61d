"""What nvidia-smi and NVML say instead of an answer, each told apart."""

from __future__ import annotations

import re

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import pci_address

_NO_HANDLE = re.compile(r"(?i)unable to determine the device handle for gpu[^\n]*")
_ADDRESS = re.compile(r"(?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]")

# (words in the text, kind, what it means, code of the host's fault or "")
_SAID = (
    ("driver/library version mismatch", FindingKind.TOOL_FAILED,
     "driver and library differ: reboot or reload the modules", "library_mismatch"),
    ("couldn't communicate with the nvidia driver", FindingKind.TOOL_FAILED, "the driver is not loaded", "not_loaded"),
    ("driver not loaded", FindingKind.TOOL_FAILED, "the driver is not loaded", "not_loaded"),
    ("no devices were found", FindingKind.NO_DEVICES, "the driver sees no card", ""),
    ("no devices found", FindingKind.NO_DEVICES, "the driver sees no card", ""),
    ("couldn't find libnvidia-ml", FindingKind.TOOL_FAILED, "the driver's library is missing", "library_missing"),
    ("insufficient permission", FindingKind.NOT_PERMITTED, "it may not be read with these rights", ""),
    ("failed to initialize nvml", FindingKind.TOOL_FAILED, "the library cannot start", "nvml_failed"),
    ("is not a valid field to query", FindingKind.TOOL_FAILED, "this driver does not know one of the fields", ""),
    ("invalid combination of input arguments", FindingKind.TOOL_FAILED, "this driver does not know the command", ""),
)  # fmt: skip
_TAIL = ("nvml library version", "terminating early due to previous", "make sure that the latest nvidia driver")
_ACTIONS = {
    "library_mismatch": FaultAction.RESET_WHEN_IDLE,
    "library_missing": FaultAction.STOP_NEW_WORK,
    "not_loaded": FaultAction.STOP_NEW_WORK,
}


def refusal(sheet: Sheet, text: str) -> bool:
    """True when a text or line is one of the tool's own refusals; a finding or fault has then been noted."""
    head = text[:4000]
    low = head.lower()
    said = False
    for words, kind, meaning, code in _SAID:
        if words in low:
            sheet.find(kind, meaning, head)
            if code:
                sheet.fault("driver", code, head.strip(), action=_ACTIONS.get(code))
            if kind is FindingKind.NO_DEVICES:
                sheet.expected = 0
            said = True
            break
    for match in _NO_HANDLE.finditer(head):
        address = _ADDRESS.search(match[0])
        device = pci_address(address[0]) if address else None
        sheet.fault("bus", "lost", match[0].strip(), device=device, action=FaultAction.ISOLATE)
        said = True
    return said or low.strip().startswith(_TAIL) or shell_refusal(sheet, text)
